"""The protocol of `runagent serve`: `/api/v1/agents/{id}/run`, and a WebSocket for streams.

This is the client's side of it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import unquote

from runagent import errors
from runagent.results import Entrypoint, RunResult
from runagent.wire.error_answers import error_from, is_error, unreadable
from runagent.wire.interface import GENERIC, GENERIC_STREAM, Input, Outgoing, Wire
from runagent.wire.runagent_serve_events import WebSocketReader
from runagent.wire.runagent_serve_values import decode
from runagent.wire.text import as_text, excerpt, parse_json

_KINDS: Mapping[str, type[errors.RunAgentError]] = {
    "AUTHENTICATION_ERROR": errors.AuthenticationError,
    "PERMISSION_ERROR": errors.AuthenticationError,
    "VALIDATION_ERROR": errors.ValidationError,
    "TIMEOUT_ERROR": errors.TimeoutError,
}


@dataclass(frozen=True)
class RunAgentServeWire(Wire):
    """Speaks with one agent of such a server."""

    name: ClassVar[str] = "server"
    has_entrypoints: ClassVar[bool] = True

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

    def stream(self, data: Input) -> Outgoing:  # noqa: ARG002 - sent once the socket is open
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

    def identity(self) -> Outgoing:
        """Return the request that asks for the server's health, which names the server too."""
        return self._get(f"{self.root}/health")

    def is_spoken_by(self, identity: bytes) -> bool:
        """Whether the response to `identity` is one of such a server."""
        return served_agent(identity) is not None

    def health(self) -> Outgoing:
        """Return the request that asks for the server's health."""
        return self.identity()

    def entrypoints(self) -> Outgoing:
        """Return the request that asks for the agent's entrypoints."""
        return self._get(self._url("architecture"))

    def read_entrypoints(self, body: bytes) -> list[Entrypoint]:
        """Read the response to `entrypoints`.

        Raises:
            ValueError: A body that is not such a list.
        """
        return entrypoints(body)

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

    def answer(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        max_message_size: int | None = None,
    ) -> RunResult:
        """Read the response to `invoke`, which may be a failure with a status of 200."""
        try:
            data = parse_json(body, max_message_size)
            if not isinstance(data, dict):
                raise ValueError("an object was expected")  # noqa: TRY004 - of the server
            if is_error(data) or ("success" in data and not data["success"]):
                raise _refusal(status, headers, body, data)
            value = _result(data, max_message_size, len(body))
        except errors.RunAgentError:  # one kind of which is a ValueError
            raise
        except ValueError as exc:
            raise unreadable(status, headers, body, exc, None) from None
        request_id = data.get("request_id") or headers.get("x-request-id")
        return RunResult(
            result=value if isinstance(value, dict) else {"result": value},
            value=value,
            request_id=as_text(request_id),
            status_code=status,
            raw=data,
        )

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> errors.RunAgentError:
        """Return the exception for a response that is not accepted, whatever its shape."""
        error = _refusal(status, headers, body)
        agent_id = unquote(self.agent)
        if status < 300:  # noqa: PLR2004
            error.code = error.code or "INVALID_RESPONSE"
            error.hint = (
                "A WebSocket was expected. Check the base URL: something between here and the "
                "agent may have answered, or may let no WebSockets through."
            )
        elif status == 403 and error.code is None:  # noqa: PLR2004
            # An upgrade to an unknown path is refused in the same way as one with a wrong key.
            error.message = f"The server refused to stream from the agent {agent_id!r}."
            error.hint = "Check the agent's id, and the API key if the server asks for one."
        elif status == 404 and error.code is None:  # noqa: PLR2004
            error.message = f"The server knows no agent {agent_id!r}."
        elif status == 500 and error.code is None:  # noqa: PLR2004
            error.code = "AGENT_ERROR"  # the agent ran, and ended with SystemExit
        return error

    def question(self, error: errors.RunAgentError) -> Outgoing | None:
        """Return the request whose response says more about an error, `None` if there is none."""
        if isinstance(error, errors.ValidationError) and error.code == "NOT_FOUND":
            return self.entrypoints()
        if error.status_code in (403, 404) and error.code is None:
            return self.identity()
        return None

    def explain(self, error: errors.RunAgentError, answer: bytes) -> errors.RunAgentError:
        """Return an error that says more, if the response to its `question` allows that."""
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
        """Return a reader for the messages of a stream."""
        return WebSocketReader(_request(data, GENERIC_STREAM), max_message_size)


def _request(data: Input, default_tag: str) -> bytes:
    tag = json.dumps(data.entrypoint or default_tag).encode()
    user = b""
    if data.user_id is not None:
        user += b',"user_id":%b' % json.dumps(data.user_id).encode()
    if data.persistent_memory:
        user += b',"persistent_memory":true'
    return b'{"entrypoint_tag":%b,"input_args":%b,"input_kwargs":%b%b}' % (
        tag,
        data.args,
        data.content,
        user,
    )


def _refusal(
    status: int, headers: Mapping[str, str], body: bytes, data: Any = None
) -> errors.RunAgentError:
    error = error_from(status, headers, body, data)
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
        hint=errors.hint_for(kind) if error.hint == errors.hint_for(type(error)) else error.hint,
    )


def _result(data: dict[str, Any], limit: int | None, held: int) -> Any:
    """Return the value in a response: structured, or in one of the older shapes.

    Raises:
        ExpansionError: A response that would take more memory than allowed.
    """
    for key in ("data", "output_data", "payload"):
        if data.get(key) is not None:
            found = data[key]
            break
    else:
        return None if {"data", "success"} & set(data) else data
    if isinstance(found, dict) and isinstance(found.get("result_data"), dict):
        found = found["result_data"].get("data")
    return decode(found, limit, held + sys.getsizeof(found))


def served_agent(health: bytes) -> str | None:
    """Read the response to `RunAgentServeWire.identity`.

    Returns:
        The id of the one agent the server serves, `""` if it does not say, `None` if the response
        is not one of such a server.
    """
    try:
        data = parse_json(health)
    except ValueError:
        return None
    server = data.get("server") if isinstance(data, dict) else None
    if not isinstance(server, str) or not server.startswith("RunAgent"):
        return None
    return as_text(data.get("agent_id") or "")


def entrypoints(body: bytes) -> list[Entrypoint]:
    """Read the response to `RunAgentServeWire.entrypoints`.

    Raises:
        ValueError: A body that is not such a list.
    """
    data = parse_json(body)
    try:
        return [
            Entrypoint(
                as_text(found["tag"]) or "",
                as_text(found.get("file")),
                as_text(found.get("module")),
            )
            for found in data["data"]["entrypoints"]
        ]
    except (TypeError, KeyError, AttributeError) as exc:
        raise ValueError(f"it has no entrypoints: {excerpt(body)!r}") from exc
