"""The promises of the README and the how-tos, each with the test that shows it.

Behind a sentence that promises something stands `<!-- test: tests/core/test_x.py::test_y -->`,
with several tests if each shows a part of it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from extension.places import DOCS, ROOT

_MARK = re.compile(r"\s*<!-- test: (\S+?::\w+(?:, \S+?::\w+)*) -->")
_FENCE = re.compile(r"^(```|~~~).*?^\1$", re.DOTALL | re.MULTILINE)
_SENTENCE_END = re.compile(
    r"[.:!?]\**\s+(?=[A-Z`*\[(%])|^\s*(?:[-*]|\d+\.)\s+|^#.*$|\n\n|-->|^\|", re.MULTILINE
)
_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")


@dataclass(frozen=True)
class Promise:
    """One promise.

    Attributes:
        page: The page's path in the checkout.
        sentence: The sentence, or the part of it, before the mark.
        tests: The tests, each as the path of its file in the checkout and its name.
    """

    page: str
    sentence: str
    tests: tuple[tuple[str, str], ...]


def pages() -> list[Path]:
    """Return the pages whose promises have tests."""
    folders = ("start", "how-to", "help")
    return [ROOT / "README.md", *(p for f in folders for p in sorted((DOCS / f).glob("*.md")))]


def promises_of(page: Path) -> Iterator[Promise]:
    """Yield the promises of a page."""
    text = _FENCE.sub("", page.read_text("utf-8"))
    for mark in _MARK.finditer(text):
        before = text[: mark.start()]
        start = max((end.end() for end in _SENTENCE_END.finditer(before)), default=0)
        sentence = _LINK.sub(r"\1", " ".join(before[start:].split()))
        named = (test.partition("::") for test in mark[1].split(", "))
        tests = tuple((file, name) for file, _, name in named)
        yield Promise(page.relative_to(ROOT).as_posix(), sentence, tests)


def names_of_tests(path: Path) -> set[str]:
    """Return the names of the tests in a file."""
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    functions = (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


def promises() -> str:
    """Return a list of the promises of each page."""
    parts = []
    for page in pages():
        items = []
        for promise in promises_of(page):
            lines = [f"- {promise.sentence}"]
            lines += [f"  `{file}` `{test}`" for file, test in promise.tests]
            items.append("\\\n".join(lines))
        if items:
            parts.append("\n".join([f"## {page.relative_to(ROOT).as_posix()}\n", *items, ""]))
    return "\n".join(parts)
