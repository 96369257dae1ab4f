"""Whole messages of text, taken out of the bytes of a WebSocket before wsproto sees them.

Nearly everything that agents send is such a frame, and wsproto takes several times as long for it.
All other frames, and whatever breaks the rules of the protocol, are left to wsproto.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

_TEXT = 0x81
"""The first byte of a frame that is a whole message of text."""

_LAST = 0x80
"""The first bytes of frames that end a message are not less."""

_MASKED = 0x80
"""The bit in the second byte of frames that are masked, as those of servers never are."""

_IN_TWO_BYTES = 126
"""The second byte of a frame whose length is in the next two. Smaller ones are the length."""

_LONGER_HEAD = 4
"""Bytes before the content of such a frame."""

_FIRST_CONTROL = 0x8
"""The first opcode of pings, pongs and closes, which may come in the middle of a message."""


class FrameSplitter:
    """Splits what a server sends over one WebSocket into its frames."""

    def __init__(self) -> None:
        """Begin before the first frame."""
        self._head = b""  # the beginning of a frame that does not tell its length yet
        self._left = 0  # bytes to come of a frame that wsproto reads
        self._in_message = False

    def split(self, data: bytes) -> Iterator[str | bytes]:
        """Take the next bytes; yield them in parts.

        Yields:
            The text of a frame that is a whole message; else bytes for wsproto. A frame that comes
            in two pieces is among the latter.
        """
        if self._head:
            data, self._head = self._head + data, b""
        at, end = 0, len(data)
        while at < end:
            if not self._left:
                bounds = _content(data, at)
                if bounds is None:
                    self._head = data[at:]
                    return
                start, stop = bounds
                if stop <= end and not self._in_message and _is_plain(data, at, stop):
                    with suppress(UnicodeDecodeError):
                        text = data[start:stop].decode()
                        at = stop
                        yield text
                        continue
                if data[at] & 0x0F < _FIRST_CONTROL:
                    self._in_message = data[at] < _LAST
                self._left = stop - at
            part = data[at : at + self._left]
            self._left -= len(part)
            at += len(part)
            yield part


def _content(data: bytes, at: int) -> tuple[int, int] | None:
    """Return where the content of a frame begins and ends, `None` if that does not show yet."""
    if len(data) < at + 2:
        return None
    start, size = at + 2, data[at + 1]
    if size < _IN_TWO_BYTES:
        return start, start + size
    is_masked, size = bool(size & _MASKED), size & ~_MASKED
    if size >= _IN_TWO_BYTES:
        start += 2 if size == _IN_TWO_BYTES else 8
        if len(data) < start:
            return None
        size = int.from_bytes(data[at + 2 : start], "big")
    if is_masked:
        start += 4
    return start, start + size


def _is_plain(data: bytes, at: int, stop: int) -> bool:
    """Whether a frame is a whole message of text, not masked, and no longer than it has to be."""
    if data[at] != _TEXT:
        return False
    size = data[at + 1]
    return size < _IN_TWO_BYTES or (
        size == _IN_TWO_BYTES and stop - at - _LONGER_HEAD >= _IN_TWO_BYTES
    )
