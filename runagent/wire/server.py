"""What `runagent serve` speaks: `/api/v1/agents/{id}/run`, and a WebSocket for streams."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runagent import errors
from runagent.results import RunResult, StreamEvent
from runagent.wire import Input, Outgoing, chunk_text, describe, excerpt, parse_json
from runagent.wire.rest import error_from

INVOKE_TAG = "generic"
STREAM_TAG = "generic_stream"
STREAM_SUFFIX = "_stream"

_KINDS: Mapping[str, type[errors.RunAgentError]] = {
    "AUTHENTICATION_ERROR": errors.AuthenticationError,
    "PERMISSION_ERROR": errors.AuthenticationError,
    "NOT_FOUND": errors.ValidationError,  # an entrypoint; an unknown agent has no code
    "VALIDATION_ERROR": errors.ValidationError,
    "TIMEOUT_ERROR": errors.TimeoutError,
}
_FAILED = frozenset({"stream_error", "stream_failed", "stream_interrupted", "stream_retry"})
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
    _nonce: str = field(
        default_factory=lambda: base64.b64encode(secrets.token_bytes(16)).decode(), repr=False
    )

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
            _request(data, INVOKE_TAG),
            {"Content-Type": "application/json", "Accept": "application/json"},
        )

    def stream(self, data: Input) -> Outgoing:  # noqa: ARG002 - it is sent once the socket is open
        """Return the request that opens the WebSocket of a stream."""
        return Outgoing(
            "GET",
            self._url("run-stream"),
            None,
            {
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Key": self._nonce,
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

    def accepts(self, status: int, headers: Mapping[str, str], *, streams: bool) -> bool:
        """Whether the status is good and, for a stream, the WebSocket is open."""
        if streams:
            return status == 101 and headers.get("sec-websocket-accept") == self._accept()  # noqa: PLR2004
        return 200 <= status < 300  # noqa: PLR2004

    def _accept(self) -> str:
        # https://www.rfc-editor.org/rfc/rfc6455#section-1.3
        proof = f"{self._nonce}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()
        return base64.b64encode(hashlib.sha1(proof, usedforsecurity=False).digest()).decode()

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> RunResult:
        """Read an answer to `invoke`; a status of 200 may be a failure too."""
        try:
            data = parse_json(body)
        except ValueError as exc:
            raise _unreadable(status, body, str(exc)) from None
        if not isinstance(data, dict) or ("success" in data and not data["success"]):
            raise self.error(status, headers, body)
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
        """Read an answer that is not a good one, in any of the shapes it comes in."""
        error = error_from(status, headers, body)
        kind = _KINDS.get(error.code or "")
        if kind is not None:
            error = _like(kind, error)
        elif status == 403 and not body:  # noqa: PLR2004
            # An upgrade to a path that is not routed is refused like one with a wrong key.
            error.message = "The server refused to open a stream for this agent."
            error.hint = "Check the agent's id, and the API key if the server asks for one."
        return error

    def reader(self, data: Input, max_message_size: int) -> WebSocketReader:
        """Return what reads the messages of a stream."""
        return WebSocketReader(_request(data, STREAM_TAG), max_message_size)


def _request(data: Input, default_tag: str) -> bytes:
    tag = json.dumps(data.entrypoint or default_tag).encode()
    return b'{"entrypoint_tag":%b,"input_args":%b,"input_kwargs":%b}' % (
        tag,
        data.args,
        data.content,
    )


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
    if not isinstance(structure, dict) or set(structure) != {"type", "payload"}:
        return content
    kind, payload = structure["type"], structure["payload"]
    if isinstance(payload, str):
        try:
            payload = parse_json(payload)
        except ValueError:
            return content
    if kind == "number" and payload is None:
        return math.nan
    if kind == "number" and isinstance(payload, str):
        return _INFINITIES.get(payload, payload)
    return payload


class WebSocketReader:
    """Reads the messages of one stream, and says what to send."""

    def __init__(self, request: bytes, max_message_size: int) -> None:
        """Begin with the request for the stream; a larger message than that size is an error."""
        from wsproto import events  # noqa: PLC0415 - only those who need it load it
        from wsproto.connection import Connection, ConnectionType  # noqa: PLC0415

        self._events = events
        self._connection = Connection(ConnectionType.CLIENT)
        self._outgoing = self._connection.send(events.TextMessage(request.decode()))
        self._limit = max_message_size
        self._parts: list[str] = []
        self._size = 0

    def outgoing(self) -> bytes:
        """Return what must be sent now: the request, pongs."""
        data, self._outgoing = self._outgoing, b""
        return data

    def closing(self) -> bytes:
        """Return what says goodbye: the server does not close by itself."""
        from wsproto.connection import ConnectionState  # noqa: PLC0415

        if self._connection.state is not ConnectionState.OPEN:
            return self.outgoing()
        return self._outgoing + self._connection.send(self._events.CloseConnection(1000))

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take the next bytes; return the events they complete."""
        from wsproto.utilities import RemoteProtocolError  # noqa: PLC0415

        found: list[StreamEvent] = []
        try:
            self._connection.receive_data(data)
            for event in self._connection.events():
                found += self._handle(event)
                if found and found[-1].kind in ("done", "error"):
                    break
        except (RemoteProtocolError, UnicodeDecodeError) as exc:
            found.append(_broken(f"The stream cannot be read: {exc}.", "INVALID_RESPONSE"))
        return found

    def _handle(self, event: Any) -> list[StreamEvent]:
        if isinstance(event, self._events.Ping):
            self._outgoing += self._connection.send(event.response())
        elif isinstance(event, self._events.Message):
            return self._message(event)
        elif isinstance(event, self._events.CloseConnection):
            reason = f" ({event.reason})" if event.reason else ""
            return [
                _broken(
                    "The stream was cut off: the server closed it before its end, "
                    f"with code {int(event.code)}{reason}.",
                    "STREAM_CUT_OFF",
                )
            ]
        return []

    def _message(self, event: Any) -> list[StreamEvent]:
        text = event.data if isinstance(event.data, str) else bytes(event.data).decode()
        self._parts.append(text)
        self._size += len(text)
        if self._size > self._limit:
            return [
                _broken(
                    f"A message is larger than {self._limit:,} bytes; "
                    "max_message_size= can raise the limit.",
                    "MESSAGE_TOO_LARGE",
                )
            ]
        if not event.message_finished:
            return []
        message = "".join(self._parts)
        self._parts.clear()
        self._size = 0
        return [_event(message)]

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
        return errors.StreamError(message, None if code is None else str(code), details)


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


def _broken(problem: str, code: str) -> StreamEvent:
    return StreamEvent("error", {"error": problem, "code": code})


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
    if not isinstance(data, dict) or "status" not in data:
        return None
    return str(data.get("agent_id") or "")


@dataclass(frozen=True)
class Entrypoint:
    """A named way into an agent.

    Attributes:
        tag: Its name; one that ends in `_stream` streams.
        file: The file it is in.
        module: The function's name.
    """

    tag: str
    file: str | None = None
    module: str | None = None

    @property
    def streams(self) -> bool:
        """Whether it streams its answer."""
        return self.tag.endswith(STREAM_SUFFIX)


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
