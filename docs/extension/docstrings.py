"""Docstrings are written as Markdown is: a backtick is enough, and indented lines are code."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_SECTION = re.compile(r"\s*(Args|Attributes|Returns|Raises|Yields|Example|Examples|Note):$")
_LITERAL = re.compile(r"(?<![`:\\])`([^`]+)`(?!`)")
_WIDTH = 4


def as_sphinx_wants(
    _app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    """Double the backticks, and put a directive in front of each example without prompts."""
    marked: list[str] = []
    before, is_apart = "", False
    for line in (_LITERAL.sub(r"``\1``", line) for line in lines):
        if line.strip():
            indent, last = _indent(line), _indent(before)
            is_code = is_apart and indent == last + _WIDTH and not line.lstrip().startswith(">>>")
            if is_code and before and not _SECTION.match(before) and not before.endswith("::"):
                marked += [" " * last + ".. code-block:: python", ""]
            before = line
        is_apart = not line.strip()
        marked.append(line)
    lines[:] = marked


def signature_of_init(
    _app: Sphinx,
    what: str,
    _name: str,
    found: Any,
    _options: Any,
    signature: str | None,
    _returned: str | None,
) -> tuple[str, str] | None:
    """Return the signature of a class whose base takes any arguments in its `__new__`."""
    if what != "class" or signature != "(*args, **kwargs)":
        return None
    parameters = list(inspect.signature(found.__init__).parameters.values())[1:]
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
    return str(inspect.Signature(bare)), ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
