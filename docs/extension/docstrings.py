"""Examples in docstrings: indented lines below a sentence are code, as in Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_SECTION = re.compile(r"\s*(Args|Attributes|Returns|Raises|Yields|Example|Examples|Note):$")
_WIDTH = 4


def mark_examples(
    _app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    """Put a directive in front of each example; one with prompts is one to Sphinx already."""
    marked: list[str] = []
    before, is_apart = "", False
    for line in lines:
        if line.strip():
            indent, last = _indent(line), _indent(before)
            is_code = is_apart and indent == last + _WIDTH and not line.lstrip().startswith(">>>")
            if is_code and before and not _SECTION.match(before) and not before.endswith("::"):
                marked += [" " * last + ".. code-block:: python", ""]
            before = line
        is_apart = not line.strip()
        marked.append(line)
    lines[:] = marked


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
