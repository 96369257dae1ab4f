"""Markdown that is shown up to a limit, so that no answer is too long for a notebook."""

from __future__ import annotations

from typing import Final

from runagent_jupyter.html.formulas import typeset
from runagent_jupyter.html.stream import MarkdownStream

MOST_CHARACTERS: Final = 500_000
"""Characters of a text that are shown. They are about 200 printed pages."""

_MOST_BYTES: Final = 1_000_000
"""Bytes of HTML, without pictures, after which nothing more is shown. Jupyter's server drops an
output if more than 3 MB come within 3 s, and an output has the text beside its HTML."""

_MOST_TAKEN: Final = 24_000_000
"""Characters, with the data of pictures, that are read at all."""

_SLICE: Final = 4_096
"""Characters between two looks at the limits. They are counted from the beginning of the text, so
that the same is shown however the text was cut into chunks."""


class LimitedStream(MarkdownStream):
    """Does what `MarkdownStream` does, and leaves out what comes after its limits are reached.

    Attributes:
        taken: Characters of the text that are shown, also in the tail.
        is_full: Whether the limits are reached, so that no text is taken any more.
    """

    def __init__(self, *, line_breaks: bool = True) -> None:
        super().__init__(line_breaks=line_breaks)
        self.taken = 0
        self.is_full = False
        self._bytes = 0

    def feed(self, chunk: str) -> list[str]:
        """Take the next chunk, or as much of it as is shown.

        Returns:
            The HTML of the blocks that it finished, in order.
        """
        blocks: list[str] = []
        at = 0
        while at < len(chunk) and not self.is_full:
            size = _SLICE - self.taken % _SLICE
            piece = chunk[at : at + size]
            found = super().feed(piece)
            blocks += found
            at += len(piece)
            self.taken += len(piece)
            self._bytes += sum(len(typeset(block).encode("utf-8", "replace")) for block in found)
            if self.taken % _SLICE == 0:
                self.is_full = (
                    self.seen >= MOST_CHARACTERS
                    or self._bytes - self.picture_characters >= _MOST_BYTES
                    or self.taken >= _MOST_TAKEN
                )
        return blocks
