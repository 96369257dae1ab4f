"""The codes of errors: found in the code, explained in `reference/error-codes.md`."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache

from extension.places import entries, modules

EXPLAINED = "error-codes.md"

_CODE = re.compile(r"[A-Z]+(_[A-Z]+)*")


def error_codes() -> str:
    """Return a section for each code, with the exceptions that carry it.

    Raises:
        ValueError: A code has no explanation, or an explanation no code.
    """
    found, explained = codes(), entries(EXPLAINED)
    if found.keys() != explained.keys():
        differing = ", ".join(sorted(found.keys() ^ explained.keys()))
        raise ValueError(f"{EXPLAINED} and the code do not agree on: {differing}.")
    sections = []
    for code in sorted(found):
        kinds = ", ".join(f"`{kind}`" for kind in sorted(found[code]))
        sections.append(f"(error-{code})=\n## `{code}`\n\n*{kinds}*\n\n{explained[code]}\n")
    return "\n".join(sections)


@cache
def codes() -> dict[str, set[str]]:
    """Return the codes in the packages, each with the names of the exceptions that carry it."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in modules():
        tree = ast.parse(path.read_text("utf-8"))
        for code, kind in _codes_in(tree):
            if _CODE.fullmatch(code):
                found[code].add(kind)
    for kinds in found.values():
        if len(kinds) > 1:
            kinds.discard("RunAgentError")
    return found


def _codes_in(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield each code with the name of its exception, `RunAgentError` where that varies."""
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    positions = {
        node.name: [argument.arg for argument in node.args.args].index("code")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and "code" in [a.arg for a in node.args.args]
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            kind = name if name.endswith("Error") else "RunAgentError"
            values = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            position = 1 if name.endswith("Error") else positions.get(name)
            if position is not None:
                values += node.args[position : position + 1]
            for value in values:
                for code in _texts(value, constants):
                    yield code, kind
        elif isinstance(node, ast.Assign):
            for code in _assigned(node.targets[0], node.value, constants):
                yield code, "RunAgentError"


def _assigned(target: ast.expr, value: ast.expr, constants: dict[str, ast.expr]) -> Iterator[str]:
    """Yield the codes that an assignment puts into a variable or an attribute `code`."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, other in zip(target.elts, value.elts, strict=False):
            yield from _assigned(one, other, constants)
    elif ast.unparse(target).rpartition(".")[2] == "code":
        yield from _texts(value, constants)


def _texts(value: ast.expr, constants: dict[str, ast.expr]) -> Iterator[str]:
    """Yield the strings that an expression may have as its value."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.Name) and value.id in constants:
        yield from _texts(constants[value.id], {})
    elif isinstance(value, ast.IfExp):
        yield from _texts(value.body, constants)
        yield from _texts(value.orelse, constants)
    elif isinstance(value, ast.BoolOp):
        for one in value.values:
            yield from _texts(one, constants)
