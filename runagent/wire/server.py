"""What `runagent serve` speaks: `/api/v1/agents/{id}/run`, and a WebSocket for streams."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from runagent import errors
from runagent.results import Entrypoint, RunResult, StreamEvent
from runagent.wire import (
    GENERIC,
    GENERIC_STREAM,
    Input,
    Outgoing,
    chunk_text,
    describe,
    excerpt,
    parse_json,
)
from runagent.wire.rest import error_from

_KINDS: Mapping[str, type[errors.RunAgentError]] = {
    "AUTHENTICATION_ERROR": errors.AuthenticationError,
    "PERMISSION_ERROR": errors.AuthenticationError,
    "VALIDATION_ERROR": errors.ValidationError,
    "TIMEOUT_ERROR": errors.TimeoutError,
}
_FAILED = frozenset({"stream_error", "stream_failed", "stream_interrupted", "stream_retry"})
_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
_CLOSE_HINTS = {
    1009: "The input is larger than the server takes.",
    1011: "The server closes a stream whose reader pauses for more than about 20 s.",
}
_INFINITIES = {"inf": math.inf, "-inf": -math.inf}


@dataclass(frozen=True)
class ServerWire:
    """Speaks with one agent of such a server.

    Attributes:
        base_url: The server, without `/v1`.
        agent: The agent's id, quoted for a path.
    """

    base_url: str
    agent: str
    name: str = "server"

    @property
    def root(self) -> str:
        """The address that all paths of the server begin with."""
        return f"{self.base_url.removesuffix('/api')}/api/v1"

    def _url(self, action: str) -> str:
        return f"{self.root}/agents/{self.agent}/{action}"

    def invoke(self, data: Input) -> Outgoing:
        """Return the request that runs an entrypoint."""
        return Outgoing(
            "POST",
            self._url("run"),
            _request(data, GENERIC),
            {"Content-Type": "application/json", "Accept": "application/json"},
        )

    def stream(self, data: Input) -> Outgoing:  # noqa: ARG002 - it is sent once the socket is open
        """Return the request that opens the WebSocket of a stream."""
        from wsproto.utilities import generate_nonce  # noqa: PLC0415 - only streams load it

        return Outgoing(
            "GET",
            self._url("run-stream"),
            None,
            {
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Key": generate_nonce().decode(),
                "Sec-WebSocket-Version": "13",
            },
            key_in_query=True,
        )

    def health(self) -> Outgoing:
        """Return the request that asks what the server is."""
        return self._get(f"{self.root}/health")

    def architecture(self) -> Outgoing:
        """Return the request that asks for the agent's entrypoints."""
        return self._get(self._url("architecture"))

    def _get(self, url: str) -> Outgoing:
        return Outgoing("GET", url, None, {"Accept": "application/json"})

    def accepts(
        self, sent: Outgoing, status: int, headers: Mapping[str, str], *, streams: bool
    ) -> bool:
        """Whether the status is good and, for a stream, the WebSocket is open."""
        if not streams:
            return 200 <= status < 300  # noqa: PLR2004
        from wsproto.utilities import generate_accept_token  # noqa: PLC0415

        proof = generate_accept_token(sent.headers["Sec-WebSocket-Key"].encode()).decode()
        return status == 101 and headers.get("sec-websocket-accept") == proof  # noqa: PLR2004

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> RunResult:
        """Read an answer to `invoke`; a status of 200 may be a failure too."""
        try:
            data = parse_json(body)
        except ValueError as exc:
            raise _unreadable(status, body, str(exc)) from None
        if not isinstance(data, dict):
            raise _unreadable(status, body, "an object was expected")
        if "success" in data and not data["success"]:
            raise _refusal(status, headers, body)
        value = _result(data)
        request_id = data.get("request_id")
        return RunResult(
            result=value if isinstance(value, dict) else {"result": value},
            value=value,
            request_id=None if request_id is None else str(request_id),
            status_code=status,
            raw=data,
        )

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> errors.RunAgentError:
        """Read an answer that is not accepted, in any of the shapes it comes in."""
        error = _refusal(status, headers, body)
        agent_id = unquote(self.agent)
        if status < 300:  # noqa: PLR2004
            error.code = error.code or "INVALID_RESPONSE"
            error.hint = (
                "A WebSocket was expected. Check the base URL: something between here and the "
                "agent may have answered, or may let no WebSockets through."
            )
        elif status == 403 and error.code is None:  # noqa: PLR2004
            # An upgrade to a path that is not routed is refused like one with a wrong key.
            error.message = f"The server refused to stream from the agent {agent_id!r}."
            error.hint = "Check the agent's id, and the API key if the server asks for one."
        elif status == 404 and error.code is None:  # noqa: PLR2004
            error.message = f"The server knows no agent {agent_id!r}."
        elif status == 500 and error.code is None:  # noqa: PLR2004
            error.code = "AGENT_ERROR"  # the agent ran, and ended with SystemExit
        return error

    def question(self, error: Exception) -> Outgoing | None:
        """Return the request whose answer says more about an error, if there is one."""
        if not isinstance(error, errors.RunAgentError):
            return None
        if isinstance(error, errors.ValidationError) and error.code == "NOT_FOUND":
            return self.architecture()
        if error.status_code in (403, 404) and error.code is None:
            return self.health()
        return None

    def explain(self, error: Exception, answer: bytes) -> Exception:
        """Return an error that says more, if the answer to its `question` allows it."""
        if isinstance(error, errors.ValidationError):
            try:
                tags = ", ".join(repr(entrypoint.tag) for entrypoint in entrypoints(answer))
            except ValueError:
                return error
            error.hint = f"The agent has {tags or 'none'}."
            return error
        served = served_agent(answer)
        agent_id = unquote(self.agent)
        if not served or served == agent_id:
            return error
        return errors.AgentNotFoundError(
            f"{self.base_url} serves the agent {served!r}, not {agent_id!r}.",
            "AGENT_NOT_FOUND",
            status_code=404,
        )

    def reader(self, data: Input, max_message_size: int) -> WebSocketReader:
        """Return what reads the messages of a stream."""
        return WebSocketReader(_request(data, GENERIC_STREAM), max_message_size)


