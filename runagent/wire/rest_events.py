"""The events of a stream of the documented cloud API, which come as server-sent events."""

from __future__ import annotations

from typing import Any

from runagent import errors
from runagent.results import Event
from runagent.wire.error_answers import is_error, problem_in
from runagent.wire.sse import EventTooLargeError, SSEDecoder
from runagent.wire.text import ExpansionError, brief, chunk_text, excerpt, parse_json

_EFFORT = 1_000
_LINE_EFFORT = 16
"""Bytes that a piece or an event, and a line, count besides their own, as each takes work."""

_LARGER = "max_message_size= can raise the limit"


class EventStreamReader:
    """Reads the events of one stream.

    Attributes:
        effort: Bytes read so far, with a surcharge for each piece, line and event.
    """

    def __init__(self, max_message_size: int) -> None:
        """Start reading; an event of more than `max_message_size` bytes is an error."""
        self.effort = 0
        self._decoder = SSEDecoder(max_message_size)
        self._limit = max_message_size

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes; return the events they complete."""
        size = len(data)
        self.effort += size + _EFFORT
        if size > _EFFORT:
            self.effort += _LINE_EFFORT * (data.count(b"\n") + data.count(b"\r"))
        try:
            found = self._decoder.feed(data)
            if len(found) > 1:
                self.effort += _EFFORT * len(found)
            return [_event(event, text, self._limit) for event, text in found]
        except EventTooLargeError as exc:
            return [_broken(f"{exc}; {_LARGER}", "MESSAGE_TOO_LARGE")]

    def outgoing(self) -> bytes:
        """Return nothing, as this wire only listens."""
        return b""

    def closing(self) -> bytes:
        """Return nothing, as closing the connection is enough."""
        return b""

    def failure(self, value: Any) -> errors.RunAgentError:
        """Return the exception for an `"error"` event with this value."""
        problem = problem_in(value)
        return errors.StreamError(
            problem.message or f"The stream failed with {brief(value)}.",
            problem.code,
            problem.fields or None,
            retry_after=problem.retry_after,
            request_id=problem.request_id,
            hint=problem.hint,
        )


def _event(kind: str, text: str, limit: int) -> Event:
    value: Any
    try:
        # The text of a chunk that is an object is JSON once more.
        value = parse_json(text, limit, len(text))
        if kind == "chunk":
            if isinstance(value, dict) and "content" in value:
                value = value["content"]
            return kind, value, value if isinstance(value, str) else chunk_text(value)
    except ExpansionError as exc:
        return _broken(f"an event is too large: {exc}; {_LARGER}", "MESSAGE_TOO_LARGE")
    except (ValueError, RecursionError) as exc:
        if kind == "chunk":
            if not text.strip():
                return kind, None, None
            return _broken(f"a chunk is not JSON ({exc}): {excerpt(text)!r}", "INVALID_RESPONSE")
        value = text
    if kind == "message" and _is_nameless_error(value):
        kind = "error"
    return kind, value, None


def _is_nameless_error(value: Any) -> bool:
    """Whether the value of an event without a name tells of an error, as some frameworks do."""
    return is_error(value) or (
        isinstance(value, dict) and (value.get("type") == "error" or bool(value.get("error")))
    )


def _broken(problem: str, code: str) -> Event:
    return "error", {"error": f"The stream cannot be read: {problem}.", "code": code}, None
