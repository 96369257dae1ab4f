"""The events of a stream of `runagent serve`, which come as messages of a WebSocket."""

from __future__ import annotations

import sys
from typing import Any

from runagent import errors
from runagent.results import Event
from runagent.wire.error_answers import problem_in
from runagent.wire.runagent_serve_values import decode
from runagent.wire.text import ExpansionError, as_text, brief, chunk_text, excerpt, parse_json
from runagent.wire.websocket_frames import FrameSplitter

_PIECE_EFFORT = 1_000
_EVENT_EFFORT = 1_000
"""Bytes that a piece and a frame count besides their own, as each of them takes work."""

_LARGER = "max_message_size= can raise the limit"

_FAILED = frozenset({"stream_error", "stream_failed", "stream_interrupted", "stream_retry"})
_CLOSE_HINTS = {
    1009: "The input is larger than the server takes.",
    1011: "The server closes a stream whose reader pauses for more than about 20 s.",
}


class WebSocketReader:
    """Reads the messages of one stream, and makes those to be sent.

    It answers pings and sends none, as an agent that is a synchronous generator keeps its server
    from answering. A reader that is fed late answers late, and then the server closes the stream.

    Attributes:
        effort: Bytes read so far, with a surcharge for each piece and frame.
    """

    def __init__(self, request: bytes, max_message_size: int) -> None:
        """Begin with the request for the stream; a message larger than the limit is an error."""
        from wsproto import events  # noqa: PLC0415 - only streams load it
        from wsproto.connection import Connection, ConnectionState, ConnectionType  # noqa: PLC0415

        self.effort = 0
        self._events = events
        self._connection = Connection(ConnectionType.CLIENT)
        self._open = ConnectionState.OPEN
        self._outgoing = bytearray(self._connection.send(events.TextMessage(request.decode())))
        self._frames = FrameSplitter()
        self._limit = max_message_size
        self._message = bytearray()
        self._close_code = 1000

    def outgoing(self) -> bytes:
        """Return the bytes to be sent now: the request, pongs."""
        if not self._outgoing:
            return b""
        data, self._outgoing = bytes(self._outgoing), bytearray()
        return data

    def closing(self) -> bytes:
        """Return the bytes that say goodbye, as the server does not close by itself."""
        data = self.outgoing()
        if self._connection.state is self._open:
            data += self._connection.send(self._events.CloseConnection(self._close_code))
        return data

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes; return the events they complete."""
        found: list[Event] = []
        self.effort += len(data) + _PIECE_EFFORT
        for part in self._frames.split(data):
            if isinstance(part, str):
                self.effort += _EVENT_EFFORT
                found += self._take(part, finished=True)
            else:
                found += self._others(part)
            if found and found[-1][0] in ("done", "error"):
                break
        return found

    def _others(self, data: bytes) -> list[Event]:
        """Take bytes by way of wsproto."""
        found: list[Event] = []
        self._connection.receive_data(data)
        for event in self._connection.events():
            self.effort += _EVENT_EFFORT
            if isinstance(event, self._events.TextMessage):
                found += self._take(event.data, finished=event.message_finished)
            elif isinstance(event, self._events.BytesMessage):
                self._close_code = 1003
                problem = "The stream cannot be read: a message is not text."
                found.append(_broken(problem, "INVALID_RESPONSE"))
            elif isinstance(event, self._events.Ping):
                self._outgoing += self._connection.send(event.response())
            elif isinstance(event, self._events.CloseConnection):
                found.append(self._closed(int(event.code), event.reason or ""))
            if found and found[-1][0] in ("done", "error"):
                break
        return found

    def _take(self, part: str, *, finished: bool) -> list[Event]:
        whole = finished and not self._message
        size = len(part)
        if not (whole and part.isascii()):
            # As bytes, since a part takes four bytes a character if one of them is an emoji.
            self._message += part.encode()
            size = len(self._message)
        if size > self._limit:
            return [self._too_large()]
        if not finished:
            return []
        if not whole:
            part = self._message.decode()
        self._message = bytearray()
        return [_event(part, self._limit)]

    def _too_large(self) -> Event:
        self._close_code = 1009
        problem = (
            f"The stream cannot be read: a message is larger than {self._limit:,} bytes; {_LARGER}."
        )
        return _broken(problem, "MESSAGE_TOO_LARGE")

    def _closed(self, code: int, reason: str) -> Event:
        if self._connection.state is self._open:  # these are not bytes of a WebSocket
            self._close_code = code
            return _broken(f"The stream cannot be read: {reason}.", "INVALID_RESPONSE")
        why = f"{code}, {reason}" if reason else str(code)
        problem = f"The stream was cut off: the server closed it before its end ({why})."
        return _broken(problem, "STREAM_CUT_OFF", _CLOSE_HINTS.get(code))

    def failure(self, value: Any) -> errors.RunAgentError:
        """Return the exception for an `"error"` event with this value."""
        frame: dict[str, Any] = value
        problem = problem_in(frame)
        message = problem.message or f"The stream failed: {brief(frame)}"
        details = problem.details or (problem.fields if problem.fields is not frame else None)
        request_id = problem.request_id or as_text(frame.get("invocation_id"))
        if "detail" in frame and "error" not in frame:
            # Refused before it began: an unknown entrypoint, a malformed request.
            code = "NOT_FOUND" if message.endswith("not found") else "VALIDATION_ERROR"
            return errors.ValidationError(
                message, problem.code or code, details, request_id=request_id, hint=problem.hint
            )
        return errors.StreamError(
            message,
            problem.code,
            details,
            request_id=request_id,
            retry_after=problem.retry_after,
            hint=problem.hint,
        )


def _event(message: str, limit: int) -> Event:
    if not message.strip():
        return "message", None, None
    try:
        return _read(parse_json(message, limit), limit, sys.getsizeof(message))
    except ExpansionError as exc:
        problem = f"The stream cannot be read: a message is too large: {exc}; {_LARGER}."
        return _broken(problem, "MESSAGE_TOO_LARGE")
    except (ValueError, RecursionError) as exc:
        return _broken(
            f"The stream cannot be read: a message is not JSON ({exc}): {excerpt(message)!r}.",
            "INVALID_RESPONSE",
        )


def _read(frame: Any, limit: int, held: int) -> Event:
    if not isinstance(frame, dict):
        return "message", frame, None
    kind = frame.get("type")
    if kind == "data":
        key = next((key for key in ("content", "data", "payload", "delta") if key in frame), "")
        content = frame.get(key)
        value = decode(content, limit, held + sys.getsizeof(content))
        return "chunk", value, chunk_text(value)
    if kind == "error" or (kind is None and (frame.get("error") or frame.get("detail"))):
        return "error", frame, None
    status = frame.get("status")
    if kind != "status" or not isinstance(status, str):
        return as_text(kind) or "message", frame, None
    if status in _FAILED:
        return "error", {"error": f"The stream failed: {status}", **frame}, None
    known = {"stream_started": "start", "stream_completed": "done"}
    return known.get(status, status), frame, None


def _broken(problem: str, code: str, hint: str | None = None) -> Event:
    return "error", {"error": problem, "code": code, "hint": hint}, None