def _request(data: Input, default_tag: str) -> bytes:
    tag = json.dumps(data.entrypoint or default_tag).encode()
    return b'{"entrypoint_tag":%b,"input_args":%b,"input_kwargs":%b}' % (
        tag,
        data.args,
        data.content,
    )


def _refusal(status: int, headers: Mapping[str, str], body: bytes) -> errors.RunAgentError:
    error = error_from(status, headers, body)
    if error.code == "NOT_FOUND" and error.message.startswith("Entrypoint"):
        return _like(errors.ValidationError, error)
    kind = _KINDS.get(error.code or "")
    return error if kind is None else _like(kind, error)


def _like(kind: type[errors.RunAgentError], error: errors.RunAgentError) -> errors.RunAgentError:
    return kind(
        error.message,
        error.code,
        error.details,
        status_code=error.status_code,
        request_id=error.request_id,
        retry_after=error.retry_after,
        hint=errors.hint_for(kind),
    )


def _unreadable(status: int, body: bytes, problem: str) -> errors.RunAgentError:
    return errors.RunAgentError(
        f"The server answered with {describe(body)} instead of JSON ({problem}).",
        code="INVALID_RESPONSE",
        status_code=status,
    )


def _result(data: dict[str, Any]) -> Any:
    """Return the value in an answer: structured, or in one of the older shapes."""
    for key in ("data", "output_data", "payload"):
        if data.get(key) is not None:
            found = data[key]
            break
    else:
        return None if {"data", "success"} & set(data) else data
    if isinstance(found, dict) and isinstance(found.get("result_data"), dict):
        found = found["result_data"].get("data")
    return decode(found)


def decode(content: Any) -> Any:
    """Return the value in `{"type": …, "payload": …}`, given as JSON text or decoded.

    The payload is JSON text again. Anything without that structure is the value itself.
    """
    structure = content
    if isinstance(content, str):
        try:
            structure = parse_json(content)
        except ValueError:
            return content
    if not isinstance(structure, dict) or structure.keys() != {"type", "payload"}:
        return content
    kind, payload = structure["type"], structure["payload"]
    if kind not in _TYPES:
        return content
    if isinstance(payload, str):
        try:
            value = parse_json(payload)
        except ValueError:
            return payload
        payload = value if kind != "string" or isinstance(value, str) else payload
    if kind == "number" and payload is None:
        return math.nan
    if kind == "number" and isinstance(payload, str):
        return _INFINITIES.get(payload, payload)
    return payload


class WebSocketReader:
    """Reads the messages of one stream, and says what to send.

    It answers pings and sends none: an agent that is a synchronous generator keeps its server from
    answering. Whoever feeds it late answers late, and the server closes the stream.
    """

    def __init__(self, request: bytes, max_message_size: int) -> None:
        """Begin with the request for the stream; a larger message than that size is an error."""
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
        """Return what must be sent now: the request, pongs."""
        data, self._outgoing = self._outgoing, b""
        return data

    def closing(self) -> bytes:
        """Return what says goodbye: the server does not close by itself."""
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
        if self._connection.state is self._open:  # nobody closed: the bytes are no WebSocket's
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
        if isinstance(problem, dict):
            details = problem
            code = problem.get("code") or code
            problem = problem.get("message") or problem
        message = problem if isinstance(problem, str) and problem else f"The stream failed: {frame}"
        if "detail" in frame and "error" not in frame:
            # Refused before it began: an unknown entrypoint, a malformed request.
            code = code or ("NOT_FOUND" if message.endswith("not found") else "VALIDATION_ERROR")
            return errors.ValidationError(message, code, details)
        code = None if code is None else str(code)
        hint = frame.get("hint") or frame.get("suggestion")
        return errors.StreamError(
            message, code, details, hint=hint if isinstance(hint, str) else None
        )


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


def served_agent(health: bytes) -> str | None:
    """Read an answer to `ServerWire.health`.

    Returns:
        The id of the one agent the server serves, `""` if it does not say, `None` if it is no
        such server.
    """
    try:
        data = parse_json(health)
    except ValueError:
        return None
    if not isinstance(data, dict) or not str(data.get("server")).startswith("RunAgent"):
        return None
    return str(data.get("agent_id") or "")


def entrypoints(body: bytes) -> list[Entrypoint]:
    """Read the answer to `ServerWire.architecture`.

    Raises:
        ValueError: It is not one.
    """
    data = parse_json(body)
    try:
        return [
            Entrypoint(str(found["tag"]), found.get("file"), found.get("module"))
            for found in data["data"]["entrypoints"]
        ]
    except (TypeError, KeyError, AttributeError) as exc:
        raise ValueError(f"it has no entrypoints: {excerpt(body)!r}") from exc
