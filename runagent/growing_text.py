"""A text that comes in pieces, which other threads may read meanwhile."""

from __future__ import annotations

_TOGETHER = 1_000
"""Pieces that are joined into one string; each alone would take about 50 bytes more."""


class GrowingText:
    """A text that grows. One thread adds to it, and others may read it meanwhile."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        # Long strings, and the pieces since the last of them. Both are replaced in one step, so
        # that another thread that reads the text sees each piece once. In the end, one string.
        self._held: tuple[tuple[str, ...], list[str]] | str = ""

    def recent(self) -> list[str]:
        """Return the list that the next pieces are appended to."""
        held = self._held
        if isinstance(held, str):
            held = self._held = ((held,) if held else (), [])
        parts, recent = held
        if len(recent) >= _TOGETHER:
            held = self._held = ((*parts, "".join(recent)), [])
        return held[1]

    def pieces(self) -> tuple[str, ...]:
        """Return the text so far in pieces."""
        held = self._held
        return (held,) if isinstance(held, str) else (*held[0], *held[1])

    def whole(self) -> str:
        """Return the text so far."""
        return "".join(self.pieces())

    def close(self) -> None:
        """Join all pieces, as no more come."""
        self._held = self.whole()
