"""Markdown that breaks off: a last line that may become anything, and a block of code to close."""

from __future__ import annotations

import re
from typing import Final

from runagent_jupyter.html.line_kinds import open_fence

_UNDECIDED = re.compile(
    r"(?:[-=*+_#>~`|$:\\ \t]|\d{1,9}[.)](?=[ \t]))*"  # marks, also of quotes and items
    r"(?:\d{1,9}[.)]?|(?<![`\w])`{3,}[^`]*|~~~.*)?\Z"  # a number, or the start of a fence
)
_UNDECIDED_BEHIND_MARK = re.compile(
    rf"(</?(?:details|think(?:ing)?|summary)(?:[\s/][^<>]*)?>|-->){_UNDECIDED.pattern}",
    re.IGNORECASE | re.ASCII,
)
_SEARCHED: Final = 200
"""Characters at the end of a line in which such a mark is looked for; long lines may have many."""


def decided(line: str) -> str:
    """Leave out what has too few characters to tell what it will be.

    It may become a heading, a rule, a list, a fence, a table or text. To show it before that is
    decided would make the page flicker. It is the whole line, or what stands behind the mark of a
    fold: behind `<think>`, too, a block can begin.

    Args:
        line: The beginning of a line.

    Returns:
        The part that need not wait.
    """
    if _UNDECIDED.match(line):
        return ""
    start = max(0, len(line) - _SEARCHED)
    mark = _UNDECIDED_BEHIND_MARK.search(line, start) if ">" in line else None
    return line[: mark.end(1)] if mark else line


def close_code(text: str) -> str:
    """Close the block of code that text breaks off in, if any.

    Args:
        text: Markdown.

    Returns:
        The text, with a closing fence if it needs one.
    """
    fence = open_fence(text.splitlines(keepends=True))
    if not fence:
        return text
    return f"{text.rstrip()}\n{' ' * fence.indent}{fence.marker * fence.length}"
