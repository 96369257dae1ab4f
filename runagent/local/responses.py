"""The server's side of the wire going out: bodies, errors, server-sent events."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from itertools import islice
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Send

from runagent.encode import encode, to_json
from runagent.errors import AuthenticationError, RateLimitError, RunAgentError, ValidationError
from runagent.local.agents import Agent
from runagent.local.execution import AgentError
from runagent.raised import leaves
from runagent.results import number

_REQUEST_TIMEOUT = 408

_MOST_LEAVES = 5
"""Exceptions of an exception group that a message names."""

_log = logging.getLogger("runagent.local")


def answer_json(value: Any, name: str) -> bytes:
    """Return a value that an agent returned or yielded as JSON.

    Raises:
        AgentError: The value has no JSON form; the message has the path to it in `name`.
    """
    try:
        data, has_nan = encode(value, name)
    except ValidationError as exc:  # the agent's fault, not its caller's
        raise AgentError(TypeError(exc.message)) from None
    if has_nan:
        _log.warning("An agent's %s has NaN, which JSON does not have: null is sent.", name)
    return data


def failure(agent: Agent, cause: BaseException) -> RunAgentError:
    """Log what an agent raised, and return the error that its client gets.

    A `ValidationError` or `RateLimitError` is the agent's answer to its caller. Anything else is a
    failure of the agent; the client sees its message, because it is likely the agent's developer.
    """
    if isinstance(cause, ValidationError):
        status = cause.status_code if cause.status_code in (400, 422) else 400
        code = cause.code or "INVALID_INPUT"
    elif isinstance(cause, RateLimitError):
        status, code = 429, cause.code or "RATE_LIMITED"
    else:
        _log.error("Agent %r failed", agent.id, exc_info=cause)
        return RunAgentError(_describe(cause), code="AGENT_ERROR", status_code=500)
    seconds = number(cause.retry_after)
    return RunAgentError(
        _text_of(cause.message) or type(cause).__name__,
        _text_of(code),
        _sendable_details(cause.details),
        status_code=status,
        retry_after=None if seconds is None else max(seconds, 0.0),
    )


def _sendable_details(details: Any) -> dict[str, Any] | None:
    """Return an error's details with text in place of each value that JSON does not have."""
    if details is None:
        return None
    if not isinstance(details, Mapping):
        details = {"details": details}
    return {_text_of(name): _sendable(value) for name, value in details.items()}


def _sendable(value: Any) -> Any:
    try:
        return json.loads(encode(value, "details")[0])
    except Exception:  # noqa: BLE001 - an object's own code may raise anything
        return _text_of(value)


def _describe(exc: BaseException) -> str:
    text = _text_of(exc)
    described = f"{type(exc).__name__}: {text}" if text else type(exc).__name__
    inner = (leaf for leaf in leaves(exc) if leaf is not exc)
    return "; ".join([described, *map(_describe, islice(inner, _MOST_LEAVES))])


def _text_of(value: object) -> str:
    """Return `str(value)`, or nothing where that fails: the code behind it may be broken."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - it may raise anything
        return ""


async def error(request: Request, exc: Exception) -> Response:
    """Return the response for a `RunAgentError`, in the documented shape."""
    assert isinstance(exc, RunAgentError)
    body = error_body(exc, request)
    headers = headers_for(request)
    if exc.retry_after is not None:
        headers["Retry-After"] = f"{exc.retry_after:g}"
    if isinstance(exc, AuthenticationError):
        headers["WWW-Authenticate"] = "Bearer"
    if exc.status_code == _REQUEST_TIMEOUT:
        headers["Connection"] = "close"  # the rest of the request may never come
    return Response(to_json({"error": body}), exc.status_code or 500, headers, "application/json")


def disconnected() -> RunAgentError:
    """Return the error for a client that has gone; nobody reads it."""
    # Logs of proxies say 499 when the client went away.
    return RunAgentError("The client closed the connection.", status_code=499)


def error_body(exc: RunAgentError, request: Request) -> dict[str, Any]:
    """Return an error's known facts by name."""
    fields = {
        "code": exc.code,
        "message": exc.message,
        "details": exc.details,
        "request_id": request.state.request_id,
        "status": exc.status_code,
        "retry_after": exc.retry_after,
    }
    return {name: value for name, value in fields.items() if value is not None}


async def not_routed(_: Request, exc: Exception) -> Response:
    """Return the response for a path or method the API does not have, without an error code."""
    assert isinstance(exc, HTTPException)
    return JSONResponse({"detail": exc.detail}, exc.status_code, exc.headers)


def headers_for(request: Request) -> dict[str, str]:
    """Return the headers of every response to `request`."""
    return {"X-Request-ID": request.state.request_id}


class EventStream:
    """Server-sent events over an ASGI `send`."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._last = time.monotonic()

    async def open(self, headers: Mapping[str, str]) -> None:
        """Send the status and the headers, with `headers` among them."""
        fields = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-store",
            **headers,
        }
        raw = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
        await self._send({"type": "http.response.start", "status": 200, "headers": raw})

    async def send(self, event: str, data: dict[str, Any]) -> None:
        """Send one event."""
        await self.write(event, to_json(data))

    async def write(self, event: str, data: bytes) -> None:
        """Send one event whose `data` is already JSON, and so has no line ends."""
        self._last = time.monotonic()
        await self._body(b"event: %b\ndata: %b\n\n" % (event.encode(), data))

    async def keep_alive(self, every: float) -> float:
        """Send a comment after `every` seconds of silence; return the seconds to the next look."""
        now = time.monotonic()
        if now - self._last >= every:
            self._last = now
            await self._body(b": keep-alive\n\n")
        return self._last + every - now

    async def close(self) -> None:
        """End the response."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _body(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
