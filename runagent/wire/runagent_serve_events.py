"""The events of a stream of `runagent serve`, which come as messages of a WebSocket."""

from __future__ import annotations

from runagent import errors
from runagent.results import StreamEvent
from runagent.wire.runagent_serve_values import decode
from runagent.wire.text import as_text, chunk_text, excerpt, parse_json

_FAILED = frozenset({"stream_error", "stream_failed", "stream_interrupted", "stream_retry"})
_CLOSE_HINTS = {
    1009: "The input is larger than the server takes.",
    1011: "The server closes a stream whose reader pauses for more than about 20 s.",
}


class WebSocketReader:
    """Reads the messages of one stream, and makes those to be sent.

    It answers pings and sends none, as an agent that is a synchronous generator keeps its server
    from answering. A reader that is fed late answers late, and then the server closes the stream.
    """

    def __init__(self, request: bytes, max_message_size: int) -> None:
        """Begin with the request for the stream; a message larger than the limit is an error."""
        from wsproto import events  # noqa: PLC0415 - only streams load it
        from wsproto.connection import Connection, ConnectionState, ConnectionType  # noqa: PLC0415

        self._events = events
        self._connection = Connection(ConnectionType.CLIENT)
        self._open = ConnectionState.OPEN
        self._outgoing = bytes(self._connection.send(events.TextMessage(request.decode())))
        self._limit = max_message_size
        self._parts: list[str] = []
        self._size = 0
        self._close_code = 1000

    def outgoing(self) -> bytes:
        """Return the bytes to be sent now: the request, pongs."""
        data, self._outgoing = self._outgoing, b""
        return data

    def closing(self) -> bytes:
        """Return the bytes that say goodbye, as the server does not close by itself."""
        data = self.outgoing()
        if self._connection.state is self._open:
            data += self._connection.send(self._events.CloseConnection(self._close_code))
        return data

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take the next bytes; return the events they complete."""
        found: list[StreamEvent] = []
        self._connection.receive_data(data)
        for event in self._connection.events():
            if isinstance(event, self._events.TextMessage):
                found += self._message(event.data, event.message_finished)
            elif isinstance(event, self._events.BytesMessage):
                self._close_code = 1003
                problem = "The stream cannot be read: a message is not text."
                found.append(_broken(problem, "INVALID_RESPONSE"))
            elif isinstance(event, self._events.Ping):
                self._outgoing += self._connection.send(event.response())
            elif isinstance(event, self._events.CloseConnection):
                found.append(self._closed(int(event.code), event.reason or ""))
            if found and found[-1].kind in ("done", "error"):
                break
        return found

    def _message(self, part: str, finished: bool) -> list[StreamEvent]:
        self._parts.append(part)
        self._size += len(part) if part.isascii() else len(part.encode())
        if self._size > self._limit:
            self._close_code = 1009
            return [
                _broken(
                    f"The stream cannot be read: a message is larger than {self._limit:,} bytes; "
                    "max_message_size= can raise the limit.",
                    "MESSAGE_TOO_LARGE",
                )
            ]
        if not finished:
            return []
        message = "".join(self._parts)
        self._parts.clear()
        self._size = 0
        return [_event(message)]

    def _closed(self, code: int, reason: str) -> StreamEvent:
        if self._connection.state is self._open:  # these are not bytes of a WebSocket
            self._close_code = code
            return _broken(f"The stream cannot be read: {reason}.", "INVALID_RESPONSE")
        why = f"{code}, {reason}" if reason else str(code)
        problem = f"The stream was cut off: the server closed it before its end ({why})."
        return _broken(problem, "STREAM_CUT_OFF", _CLOSE_HINTS.get(code))

    def failure(self, event: StreamEvent) -> errors.RunAgentError:
        """Return the exception for an `"error"` event."""
        frame = event.value
        problem = next((frame[key] for key in ("error", "detail", "message") if frame.get(key)), "")
        code = frame.get("code")
        details = None
        hint = frame.get("hint") or frame.get("suggestion")
        request_id = as_text(frame.get("request_id") or frame.get("invocation_id"))
        if isinstance(problem, dict):
            details = problem
            hint = problem.get("hint") or problem.get("suggestion") or hint
            code = problem.get("code") or code
            problem = problem.get("message") or problem
        message = problem if isinstance(problem, str) and problem else f"The stream failed: {frame}"
        hint = hint if isinstance(hint, str) else None
        if "detail" in frame and "error" not in frame:
            # Refused before it began: an unknown entrypoint, a malformed request.
            code = code or ("NOT_FOUND" if message.endswith("not found") else "VALIDATION_ERROR")
            return errors.ValidationError(message, code, details, request_id=request_id, hint=hint)
        return errors.StreamError(message, as_text(code), details, request_id=request_id, hint=hint)


def _event(message: str) -> StreamEvent:
    try:
        frame = parse_json(message)
    except ValueError as exc:
        return _broken(
            f"The stream cannot be read: a message is not JSON ({exc}): {excerpt(message)!r}.",
            "INVALID_RESPONSE",
        )
    if not isinstance(frame, dict):
        return StreamEvent("message", frame)
    kind = frame.get("type")
    if kind == "data":
        key = next((key for key in ("content", "data", "payload", "delta") if key in frame), "")
        value = decode(frame.get(key))
        return StreamEvent("chunk", value, chunk_text(value))
    if kind == "error":
        return StreamEvent("error", frame)
    status = frame.get("status")
    if kind != "status" or not isinstance(status, str):
        return StreamEvent(str(kind), frame)
    if status in _FAILED:
        return StreamEvent("error", {"error": f"The stream failed: {status}", **frame})
    known = {"stream_started": "start", "stream_completed": "done"}
    return StreamEvent(known.get(status, status), frame)


def _broken(problem: str, code: str, hint: str | None = None) -> StreamEvent:
    return StreamEvent("error", {"error": problem, "code": code, "hint": hint})
