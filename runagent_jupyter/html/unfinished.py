"""Markdown that breaks off: a last line that may become anything, and a block of code to close."""

from __future__ import annotations

import re

from runagent_jupyter.html.line_kinds import open_fence

_UNDECIDED = re.compile(
    r"(?:[-=*+_#>~`|$:\\ \t]|\d{1,9}[.)](?=[ \t]))*"  # marks, also of quotes and items
    r"(?:\d{1,9}[.)]?|(?<![`\w])`{3,}[^`]*|~~~.*)?\Z"  # a number, or the start of a fence
)


def is_undecided(line: str) -> bool:
    """Check whether a line has too few characters to tell what it will be.

    It may become a heading, a rule, a list, a fence, a table or text. To show it before that is
    decided would make the page flicker.

    Args:
        line: The beginning of a line.

    Returns:
        Whether the line should wait.
    """
    return _UNDECIDED.match(line) is not None


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
