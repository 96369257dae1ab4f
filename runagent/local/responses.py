"""What goes back over the wire: bodies, errors, server-sent events."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Send

from runagent.encode import to_json
from runagent.errors import AuthenticationError, RateLimitError, RunAgentError, ValidationError
from runagent.local.agents import Agent
from runagent.local.execution import AgentError

_log = logging.getLogger("runagent.local")


def encode(value: Any, name: str) -> bytes:
    """Return what an agent gave as JSON.

    Raises:
        AgentError: It has no JSON form; the message says where in `name`.
    """
    try:
        return to_json(value, name)
    except ValidationError as exc:  # the agent's fault, not its caller's
        raise AgentError(TypeError(exc.message)) from None


def failure(agent: Agent, cause: BaseException) -> RunAgentError:
    """Log what an agent raised, and return what its client is told.

    A `ValidationError` or `RateLimitError` is the agent's answer to its caller; anything else is a
    failure of the agent, whose message is shown, for who serves a function here is its developer.
    """
    if isinstance(cause, ValidationError):
        status = cause.status_code if cause.status_code in (400, 422) else 400
        code = cause.code or "INVALID_INPUT"
    elif isinstance(cause, RateLimitError):
        status, code = 429, cause.code or "RATE_LIMITED"
    else:
        _log.error("Agent %r failed", agent.id, exc_info=cause)
        return RunAgentError(_describe(cause), code="AGENT_ERROR", status_code=500)
    return RunAgentError(
        cause.message, code, cause.details, status_code=status, retry_after=cause.retry_after
    )


def _describe(exc: BaseException) -> str:
    try:
        text = str(exc)
    except Exception:  # noqa: BLE001 - an exception's own code may be broken
        text = ""
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__


async def error(request: Request, exc: Exception) -> Response:
    """Return the answer for a `RunAgentError`, in the documented shape."""
    assert isinstance(exc, RunAgentError)
    body = error_body(exc, request)
    headers = headers_for(request)
    if exc.retry_after is not None:
        headers["Retry-After"] = f"{exc.retry_after:g}"
    if isinstance(exc, AuthenticationError):
        headers["WWW-Authenticate"] = "Bearer"
    return Response(to_json({"error": body}), exc.status_code or 500, headers, "application/json")


def error_body(exc: RunAgentError, request: Request) -> dict[str, Any]:
    """Return what is known about an error."""
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
    """Return the answer for a path or method that is none of the API's, without an error code."""
    assert isinstance(exc, HTTPException)
    return JSONResponse({"detail": exc.detail}, exc.status_code, exc.headers)


def headers_for(request: Request) -> dict[str, str]:
    """Return the headers of every answer to `request`."""
    return {"X-Request-ID": request.state.request_id}


class EventStream:
    """Server-sent events over an ASGI `send`."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._last = time.monotonic()

    async def open(self, headers: Mapping[str, str]) -> None:
        """Send the status and the headers, `headers` among them."""
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
        """Send one event whose `data` is JSON already, which has no line ends."""
        self._last = time.monotonic()
        await self._body(b"event: %b\ndata: %b\n\n" % (event.encode(), data))

    async def keep_alive(self, every: float) -> float:
        """Send a comment after a silence of `every` seconds; return when to look again."""
        now = time.monotonic()
        if now - self._last >= every:
            self._last = now
            await self._body(b": keep-alive\n\n")
        return self._last + every - now

    async def close(self) -> None:
        """End the answer."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _body(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
