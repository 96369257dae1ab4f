"""Cuts Markdown that comes in chunks into pieces that can be rendered one by one."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, replace
from typing import Final

from runagent_jupyter.html.folds import Fold, head_of
from runagent_jupyter.html.formulas import LONGEST_FORMULA, is_math_mark, math_marks
from runagent_jupyter.html.line_kinds import (
    CODE_INDENT,
    DEFINITION,
    HEADING_UNDERLINE,
    INTERRUPTING,
    LIST_ITEM,
    NOTE_MARK,
    TABLE_DELIMITERS,
    Fence,
    can_interrupt,
    columns_of,
    dedent,
    fence_of,
    fold_kind,
    kind_of,
    open_fence,
)
from runagent_jupyter.html.unfinished import decided

SIZE: Final = 8_192
"""Characters of a piece, which is parsed as one, and again and again while it is open."""

# A piece costs time of its own. So of text that is cut into many tiny pieces, several are joined.
_TINY: Final = 64  # characters
_MANY: Final = 64  # pieces
_MEAN: Final = 24  # characters
_JOINED: Final = 1_024  # characters


@dataclass(frozen=True)
class Piece:
    """A stretch of the text that is rendered on its own."""

    kind: str
    text: str
    end: int  # position in the whole text
    info: str = ""
    continued: bool = False
    before: int = 0  # characters of the same block of code in earlier pieces
    is_open: bool = False  # whether the text goes on where the piece ends


class Splitter:
    """Cuts clean text into pieces, line by line.

    The cuts depend on the text alone and never on the chunks it came in. They fall between
    top-level blocks of CommonMark. A block that grows beyond `SIZE` is cut after an item or a line,
    and a line is cut only if it is longer than that by itself.
    """

    def __init__(self) -> None:
        self._partial = ""  # the line that has no newline yet
        self._lines: list[str] = []  # of the open piece
        self._size = 0  # of the open piece
        self.seen = 0
        """Characters of complete lines so far."""
        self._out: list[Piece] = []
        self._pieces = 0  # so far
        self._held: list[str] = []  # tiny pieces that will be joined
        self._held_size = 0
        self._kind = ""  # of the open piece: text, quote, list, indented, math, fence, fold, rest
        self._blank = False  # whether the open piece ends with a blank line
        self._fence = Fence("", 0, 0, "")  # of the open block of code
        self._inner = 0  # blocks of code that are open inside it, if it holds Markdown
        self._continued = False  # whether the open block of code began in an earlier piece
        self._before = 0  # characters of that block in earlier pieces
        self._is_within_line = False  # whether the next text continues a line that was cut
        self._fold = Fold("")  # the open details, thought or comment
        self._behind = ""  # the rest of a line in which a fold ended
        self._marker = ""  # of the list; the end of the formula
        self._offset = 0  # the column in which the content of the list's last item begins
        self._empty = False  # whether that item has no content yet
        self._dedent = 0  # columns removed from each line, in a list item cut in two
        self._header = ""  # of the open table or fold
        self._prefix = ""  # the header again, in a table or fold cut in two

    @property
    def size(self) -> int:
        """The number of characters that are in no finished piece."""
        return self._held_size + self._size + len(self._partial)

    def feed(self, text: str) -> list[Piece]:
        """Take the next chunk.

        Returns:
            The pieces that it finished.
        """
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
        """End the text.

        Returns:
            The last pieces.
        """
        partial, self._partial = self._partial, ""
        if partial:
            self._line(partial)
        self._flush()
        self._join()
        return self._take()

    def preview(self) -> list[Piece]:
        """Look at the open rest as it would end now.

        Returns:
            The pieces that `finish` would return, but with everything in them closed. Nothing is
            finished by this.
        """
        ahead = copy.copy(self)
        ahead._lines, ahead._out = self._lines.copy(), []  # noqa: SLF001  # lists of its own
        ahead._held = self._held.copy()  # noqa: SLF001
        return ahead._finish_early()  # noqa: SLF001

    def _finish_early(self) -> list[Piece]:
        partial, self._partial = self._partial, ""
        partial = self._decided(partial)
        if partial:
            self._line(partial)
        is_open = bool(partial or self._kind)
        pieces = self.finish()
        if pieces and is_open:
            pieces[-1] = replace(pieces[-1], is_open=True)
        return pieces

    def _decided(self, partial: str) -> str:
        if self._kind == "fence":
            return "" if self._fence.may_be_closed_by(partial) else partial
        return partial if self._kind == "rest" else decided(partial)

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
                self._emit("fence", text, self._fence.info, self._continued)
            self._continued = kind == "fence"
            self._before = self._before + len(text) if self._continued else 0
        elif text:
            self._emit(self._kind, self._prefix + text)
        self._prefix = self._header if kind in {"text", "fold"} else ""
        self._header = self._prefix
        self._kind = kind
        self._blank = False

    def _emit(self, kind: str, text: str, info: str = "", continued: bool = False) -> None:
        self._pieces += 1
        is_tiny = len(text) <= _TINY and kind not in {"fence", "fold", "rest"}
        if is_tiny and self._pieces > _MANY and self.seen < _MEAN * self._pieces:
            self._held.append(text)
            self._held_size += len(text) + 1
            if self._held_size > _JOINED:
                self._join()
            return
        self._join()
        before = self._before if continued else 0
        self._out.append(Piece(kind, text, self.seen, info, continued, before))

    def _join(self) -> None:
        """Finish the tiny pieces that were held back, as one piece."""
        if self._held:
            self._out.append(Piece("text", "\n".join(self._held), self.seen))
            self._held = []
            self._held_size = 0

    def _part(self, part: str) -> None:
        """Take a part of a line that is too long to wait for its end."""
        self._line(part)
        if self._kind == "list":
            self._leave_item()
        self._is_within_line = True
        if self._kind == "fence":
            self._flush("fence")
        elif self._kind not in {"fold", "rest"}:
            self._flush("rest")

    def _line(self, line: str) -> None:
        self.seen += len(line)
        is_rest, self._is_within_line = self._is_within_line, False
        if self._kind == "fence" and is_rest:
            self._append(line)
            return
        self._behind = line
        while self._behind:
            line, self._behind = self._behind, ""
            self._take_line(line)

    def _take_line(self, line: str) -> None:
        if self._kind == "rest":
            self._append(line)
            self._flush("" if line.endswith("\n") else "rest")
            return
        if self._dedent and not line.isspace():
            if columns_of(line) < self._dedent:
                self._flush()
                self._dedent = 0
            line = dedent(line, self._dedent)
        if self._kind == "fence":
            self._code_line(line)
        elif self._kind == "fold":
            self._fold_line(line)
        elif not line.strip(" \t\n"):
            self._blank_line(line)
        else:
            kind, columns = _kind_and_columns(line)
            if not self._continue(line, kind, columns):
                self._begin(line, kind, columns)

    def _code_line(self, line: str) -> None:
        self._inner = self._fence.depth_behind(line, self._inner)
        if self._inner < 0:
            self._flush()
            return
        # A long block is cut at a line that probably begins a new top-level statement.
        if self._size >= SIZE:
            natural = self._lines[-1].isspace() and not line[:1].isspace()
            if natural or self._size >= 2 * SIZE:
                self._flush("fence")
        indent = self._fence.indent
        self._append(dedent(line, min(indent, columns_of(line))) if indent else line)

    def _fold_line(self, line: str) -> None:
        self._fold, end = self._fold.after(line)
        if end >= 0:
            self._append(line[:end])
            self._flush()
            if rest := line[end:].strip(" \t\n"):
                self._behind = rest + "\n"
            return
        self._append(line)
        can_go_on = self._fold.kind != "comment" and self._fold.depth == 1 and not self._fold.fence
        if can_go_on and self._size >= (SIZE if line.isspace() else 2 * SIZE):
            self._header = self._header or head_of(self._lines)
            self._flush("fold")
        elif self._size >= (SIZE if self._fold.kind == "comment" else 4 * SIZE):
            self._flush()

    def _blank_line(self, line: str) -> None:
        is_math = self._kind == "math" and is_math_mark(self._lines[0])
        if is_math and self._size < LONGEST_FORMULA:
            self._append(line)
        elif self._kind in {"list", "indented"}:
            self._append(line)
            self._blank = True
            if self._size >= 4 * SIZE:
                self._flush()
        elif self._kind:
            self._flush()

    def _continue(self, line: str, kind: str, columns: int) -> bool:
        """Add a line to the open piece, or else finish that piece.

        Returns:
            Whether the line was added.
        """
        match self._kind:
            case "list":
                return self._continue_list(line, kind, columns)
            case "indented" if kind == "indented":
                self._append(line)
                if self._size >= SIZE:
                    self._flush("indented")
                return True
            case "math" if kind != "fence":
                self._append(line)
                if self._marker in line or self._size >= SIZE:
                    self._flush()
                return True
            case "quote" if kind in {"", "indented", "quote"}:
                self._append(line)
                if self._size >= SIZE:
                    self._flush("quote" if kind == "quote" else "text")
                return True
            case "text" if kind not in INTERRUPTING and not (
                kind == "item" and can_interrupt(line)
            ):
                self._continue_text(line, kind)
                return True
        self._flush()
        return False

    def _continue_text(self, line: str, kind: str) -> None:
        before = self._lines[-1] if self._lines else ""
        self._append(line)
        if "|" in before and TABLE_DELIMITERS.match(line):
            header = before + line
            self._header = header if len(header) <= SIZE // 4 else ""
        elif kind == "rule" or (HEADING_UNDERLINE.match(line) and not DEFINITION.match(before)):
            self._flush()
        elif self._size >= SIZE:
            self._flush("text")

    def _continue_list(self, line: str, kind: str, columns: int) -> bool:
        if columns >= self._offset:
            if self._size >= 4 * SIZE:
                self._cut_item(line)
            else:
                self._append(line)
            return True
        item = LIST_ITEM.match(line.lstrip(" \t")) if kind == "item" else None
        if item and item[1][-1] == self._marker:
            if self._size >= SIZE:
                self._flush("list")
            self._begin_item(line, item, columns)
            return True
        # Agents list notes and definitions line by line, without the blank lines that CommonMark
        # expects between them.
        is_definition = self._marker == NOTE_MARK and DEFINITION.match(line)
        is_other = kind not in {"", "indented"} or is_definition
        if is_other or self._blank or self._empty or self._size >= 4 * SIZE:
            self._flush()
            return False
        self._append(line)
        return True

    def _cut_item(self, line: str) -> None:
        """Cut a very long list item before a line."""
        offset = self._offset
        self._leave_item()
        line = dedent(line, offset)
        if self._kind == "fence":
            self._code_line(line)
        else:
            self._begin(line, *_kind_and_columns(line))

    def _leave_item(self) -> None:
        """Treat the rest of a very long list item as if it stood outside the list."""
        fence = open_fence(self._lines)
        self._flush()
        self._dedent += self._offset
        if fence:
            self._fence = fence._replace(indent=max(0, fence.indent - self._offset))
            self._kind, self._continued, self._inner = "fence", True, 0

    def _begin(self, line: str, kind: str, columns: int) -> None:
        """Open a piece with a line that is not blank."""
        content = line.lstrip(" \t")
        if kind == "fence":
            self._fence = fence_of(content, columns)
            self._kind, self._continued, self._inner = "fence", False, 0
        elif kind == "fold":
            self._kind, self._fold = "fold", Fold(fold_kind(content))
            self._fold_line(line)
        elif kind == "note":
            self._kind, self._marker, self._offset = "list", NOTE_MARK, CODE_INDENT
            self._append(line)
        elif kind == "item":
            item = LIST_ITEM.match(content)
            assert item
            self._kind, self._marker = "list", item[1][-1]
            self._begin_item(line, item, columns)
        else:
            self._kind = kind if kind in {"indented", "quote", "math"} else "text"
            marks = math_marks(content) if kind == "math" else None
            self._marker = marks[1] if marks else ""
            self._append(line)
            if kind in {"heading", "rule", "formula"}:
                self._flush()

    def _begin_item(self, line: str, item: re.Match[str], columns: int) -> None:
        spaces = len(item[3].expandtabs(4)) if item[3] else 0
        empty = not item.string[item.end() :].strip()
        self._offset = (
            columns + len(item[1]) + (spaces if 0 < spaces <= CODE_INDENT and not empty else 1)
        )
        self._append(line)
        self._empty = empty


def _kind_and_columns(line: str) -> tuple[str, int]:
    columns = columns_of(line)
    return (kind_of(line) if columns < CODE_INDENT else "indented"), columns
