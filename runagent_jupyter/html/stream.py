"""Markdown to safe HTML, whole or as it streams: finished blocks, and an unfinished tail."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from runagent_jupyter.control_characters import TextStream
from runagent_jupyter.html.code_block import code_block
from runagent_jupyter.html.escaping import plain
from runagent_jupyter.html.links import References
from runagent_jupyter.html.parser import NESTING, parser
from runagent_jupyter.html.sanitizer import sanitize
from runagent_jupyter.html.splitter import Piece, Splitter

# Characters of addresses that reference links may add to the page, beyond the length of the text.
_REFERENCE_BUDGET: Final = 100_000


def render(text: str) -> str:
    """Render Markdown.

    It is CommonMark with tables, strikethrough, task lists, footnote marks, bare links and TeX
    formulas. HTML in it is shown as text, and an image as a link to it. The result loads nothing
    and runs nothing.

    Args:
        text: Any text of any size; the work grows linearly.

    Returns:
        Safe HTML, to be put into `wrap`.
    """
    stream = MarkdownStream()
    stream.feed(text)
    stream.finish()
    return stream.html()


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
    """

    def __init__(self) -> None:
        self._controls = TextStream()
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

    def feed(self, chunk: str) -> list[str]:
        """Take the next chunk.

        Returns:
            The HTML of the blocks that it finished, in order.
        """
        return self._commit(self._splitter.feed(self._controls.feed(chunk)))

    def tail(self) -> str:
        """Render the unfinished rest as it looks now, with everything in it closed.

        Returns:
            HTML to show below the finished blocks until the next call; empty after `finish`.
        """
        references = References(self._references, self._budget(self._splitter.seen))
        return "".join(_rendered(piece, references) for piece in self._splitter.preview())

    def finish(self) -> list[str]:
        """End the text.

        Returns:
            The HTML of the last blocks. Earlier blocks whose links got an address only now are in
            `revised`.
        """
        pieces = self._splitter.feed(self._controls.finish())
        last = self._commit(pieces + self._splitter.finish())
        for position, (piece, missed) in self._waiting.items():
            if any(label in self._references for label in missed):
                revised = self._render(piece)[0]
                self._blocks[position] = self.revised[position] = revised
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

    def _render(self, piece: Piece) -> tuple[str, References]:
        references = References(self._references, self._budget(piece.end))
        rendered = _rendered(piece, references)
        self._spent += references.spent
        return rendered, references

    def _commit(self, pieces: Iterable[Piece]) -> list[str]:
        first = len(self._blocks)
        for piece in pieces:
            rendered, references = self._render(piece)
            self._references.own.update(references.own)
            if references.missed:
                self._waiting[len(self._blocks)] = piece, references.missed
            if rendered:
                self._blocks.append(rendered)
        return self._blocks[first:]


def _rendered(piece: Piece, references: References) -> str:
    if piece.kind == "fence":
        return sanitize(code_block(piece.text, piece.info, piece.continued))
    markdown = parser()
    env: dict[str, Any] = {"references": references}
    if piece.kind == "rest":
        tokens = markdown.parseInline(piece.text, env)
        content = markdown.renderer.render(tokens, markdown.options, env)
        return sanitize(f'<p class="runagent-continued" dir="auto">{content}</p>\n')
    tokens = markdown.parse(piece.text, env)
    if any(token.level >= NESTING - 1 for token in tokens):
        return plain(piece.text)  # the parser drops content that is nested deeper
    return sanitize(markdown.renderer.render(tokens, markdown.options, env))
