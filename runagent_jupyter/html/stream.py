"""Markdown to safe HTML, whole or as it streams: finished blocks, and an unfinished tail."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from markdown_it import MarkdownIt

from runagent_jupyter.control_characters import TextStream, strip_controls
from runagent_jupyter.data.data_uris import DataUris, marks_in, with_marks_replaced
from runagent_jupyter.html.code_block import code_block
from runagent_jupyter.html.escaping import plain
from runagent_jupyter.html.highlighting import Allowance
from runagent_jupyter.html.links import References
from runagent_jupyter.html.parser import NESTING, parser
from runagent_jupyter.html.picture_slots import PictureBudget, PictureSlots, picture_note
from runagent_jupyter.html.sanitizer import sanitize
from runagent_jupyter.html.splitter import Piece, Splitter

_SHORT_URI: Final = 200
"""Characters of a picture's address that may be written any number of times."""

# Characters of addresses that reference links may add to the page, beyond the length of the text.
_REFERENCE_BUDGET: Final = 100_000


def render(text: str, *, line_breaks: bool = True) -> str:
    """Render Markdown.

    It is CommonMark with tables, strikethrough, task lists, footnotes, alerts, bare links, folded
    details and thoughts, and TeX formulas. A few tags of HTML are read, without attributes; all
    other HTML is shown as text. An image that comes as data is shown once it was checked, and any
    other is a link to it. The result loads nothing and runs nothing.

    Args:
        text: Any text of any size; the work grows linearly.
        line_breaks: Whether the end of a line in running text is kept, as GitHub does in comments.
            Agents do not wrap their text, so they mean the lines they write: of poems, addresses
            and lists with marks of their own. CommonMark shows a space instead.

    Returns:
        Safe HTML, to be put into `wrap`.
    """
    stream = MarkdownStream(line_breaks=line_breaks)
    stream.feed(text)
    stream.finish()
    return stream.html()


def code_blocks(text: str) -> list[str]:
    """Return the text of each block of code in Markdown, in order.

    Args:
        text: Any text.

    Returns:
        The blocks without control characters, as they are when they are copied from the page.
    """
    splitter, markdown, found = Splitter(), parser(), list[str]()
    for piece in [*splitter.feed(strip_controls(text)), *splitter.finish()]:
        if piece.kind == "fence" and piece.continued and found:
            found[-1] += piece.text
        elif piece.kind == "fence":
            found.append(piece.text)
        elif piece.kind not in ("rest", "math"):
            env: dict[str, Any] = {"references": References(), "uris": _Uris([])}
            blocks = markdown.parse(piece.text, env)
            found += [token.content for token in blocks if token.type in ("fence", "code_block")]
    return found


