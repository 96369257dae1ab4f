"""Cuts Markdown that comes in chunks into pieces that are rendered on their own."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

SIZE: Final = 8_192  # characters of a piece: what is parsed at once, and again while it is open
MATH_CLOSERS: Final = {"$$": "$$", "\\[": "\\]", "\\(": "\\)"}

_FENCE = re.compile(r"(`{3,})([^`\n]*)\n?\Z|(~{3,})([^\n]*)\n?\Z")
_HEADING = re.compile(r"#{1,6}(?:[ \t\n]|\Z)")
_RULE = re.compile(r"([-*_])[ \t]*(?:\1[ \t]*){2,}\n?\Z")
_ITEM = re.compile(r"([-+*]|(\d{1,9})[.)])(?:([ \t]+)|(?=\n|\Z))")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*\n?\Z")
_DELIMITERS = re.compile(r"[ \t]*[|:-][|:\- \t]*\n?\Z")
_ITEM_FENCE = re.compile(r"[ \t]*(?:(?:[-+*]|\d{1,9}[.)])[ \t]+)*(?=```|~~~)")
_NOTE = re.compile(r"\[\^[^\s\[\]]{1,50}\]:")
_DEFINITION = re.compile(r" {0,3}\[[^\[\]\n]{1,999}\]:")
_INTERRUPTS: Final = frozenset({"fence", "heading", "quote", "math", "formula", "note"})
_CODE_INDENT: Final = 4  # columns


@dataclass(frozen=True)
class Piece:
    """A stretch of the text that is rendered on its own."""

    kind: str
    text: str
    end: int  # characters of the whole text up to here
    info: str = ""
    continued: bool = False


def _columns(line: str) -> int:
    """The indentation of a line, tabs expanded."""
    margin = line[: len(line) - len(line.lstrip(" \t"))]
    return len(margin.expandtabs(4))


def _dedent(line: str, columns: int) -> str:
    margin = line[: len(line) - len(line.lstrip(" \t"))]
    spaces = margin.expandtabs(4) if "\t" in margin else margin
    return spaces[min(columns, len(spaces)) :] + line[len(margin) :]


class Splitter:
    """Cuts clean text into pieces, one line after the other.

    Where it cuts depends on the text alone and never on the chunks it came in. It cuts between
    top-level blocks of CommonMark, after an item or a line where a block grows beyond `SIZE`, and
    within a line only where that alone is longer.
    """

    def __init__(self) -> None:
        self._partial = ""  # the line that has no newline yet
        self._lines: list[str] = []  # the open piece
        self._size = 0
        self.seen = 0  # characters of complete lines so far
        self._out: list[Piece] = []
        self._kind = ""  # of the open piece: text, quote, list, indented, math, fence, rest
        self._blank = False  # whether the open piece ends with a blank line
        self._fence = ("", 0, 0, "")  # marker, its length, its indentation, info string
        self._continued = False  # whether the open fence began in an earlier piece
        self._marker = ""  # the list's
        self._offset = 0  # where the content of the list's last item begins
        self._empty = False  # whether that item has no content yet
        self._dedent = 0  # indentation taken off, in a list item cut in two
        self._header = ""  # of the open table
        self._prefix = ""  # the header again, in a table cut in two

    @property
    def size(self) -> int:
        return self._size + len(self._partial)

    def feed(self, text: str) -> list[Piece]:
        if "\n" not in text and len(self._partial) + len(text) <= SIZE:
            self._partial += text
            return []
        text = self._partial + text
        start = 0
        while True:
            newline = text.find("\n", start, start + SIZE)
            if newline >= 0:
                self._line(text[start : newline + 1])
                start = newline + 1
            elif len(text) - start > SIZE:
                space = text.rfind(" ", start + SIZE // 2, start + SIZE)
                end = space + 1 if space >= 0 else start + SIZE
                self._part(text[start:end])
                start = end
            else:
                break
        self._partial = text[start:]
        return self._take()

    def finish(self) -> list[Piece]:
        partial, self._partial = self._partial, ""
        if partial:
            self._line(partial)
        self._flush()
        return self._take()

    def preview(self) -> list[Piece]:
        """What `finish` would give, without finishing, and with what is open closed."""
        ahead = copy.copy(self)
        ahead._lines, ahead._out = self._lines.copy(), []  # noqa: SLF001  # its own copies
        return ahead._finish_early()  # noqa: SLF001

    def _finish_early(self) -> list[Piece]:
        if _UNDECIDED.match(self._partial):
            self._partial = ""
        elif self._partial:
            self._line(self._partial)
            self._partial = ""
        kind = self._kind
        pieces = self.finish()
        if pieces and kind == "math":
            pieces[-1] = replace(pieces[-1], kind="fence", info="latex")
        elif pieces and kind in {"text", "quote", "list", "rest"}:
            pieces[-1] = replace(pieces[-1], text=_close_inline(pieces[-1].text))
        return pieces

    def _take(self) -> list[Piece]:
        pieces, self._out = self._out, []
        return pieces

    def _append(self, line: str) -> None:
        self._lines.append(line)
        self._size += len(line)
        self._blank = self._empty = False

    def _flush(self, kind: str = "") -> None:
        """Finish the open piece; the next one is of `kind`."""
        text = "".join(self._lines)
        self._lines = []
        self._size = 0
        if self._kind == "fence":
            if text or not self._continued:
                self._emit("fence", text, self._fence[3], self._continued)
            self._continued = kind == "fence"
        elif text:
            self._emit(self._kind, self._prefix + text)
        self._prefix = self._header if kind == "text" else ""
        self._header = self._prefix
        self._kind = kind
        self._blank = False

    def _emit(self, kind: str, text: str, info: str = "", continued: bool = False) -> None:
        self._out.append(Piece(kind, text, self.seen, info, continued))

    def _part(self, part: str) -> None:
        """A part of a line that is too long to wait for its end."""
        self._line(part)
        if self._kind == "fence":
            self._flush("fence")
        elif self._kind != "rest":
            self._flush("rest")

    def _line(self, line: str) -> None:
        self.seen += len(line)
        if self._kind == "rest":
            self._append(line)
            self._flush("" if line.endswith("\n") else "rest")
            return
        if self._dedent and not line.isspace():
            if _columns(line) < self._dedent:
                self._flush()
                self._dedent = 0
            line = _dedent(line, self._dedent)
        if self._kind == "fence":
            self._code_line(line)
        elif not line.strip(" \t\n"):
            self._blank_line(line)
        elif not self._continue(line):
            self._begin(line)

    def _code_line(self, line: str) -> None:
        marker, length, indent, _ = self._fence
        run = line.strip(" \t\n")
        if len(run) >= length and not run.strip(marker) and _columns(line) < _CODE_INDENT:
            self._flush()
            return
        # A long block is cut where a new top-level statement is likely to begin.
        natural = bool(self._lines) and self._lines[-1].isspace() and not line[:1].isspace()
        if self._size >= 2 * SIZE or (self._size >= SIZE and natural):
            self._flush("fence")
        self._append(_dedent(line, min(indent, _columns(line))) if indent else line)

    def _blank_line(self, line: str) -> None:
        if self._kind in {"list", "indented"}:
            self._append(line)
            self._blank = True
            if self._size >= 4 * SIZE:
                self._flush()
        elif self._kind:
            self._flush()

    def _continue(self, line: str) -> bool:
        """Take a line into the open piece, or finish the piece and say no."""
        columns = _columns(line)
        what = _what(line) if columns < _CODE_INDENT else ""
        match self._kind:
            case "list":
                return self._continue_list(line, what, columns)
            case "indented" if columns >= _CODE_INDENT:
                self._append(line)
                if self._size >= SIZE:
                    self._flush("indented")
                return True
            case "math" if what != "fence":
                self._append(line)
                if MATH_CLOSERS[self._marker] in line or self._size >= SIZE:
                    self._flush()
                return True
            case "quote" if what in {"", "quote"}:
                self._append(line)
                if self._size >= SIZE:
                    self._flush("quote" if what == "quote" else "text")
                return True
            case "text" if what not in _INTERRUPTS and not (what == "item" and _interrupts(line)):
                self._continue_text(line, what)
                return True
        self._flush()
        return False

    def _continue_text(self, line: str, what: str) -> None:
        # Agents list notes and definitions line by line, without the blank line CommonMark wants.
        if _DEFINITION.match(line) and _NOTE.match(
            self._lines[0].lstrip(" ") if self._lines else ""
        ):
            self._flush("text")
        before = self._lines[-1] if self._lines else ""
        self._append(line)
        if "|" in before and _DELIMITERS.match(line):
            header = before + line
            self._header = header if len(header) <= SIZE // 4 else ""
        elif what == "rule" or _UNDERLINE.match(line):
            self._flush()
        elif self._size >= SIZE:
            self._flush("text")

    def _continue_list(self, line: str, what: str, columns: int) -> bool:
        if columns >= self._offset:
            if self._size >= 4 * SIZE:
                self._cut_item(line)
            else:
                self._append(line)
            return True
        item = _ITEM.match(line.lstrip(" \t")) if what == "item" else None
        if item and item[1][-1] == self._marker:
            if self._size >= SIZE:
                self._flush("list")
            self._begin_item(line, item)
            return True
        if what or self._blank or self._empty or self._size >= 4 * SIZE:
            self._flush()
            return False
        self._append(line)
        return True

    def _cut_item(self, line: str) -> None:
        """Go on with a very long list item as if its content were the text itself."""
        fence = _open_fence(self._lines)
        self._flush()
        self._dedent += self._offset
        line = _dedent(line, self._offset)
        if fence:
            marker, length, indent, info = fence
            self._fence = (marker, length, max(0, indent - self._offset), info)
            self._kind, self._continued = "fence", True
            self._code_line(line)
        else:
            self._begin(line)

    def _begin(self, line: str) -> None:
        """Open a piece with a line that is not blank."""
        columns = _columns(line)
        content = line.lstrip(" \t")
        what = _what(line) if columns < _CODE_INDENT else "indented"
        if what == "fence":
            marker, info = _fence_parts(content)
            self._fence = (marker[0], len(marker), columns, info)
            self._kind, self._continued = "fence", False
        elif what == "item":
            item = _ITEM.match(content)
            assert item
            self._kind, self._marker = "list", item[1][-1]
            self._begin_item(line, item)
        else:
            self._kind = what if what in {"indented", "quote", "math"} else "text"
            self._marker = content[:2]
            self._append(line)
            if what in {"heading", "rule", "formula"}:
                self._flush()

    def _begin_item(self, line: str, item: re.Match[str]) -> None:
        columns = _columns(line)
        spaces = len((item[3] or "").expandtabs(4))
        empty = not line.lstrip(" \t")[item.end() :].strip()
        self._offset = (
            columns + len(item[1]) + (spaces if 0 < spaces <= _CODE_INDENT and not empty else 1)
        )
        self._append(line)
        self._empty = empty


def _what(line: str) -> str:
    """Which block a line can begin."""
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
    if content[:2] in {"$$", "\\["}:
        _, found, rest = content[2:].partition(MATH_CLOSERS[content[:2]])
        if not found:
            return "math"
        return "" if rest.strip(" \t\n.,;") else "formula"
    if first == "[" and _NOTE.match(content):
        return "note"
    return "item" if _ITEM.match(content) else ""


def _interrupts(line: str) -> bool:
    """Whether a list item can interrupt a paragraph: it has content, and its number is 1."""
    content = line.lstrip(" \t")
    item = _ITEM.match(content)
    return bool(item and content[item.end() :].strip() and int(item[2] or 1) == 1)


def _fence_parts(content: str) -> tuple[str, str]:
    match = _FENCE.match(content)
    assert match
    return match[1] or match[3], (match[2] or match[4] or "").strip()


def closed(text: str) -> str:
    """The text with a closing fence, if it breaks off in a block of code."""
    fence = _open_fence(text.splitlines(keepends=True))
    if not fence:
        return text
    marker, length, indent, _ = fence
    return f"{text.rstrip()}\n{' ' * indent}{marker * length}"


def _open_fence(lines: Iterable[str]) -> tuple[str, int, int, str] | None:
    """The fence that is open after the lines of a list item."""
    fence: tuple[str, int, int, str] | None = None
    for line in lines:
        if fence:
            run = line.strip(" \t\n")
            if len(run) >= fence[1] and not run.strip(fence[0]):
                fence = None
        elif (start := _ITEM_FENCE.match(line)) and _FENCE.match(line[start.end() :]):
            marker, info = _fence_parts(line[start.end() :])
            fence = (marker[0], len(marker), len(start[0].expandtabs(4)), info)
    return fence


# A line that begins so may become a heading, a rule, a list, a fence, a table or text: showing it
# before that is decided would make the page flicker.
_UNDECIDED = re.compile(r"[ \t]*(?:[-=*+_#>~`|$:\\ \t]+|\d{1,9}[.)]?)\Z")
_DELIMITER = re.compile(r"\\.|(`+)|(\*{1,3}|_{1,3}|~~)", re.DOTALL)
_OPEN_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\Z")


def _close_inline(text: str) -> str:
    """Close what is open at the end of unfinished text: code, emphasis, a link's address."""
    start = text.rstrip().rfind("\n\n") + 1
    body = text[start:].rstrip()
    ticks = ""
    stack: list[str] = []
    end = 0
    for match in _DELIMITER.finditer(body):
        if match[1]:
            ticks = "" if ticks == match[1] else ticks or match[1]
        elif match[2] and not ticks:
            before, after = body[: match.start()][-1:], body[match.end() :][:1]
            within = before.isalnum() and after.isalnum() and match[2][0] == "_"
            if stack and stack[-1] == match[2] and before.strip():
                stack.pop()
            elif after.strip() and not within:
                stack.append(match[2])
            elif not after:
                end = len(match[2])  # opened, with nothing in it yet
    if ticks:
        return text[:start] + (body.removesuffix(ticks) if body.endswith(ticks) else body + ticks)
    if end:
        body = body[:-end].rstrip()
    body = _OPEN_LINK.sub(r"\1", body)
    return text[:start] + body + "".join(reversed(stack)) + "\n"
