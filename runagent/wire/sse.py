"""Server-sent events from bytes, as the WHATWG specification reads them.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

_BOM = b"\xef\xbb\xbf"

ServerSentEvent = tuple[str, str]
r"""One dispatched event: its type, `"message"` unless the stream named one; its data, the lines
joined by `"\n"`."""


class EventTooLargeError(ValueError):
    """An event that is larger than the decoder may hold."""


class SSEDecoder:
    """Turns the bytes of a stream, in pieces of any size, into events. Does no I/O.

    Bytes are split into lines before they are decoded: no byte of a multi-byte character can be
    a line feed or a carriage return, so that pieces may end anywhere.

    `id` and `retry` are ignored: they serve to connect again, and a stream cannot be resumed.
    """

    def __init__(self, max_event_size: int | None = None) -> None:
        """Start at the beginning of a stream.

        Args:
            max_event_size: Bytes an event may have before `feed` raises; `None` for no limit.
        """
        self._limit = float("inf") if max_event_size is None else max_event_size
        self._line: list[bytes] = []  # pieces of a line that has not ended yet
        self._line_size = 0
        self._skip_lf = False
        self._at_start = True
        # One buffer: a list of lines of a byte each would take fifty times their size.
        self._data: bytes | bytearray | None = None
        self._event = b""

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Take the next bytes; return the events they complete.

        Raises:
            EventTooLargeError: An event larger than `max_event_size`.
        """
        if self._skip_lf and data:
            self._skip_lf = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._skip_lf = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        first, *lines = data.split(b"\n")
        self._hold(first)
        if not lines:
            return []
        rest = lines.pop()
        lines.insert(0, b"".join(self._line))
        self._line.clear()
        self._line_size = 0
        if self._at_start:
            self._at_start = False
            lines[0] = lines[0].removeprefix(_BOM)
        events = self._read(lines)
        self._hold(rest)
        return events

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._line.append(piece)
            self._line_size += len(piece)
        if len(self._event) + len(self._data or b"") + self._line_size > self._limit:
            raise self._too_large()

    def _too_large(self) -> EventTooLargeError:
        return EventTooLargeError(f"an event is larger than {self._limit:,} bytes")

    def _read(self, lines: list[bytes]) -> list[ServerSentEvent]:
        events: list[ServerSentEvent] = []
        event, data = self._event, self._data
        for line in lines:
            if not line:
                if data is not None:
                    if len(event) + len(data) > self._limit:
                        raise self._too_large()
                    kind = event.decode("utf-8", "replace") or "message"
                    events.append((kind, data.decode("utf-8", "replace")))
                    data = None
                event = b""
            elif data is None and line.startswith(b"data: "):  # the lines of almost all events
                data = line[6:]
            elif line.startswith(b"event: "):
                event = line[7:]
            else:
                name, _, value = line.partition(b":")
                value = value.removeprefix(b" ")
                if name == b"event":
                    event = value
                elif name == b"data":
                    data = value if data is None else _joined(data, value)
        self._event, self._data = event, data
        return events


def _joined(data: bytes | bytearray, line: bytes) -> bytearray:
    """Return data with another line; it grows in place."""
    grown = bytearray(data) if isinstance(data, bytes) else data
    grown += b"\n"
    grown += line
    return grown
