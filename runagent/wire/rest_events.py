"""The events of a stream of the documented cloud API, which come as server-sent events."""

from __future__ import annotations

from runagent import errors
from runagent.results import StreamEvent, number
from runagent.retry import sensible
from runagent.wire.sse import EventTooLargeError, SSEDecoder
from runagent.wire.text import as_dict, as_text, chunk_text, excerpt, parse_json


class EventStreamReader:
    """Reads the events of one stream."""

    def __init__(self, max_message_size: int) -> None:
        """Start reading; an event of more than `max_message_size` bytes is an error."""
        self._decoder = SSEDecoder(max_message_size)

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take the next bytes; return the events they complete."""
        try:
            return [_event(event, text) for event, text in self._decoder.feed(data)]
        except EventTooLargeError as exc:
            return [_broken(f"{exc}; max_message_size= can raise the limit", "MESSAGE_TOO_LARGE")]

    def outgoing(self) -> bytes:
        """Return nothing, as this wire only listens."""
        return b""

    def closing(self) -> bytes:
        """Return nothing, as closing the connection is enough."""
        return b""

    def failure(self, event: StreamEvent) -> errors.RunAgentError:
        """Return the exception for an `"error"` event."""
        problem = as_dict(event.value)
        if isinstance(problem.get("error"), dict):
            problem = problem["error"]
        message = problem.get("message") or problem.get("error") or event.value
        code = problem.get("code")
        hint = problem.get("suggestion") or problem.get("hint")
        return errors.StreamError(
            message
            if isinstance(message, str) and message
            else f"The stream failed with {message!r}.",
            code=as_text(code),
            details=problem or None,
            retry_after=sensible(number(problem.get("retry_after"))),
            request_id=as_text(problem.get("request_id")),
            hint=hint if isinstance(hint, str) else None,
        )


def _event(kind: str, text: str) -> StreamEvent:
    try:
        value = parse_json(text)
    except ValueError as exc:
        if kind == "chunk":
            return _broken(f"a chunk is not JSON ({exc}): {excerpt(text)!r}", "INVALID_RESPONSE")
        value = text
    if kind != "chunk":
        return StreamEvent(kind, value)
    if isinstance(value, dict) and "content" in value:
        value = value["content"]
    return StreamEvent(kind, value, chunk_text(value))


def _broken(problem: str, code: str) -> StreamEvent:
    return StreamEvent("error", {"error": f"The stream cannot be read: {problem}.", "code": code})
