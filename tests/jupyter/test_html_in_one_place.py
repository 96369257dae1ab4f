"""HTML is made in `runagent_jupyter/html` and nowhere else in the package."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from safe_html import TAGS

import runagent_jupyter

pytestmark = pytest.mark.once

PACKAGE = Path(runagent_jupyter.__file__).parent
MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "html"
)
OTHER_TAGS = {
    *("article", "aside", "audio", "base", "body", "button", "canvas", "center", "dd", "del", "dl"),
    *("dt", "embed", "figure", "font", "footer", "form", "frame", "head", "header", "html"),
    *("iframe", "img", "input", "ins", "kbd", "label", "link", "main", "mark", "marquee", "math"),
    *("meta", "nav", "noscript", "object", "option", "picture", "q", "script", "section", "select"),
    *("slot", "small", "source", "style", "sub", "svg", "template", "textarea", "tfoot", "time"),
    *("title", "tt", "u", "var", "video", "wbr"),
}
TAG = re.compile(rf"</?(?:{'|'.join(sorted(TAGS | OTHER_TAGS))})(?![\w-])|<!--", re.IGNORECASE)
MAKERS = {"html", "latex2mathml", "markdown_it", "markupsafe", "nh3", "pygments"}
"""Modules that make HTML, or escape text for it."""


def html_in(source: str) -> list[str]:
    """The signs that a module makes HTML: strings with tags, and imports of modules that make it.

    Docstrings and comments are free to speak of it.
    """
    tree = ast.parse(source)
    documentation = {
        id(statement.value)
        for node in ast.walk(tree)
        for statement in ast.iter_child_nodes(node)
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    }
    return [
        f"line {line}: {text!r}"
        for line, text in strings_of(tree, documentation)
        if TAG.search(text)
    ] + [
        f"import of {name}"
        for node in ast.walk(tree)
        for name in imported_by(node)
        if name.partition(".")[0] in MAKERS
    ]


def strings_of(node: ast.AST, documentation: set[int]) -> Iterator[tuple[int, str]]:
    """The strings in code; of an f-string all parts as one, a value in it as a tag's name."""
    if id(node) in documentation:
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.lineno, node.value
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "b" for part in node.values)
        yield node.lineno, "".join(map(str, parts))
    for child in ast.iter_child_nodes(node):
        is_part = isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)
        if not is_part:
            yield from strings_of(child, documentation)


def imported_by(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [node.module or ""]
    return []


@pytest.mark.parametrize(
    "code",
    [
        "f'<div class=\"x\">{y}</div>'",
        "'<b>' + x",
        "x + '</p>'",
        "f'<{tag}>'",
        "f'</{tag}>'",
        "x = '<SCRIPT>'",
        "x = '<br/>'",
        "x = '<svg/onload=x>'",
        "x = '<!-- x -->'",
        "f'{f\"<i>{x}\"}'",
        "def f():\n    'The documentation.'\n    return '<p>'",
        "import html",
        "from html import escape",
        "import nh3",
        "def f():\n    from pygments.lexers import get_lexer_by_name",
    ],
)
def test_html_is_found(code: str) -> None:
    assert html_in(code)


@pytest.mark.parametrize(
    "code",
    [
        "'a < b and b > c'",
        "f'{x} <= {y}'",
        "f'<Job {name!r}: {state}>'",
        "'(?<!b)x(?P<name>y)'",
        "'''<p>A module's documentation.</p>'''",
        "def f():\n    '''Put it into a <p>.'''",
        "x = 1\n'''<p>Documentation of x.</p>'''",
        "x = 1  # <p>",
        "from runagent_jupyter import html",
        "from runagent_jupyter.html import wrap",
        "{'text/html': x}",
    ],
)
def test_code_without_html_is_left_alone(code: str) -> None:
    assert not html_in(code)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_makes_no_html(path: Path) -> None:
    assert html_in(path.read_text("utf-8")) == []


def test_the_modules_of_html_would_be_found() -> None:
    found = [
        path.name for path in (PACKAGE / "html").glob("*.py") if html_in(path.read_text("utf-8"))
    ]
    assert {"code_block.py", "elements.py", "json_tree.py", "page.py", "render_rules.py"} <= {
        *found
    }


def test_the_page_parses_html_in_one_place() -> None:
    doors = r"(inner|outer)HTML|insertAdjacentHTML|setHTML|document\.write|createContextualFragment"
    scripts = "".join(path.read_text("utf-8") for path in sorted(PACKAGE.glob("static/*.js")))
    assert len(re.findall(doors, scripts)) == 1
