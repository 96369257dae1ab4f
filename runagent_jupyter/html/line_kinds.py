"""Which Markdown block a line can begin, and how far the line is indented."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from runagent_jupyter.html.formulas import math_marks

CODE_INDENT: Final = 4
"""Columns of indentation that make a line code."""

INTERRUPTING: Final = frozenset({"fence", "heading", "quote", "math", "formula", "note", "fold"})
"""The kinds of lines that can end a paragraph without a blank line before them."""

LIST_ITEM = re.compile(r"([-+*]|(\d{1,9})[.)])(?:([ \t]+)|(?=\n|\Z))")
"""The marker of a list item: group 1 is the marker, 2 its number, 3 the spaces behind it."""

NOTE_MARK: Final = "[^"
"""The first characters of a footnote."""

NOTE = re.compile(r"\[\^([^\s\[\]]{1,50})\]:")
"""The beginning of a footnote: group 1 is its label."""

DEFINITION = re.compile(r" {0,3}\[[^\[\]\n]{1,999}\]:")
"""The beginning of a link reference definition, or of a footnote."""

TABLE_DELIMITERS = re.compile(r"[ \t]*[|:-][|:\- \t]*\n?\Z")
"""The line between the header of a table and its rows."""

HEADING_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*\n?\Z")
"""The line below a text that makes that text a heading."""

FOLD_OPENER = re.compile(
    r"<(?:(details|think(?:ing)?)(?:[\s/][^<>]*)?>|!--)", re.IGNORECASE | re.ASCII
)
"""The beginning of details, of a thought or of a comment."""

_FENCE = re.compile(r"(`{3,})([^`\n]*)\n?\Z|(~{3,})([^\n]*)\n?\Z")
_HEADING = re.compile(r"#{1,6}(?:[ \t\n]|\Z)")
_RULE = re.compile(r"([-*_])[ \t]*(?:\1[ \t]*){2,}\n?\Z")
_ITEM_FENCE = re.compile(r"[ \t]*(?:(?:[-+*]|\d{1,9}[.)])[ \t]+)*(?=```|~~~)")


class Fence(NamedTuple):
    """The opening line of a fenced block of code."""

    marker: str  # ` or ~
    length: int  # of the run of markers
    indent: int  # columns
    info: str  # the info string

    @property
    def holds_markdown(self) -> bool:
        """Whether the text in the block is Markdown, which may have blocks of its own."""
        return self.info.split(maxsplit=1)[:1] in (["markdown"], ["md"])

    def is_closed_by(self, line: str) -> bool:
        """Check whether a line closes the block, whatever its indentation."""
        run = line.strip(" \t\n")
        return len(run) >= self.length and not run.strip(self.marker)

    def may_be_closed_by(self, line: str) -> bool:
        """Check whether a line may close the block when more of it has come."""
        return not line.strip(" \t").strip(self.marker)

    def depth_behind(self, line: str, depth: int) -> int:
        """Count the blocks that are open inside this one, if it holds Markdown.

        Agents show Markdown in a block whose fences are no longer than those in it. There, a fence
        with a language opens a block, and the next bare fence closes that block alone.

        Args:
            line: A line of the block, with its indentation.
            depth: The number of blocks that are open before it.

        Returns:
            The number behind it; -1 if the line closes this block.
        """
        if self.marker not in line or columns_of(line) >= CODE_INDENT:
            return depth
        if self.is_closed_by(line):
            return depth - 1
        if not self.holds_markdown:
            return depth
        inner = fence_in(line)
        is_open = inner and inner.info and inner.marker == self.marker
        return depth + 1 if inner and is_open and inner.length >= self.length else depth


def columns_of(line: str) -> int:
    """Measure the indentation of a line, with tabs expanded."""
    if not line.startswith((" ", "\t")):
        return 0
    margin = line[: len(line) - len(line.lstrip(" \t"))]
    return len(margin.expandtabs(4))


def dedent(line: str, columns: int) -> str:
    """Remove columns of indentation from a line, at most as many as it has."""
    margin = line[: len(line) - len(line.lstrip(" \t"))]
    spaces = margin.expandtabs(4) if "\t" in margin else margin
    return spaces[min(columns, len(spaces)) :] + line[len(margin) :]


def kind_of(line: str) -> str:
    """Tell which block a line can begin.

    Args:
        line: A line whose indentation does not make it code.

    Returns:
        `"fence"`, `"heading"`, `"quote"`, `"rule"`, `"math"` (a formula that goes on in the next
        line), `"formula"` (a whole one), `"note"`, `"fold"`, `"item"`, or nothing for running text.
    """
    content = line.lstrip(" \t")
    first = content[:1]
    if first in "`~" and _FENCE.match(content):
        return "fence"
    if first == "#" and _HEADING.match(content):
        return "heading"
    if first == ">":
        return "quote"
    if first in "-*_" and _RULE.match(content):
        return "rule"
    if first in "$\\" and (marks := math_marks(content)):
        tex, found, rest = content[len(marks[0]) :].partition(marks[1])
        if not found:
            # An escaped bracket is often that of words which are no link.
            return "" if marks[0] == "\\[" and "]" in tex else "math"
        return "" if rest.strip(" \t\n.,;") else "formula"
    if first == "<" and fold_kind(content):
        return "fold"
    if first == "[" and NOTE.match(content):
        return "note"
    return "item" if LIST_ITEM.match(content) else ""


def fold_kind(line: str) -> str:
    """Tell which block from one mark to another a line opens.

    Args:
        line: A line whose indentation does not make it code.

    Returns:
        `"details"`, `"think"` or `"comment"`, or nothing.
    """
    match = FOLD_OPENER.match(line.lstrip(" \t"))
    if not match:
        return ""
    name = (match[1] or "comment").lower()
    return "think" if name.startswith("think") else name


def can_interrupt(line: str) -> bool:
    """Check whether a list item can end a paragraph: it has content, and its number is 1."""
    content = line.lstrip(" \t")
    item = LIST_ITEM.match(content)
    return bool(item and content[item.end() :].strip() and int(item[2] or 1) == 1)


def fence_of(content: str, indent: int) -> Fence:
    """Read the opening line of a block of code, given without its indentation."""
    match = _FENCE.match(content)
    assert match
    marker = match[1] or match[3]
    return Fence(marker[0], len(marker), indent, (match[2] or match[4] or "").strip())


def fence_in(line: str) -> Fence | None:
    """Read a line that opens a block of code.

    Args:
        line: Any line.

    Returns:
        The opening line, or `None` if it is another one.
    """
    content = line.lstrip(" \t")
    if content[:1] not in {"`", "~"} or not _FENCE.match(content):
        return None
    return fence_of(content, columns_of(line)) if columns_of(line) < CODE_INDENT else None


def open_fence(lines: Iterable[str]) -> Fence | None:
    """Find the block of code that is still open after the last line.

    Args:
        lines: Lines of Markdown, such as those of a list item.

    Returns:
        Its opening line, or `None` if no block is open.
    """
    fence: Fence | None = None
    for line in lines:
        if fence:
            if fence.is_closed_by(line):
                fence = None
        elif (start := _ITEM_FENCE.match(line)) and _FENCE.match(line[start.end() :]):
            fence = fence_of(line[start.end() :], len(start[0].expandtabs(4)))
    return fence