class MarkdownStream:
    """Renders Markdown that comes in chunks as HTML that grows at its end.

    The text is cut into blocks: paragraphs, lists and so on. A block of more than about 8,000
    characters is cut into several. A finished block does not change any more, with one exception: a
    link by reference whose definition comes later (``[text][1]``, and at the end ``[1]: https://…``)
    gets its address in `finish`.

    A display shows each block that `feed` returns once, and below the blocks it shows `tail`, as
    often as it likes. Each `tail` costs time in proportion to `tail_size`, which stays below about
    17,000 characters, or below 41,000 within a single long list item. At the end the display
    removes the tail, shows the blocks that `finish` returns and replaces those in `revised`; or it
    simply shows `html`. The blocks are then the same, byte for byte, however the text was cut into
    chunks, and the same as those of `render`.

    Args:
        line_breaks: Whether the end of a line in running text is kept.
    """

    def __init__(self, *, line_breaks: bool = True) -> None:
        self._parser = parser(line_breaks=line_breaks)
        self._open_parser = parser(line_breaks=line_breaks, is_open=True)
        self._controls = TextStream()
        self._uris = DataUris()
        self._allowance = Allowance()
        self._pictures = PictureBudget()
        self._homes: dict[int, int] = {}  # of each address, the block in which it stands
        self._splitter = Splitter()
        self._references = References()
        self._spent = 0  # of the budget for addresses
        self._waiting: dict[int, tuple[Piece, set[str]]] = {}  # for definitions, by position
        self._blocks: list[str] = []
        self.revised: dict[int, str] = {}
        """After `finish`: the new HTML of blocks that were returned earlier, by position."""

    @property
    def blocks(self) -> Sequence[str]:
        """The HTML of all finished blocks so far."""
        return self._blocks

    @property
    def tail_size(self) -> int:
        """The number of characters in the tail."""
        return self._splitter.size

    @property
    def seen(self) -> int:
        """The number of characters that have come, without the data of pictures."""
        return self._splitter.seen

    @property
    def picture_characters(self) -> int:
        """The number of characters that the data of pictures has in the finished blocks."""
        return self._pictures.characters

    def feed(self, chunk: str) -> list[str]:
        """Take the next chunk.

        Returns:
            The HTML of the blocks that it finished, in order.
        """
        return self._commit(self._splitter.feed(self._uris.feed(self._controls.feed(chunk))))

    def append(self, block: str) -> None:
        """Add a block that was made elsewhere, to a stream without an unfinished rest.

        Args:
            block: Safe HTML of this package.
        """
        self._blocks.append(block)

    def tail(self) -> str:
        """Render the unfinished rest as it looks now, with everything in it closed.

        Returns:
            HTML to show below the finished blocks until the next call; empty after `finish`.
        """
        references = References(self._references, self._budget(self._splitter.seen))
        uris = _Uris(self._uris.found)
        allowance = Allowance()
        rendered = ""
        for piece in self._splitter.preview():
            parser = self._open_parser if piece.is_open else self._parser
            content = _rendered(parser, piece, references, uris, allowance)
            rendered += uris.finished(sanitize(content))
        return rendered

    def finish(self) -> list[str]:
        """End the text.

        Returns:
            The HTML of the last blocks. Earlier blocks whose links got an address only now are in
            `revised`.
        """
        rest = self._uris.feed(self._controls.finish()) + self._uris.finish()
        pieces = self._splitter.feed(rest)
        last = self._commit(pieces + self._splitter.finish())
        for position, (piece, missed) in self._waiting.items():
            if any(label in self._references for label in missed):
                content, _, uris = self._render(piece, position)
                self._blocks[position] = self.revised[position] = uris.finished(sanitize(content))
        self._waiting.clear()
        return last

    def html(self) -> str:
        """Render everything that has come so far.

        Returns:
            The HTML of the finished blocks and the tail.
        """
        return "".join(self._blocks) + self.tail()

    def _budget(self, seen: int) -> int:
        return _REFERENCE_BUDGET + seen - self._spent

    def _render(self, piece: Piece, position: int) -> tuple[str, References, _Uris]:
        """Render a finished piece as HTML to be sanitized, whose addresses are not written yet."""
        references = References(self._references, self._budget(piece.end))
        for number in marks_in(piece.text):
            self._homes.setdefault(number, position)
        uris = _FinishedUris(
            self._uris.found, self._pictures.slots(position), self._homes, position
        )
        rendered = _rendered(self._parser, piece, references, uris, self._allowance)
        self._spent += references.spent
        return rendered, references, uris

    def _commit(self, pieces: Iterable[Piece]) -> list[str]:
        first = len(self._blocks)
        made: list[tuple[str, _Uris]] = []
        for piece in pieces:
            position = first + len(made)
            rendered, references, uris = self._render(piece, position)
            self._references.own.update(references.own)
            if references.missed:
                self._waiting[position] = piece, references.missed
            if rendered:
                made.append((rendered, uris))
        # The sanitizer takes a third of its time if it does not run in turn with the parser.
        self._blocks += [uris.finished(sanitize(content)) for content, uris in made]
        return self._blocks[first:]


class _Uris:
    """The addresses of pictures in a piece that is still open: they are shown as words."""

    def __init__(self, found: Sequence[str]) -> None:
        self._found = found

    def image(self, number: int, alt: str) -> str:
        """Show an image; the result is to be sanitized."""
        del number
        return picture_note(alt)

    def text(self, number: int) -> str:
        """Write an address where it is not that of an image."""
        uri = self._found[number]
        return uri if len(uri) <= _SHORT_URI else f"{uri[: uri.index(',') + 1]}\u2026"

    def expanded(self, text: str) -> str:
        """Write the addresses in a text, or in HTML."""
        return with_marks_replaced(text, self.text)

    def finished(self, content: str) -> str:
        """Complete the sanitized HTML of the piece."""
        return self.expanded(content)


class _FinishedUris(_Uris):
    """The addresses of pictures in a finished piece: they become pictures."""

    def __init__(
        self, found: Sequence[str], slots: PictureSlots, homes: dict[int, int], position: int
    ) -> None:
        super().__init__(found)
        self._slots = slots
        self._homes = homes
        self._position = position
        self._written: set[int] = set()

    def image(self, number: int, alt: str) -> str:
        return self._slots.image(self._found[number], alt)

    def text(self, number: int) -> str:
        # Headers of tables and definitions come again and again, and an address may be very long.
        if self._homes.get(number) == self._position and number not in self._written:
            self._written.add(number)
            return self._found[number]
        return super().text(number)

    def finished(self, content: str) -> str:
        return self._slots.fill(self.expanded(content))


def _rendered(
    markdown: MarkdownIt, piece: Piece, references: References, uris: _Uris, allowance: Allowance
) -> str:
    """Render a piece as HTML to be sanitized."""
    if piece.kind == "fence":
        text = uris.expanded(piece.text)
        return code_block(text, piece.info, piece.continued, piece.before, allowance)
    env: dict[str, Any] = {"references": references, "uris": uris, "allowance": allowance}
    if piece.kind == "rest":
        tokens = markdown.parseInline(piece.text, env)
        content = markdown.renderer.render(tokens, markdown.options, env)
        return f'<p class="ra-continued" dir="auto">{content}</p>\n'
    tokens = markdown.parse(piece.text, env)
    if any(token.level >= NESTING - 1 for token in tokens):
        return plain(piece.text)  # the parser drops content that is nested deeper
    return str(markdown.renderer.render(tokens, markdown.options, env))
