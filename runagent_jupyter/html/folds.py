"""Blocks from one mark to another, whatever lines are between: details, thoughts, comments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from runagent_jupyter.html.line_kinds import FOLD_OPENER, Fence, fence_in, fold_kind

_CLOSERS: Final = {
    "details": re.compile(r"(?<!`)</details\s*>", re.IGNORECASE | re.ASCII),
    "think": re.compile(r"(?<!`)</think(?:ing)?\s*>", re.IGNORECASE | re.ASCII),
    "comment": re.compile(r"-->"),
}
_SUMMARY = re.compile(
    r"[ \t]*<summary(?:[\s/][^<>]*)?>(.*?)(?:</summary\s*>|$)", re.IGNORECASE | re.ASCII
)


class Fold(NamedTuple):
    """The state of such a block behind one of its lines."""

    kind: str
    """`"details"`, `"think"` or `"comment"`."""
    depth: int = 0
    fence: Fence | None = None

    def after(self, line: str) -> tuple[Fold, int]:
        """Read one more line of the block; the first one is that which opens it.

        Args:
            line: The line, without the columns by which the whole block is indented.

        Returns:
            The state behind the line, and the position in the line at which the block ends, behind
            its closing mark. It is -1 if the block goes on.
        """
        closer = _CLOSERS[self.kind]
        if self.kind != "details":
            start = opener_end(line) if not self.depth else 0
            match = closer.search(line, start)
            return self._replace(depth=1), match.end() if match else -1
        if self.fence:
            ends = self.fence.is_closed_by(line)
            return (self._replace(fence=None) if ends else self), -1
        if fence := fence_in(line):
            return self._replace(fence=fence), -1
        depth = self.depth
        position = 0
        if fold_kind(line) == "details":
            depth += 1
            position = opener_end(line)
        for match in closer.finditer(line, position):
            depth -= 1
            if depth == 0:
                return self._replace(depth=0), match.end()
        return self._replace(depth=depth), -1


def opener_end(line: str) -> int:
    """Find the end of the opening mark in a line that begins with it.

    Args:
        line: The line, with or without indentation.

    Returns:
        The position behind the mark. That of a comment may overlap with its end.
    """
    content = line.lstrip(" \t")
    match = FOLD_OPENER.match(content)
    assert match
    return len(line) - len(content) + (match.end() if match[1] else 2)


def summary_of(text: str, start: int, end: int) -> tuple[str, int] | None:
    """Find the title of a fold.

    Args:
        text: A text with a line at the beginning of the fold.
        start: The position at which to look.
        end: The end of that line.

    Returns:
        The title as Markdown and the position behind it, or `None` if there is no title.
    """
    match = _SUMMARY.match(text, start, end)
    return (match[1].strip(), match.end()) if match else None


def head_of(lines: Sequence[str]) -> str:
    """Write the beginning of a fold again, for a fold that is cut in two.

    Args:
        lines: The first lines of the fold.

    Returns:
        A line of Markdown that opens a fold with the same title.
    """
    if fold_kind(lines[0]) == "think":
        return "<think>\n"
    first = lines[0].rstrip()
    second = next((line.rstrip() for line in lines[1:3] if line.strip()), "")
    title = summary_of(first, opener_end(first), len(first)) or summary_of(second, 0, len(second))
    return f"<details><summary>{title[0] if title else ''} \u2026</summary>\n"
