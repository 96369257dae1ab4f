"""The settings: from the code that looks them up."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass

from extension.places import ROOT, entries, modules, table
from runagent import RunAgentClient, config, defaults

EXPLAINED = "variables.md"
"""The page that says what each variable of the environment is for."""


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        argument: The argument of the constructor.
        variables: The variables of the environment, the first one counts first.
        key: The key in the configuration file.
        default: The default.
    """

    argument: str
    variables: tuple[str, ...]
    key: str
    default: object


def settings() -> str:
    """Return a table of the settings that have a place outside the code, and their meanings."""
    meanings = _meanings()
    known = {setting.argument: setting for setting in found()}
    ordered = [known[name] for name in meanings if name in known]
    rows = (
        [
            f"`{setting.argument}`",
            ", else ".join(f"`{name}`" for name in setting.variables),
            f"`{setting.key}`",
            "" if setting.default is None else f"`{setting.default!s}`",
        ]
        for setting in ordered
    )
    head = table(["argument", "environment", "file", "default"], rows)
    items = (f"- `{setting.argument}`: {meanings[setting.argument]}" for setting in ordered)
    return "\n".join([head, "", *items])


def variables() -> str:
    """Return a table of all variables of the environment that the packages read.

    Raises:
        ValueError: One is not explained, or is explained and not read.
    """
    read, explained = variables_read(), entries(EXPLAINED)
    if read != explained.keys():
        differing = ", ".join(sorted(read ^ explained.keys()))
        raise ValueError(f"{EXPLAINED} and the code do not agree on: {differing}.")
    rows = ([f"`{name}`", explained[name].replace("\n", " ")] for name in sorted(read))
    return table(["variable", "meaning"], rows)


def found() -> Iterator[Setting]:
    """Yield the settings, in the order in which `config.py` looks for them."""
    tree = ast.parse((ROOT / "runagent" / "config.py").read_text("utf-8"))
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) in ("find", "retry")):
            continue
        _, argument, _, default, *names = node.args
        name = ast.literal_eval(argument)
        keys = [ast.literal_eval(k.value) for k in node.keywords if k.arg == "key"]
        prefix = "retry_config." if ast.unparse(node.func) == "retry" else ""
        yield Setting(
            name,
            tuple(variable for one in names for variable in _variables(one)),
            f"{prefix}{keys[0] if keys else name}",
            eval(ast.unparse(default), {"defaults": defaults}),  # noqa: S307 - our own code
        )


def variables_read() -> set[str]:
    """Return the names of RunAgent's own variables in the packages."""
    text = "".join(path.read_text("utf-8") for path in modules())
    return set(re.findall(r'"(RUNAGENT_[A-Z_]+)"', text))


def _variables(argument: ast.expr) -> tuple[str, ...]:
    if isinstance(argument, ast.Starred):
        names: tuple[str, ...] = getattr(config, ast.unparse(argument.value))
        return names
    return (ast.literal_eval(argument),)


def _meanings() -> dict[str, str]:
    """Return the meaning of each argument of the clients, from their docstring."""
    text = inspect.getdoc(RunAgentClient.__init__) or ""
    arguments = text.partition("Args:")[2].partition("Raises:")[0]
    parts = re.split(r"^ {4}(\w+): ", arguments, flags=re.MULTILINE)
    return {
        name: " ".join(meaning.split())
        for name, meaning in zip(parts[1::2], parts[2::2], strict=True)
    }
