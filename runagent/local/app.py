"""The wire: agents as an ASGI application that speaks the documented HTTP API."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, NoReturn
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from runagent.encode import to_json
from runagent.errors import (
    AgentNotFoundError,
    AuthenticationError,
    RunAgentError,
    ValidationError,
)
from runagent.local.agents import Agent
from runagent.local.execution import STREAMED, AgentError, run
from runagent.local.responses import (
    EventStream,
    encode,
    error,
    error_body,
    failure,
    headers_for,
    not_routed,
)
from runagent.urls import is_loopback_host

_PATIENCE = 2.0
"""Seconds that a cancelled agent may spend on its own cleaning up before it is left to itself."""


class App:
    """The ASGI application, `asgi`, that serves `agents`, a mapping that may change meanwhile.

    Args:
        agents: The agents by id.
        api_key: What requests must bear, `None` to ask for nothing.
        loopback: Whether the server is bound to a loopback address; requests whose `Host` is
            another one are refused then, which keeps out web pages that rebind their DNS name.
        keep_alive: Seconds of silence after which a stream sends a comment as a sign of life.
        max_body: Bytes a request's body may have.
    """

    def __init__(
        self,
        agents: Mapping[str, Agent],
        *,
        api_key: str | None,
        loopback: bool,
        keep_alive: float,
        max_body: int,
    ) -> None:
        self._agents = agents
        self._api_key = api_key
        self._loopback = loopback
        self._keep_alive = keep_alive
        self._max_body = max_body
        self._started = time.monotonic()
        self._running: set[asyncio.Task[Any]] = set()
        self._ending = False
        # `:path`, because a server hands over the path decoded: the id `a/b` comes as two segments.
        agent = "/v1/agents/{agent_id:path}"
        self.asgi = Starlette(
            routes=[
                Route(f"{agent}/invoke", self._invoke, methods=["POST"]),
                Route(f"{agent}/stream", self._stream, methods=["POST"]),
                Route(f"{agent}/health", self._health, methods=["GET"]),
            ],
            exception_handlers={RunAgentError: error, HTTPException: not_routed},
        )
        self.asgi.router.redirect_slashes = False

    def end_calls(self) -> None:
        """End the calls in flight, each with an error, and accept no others."""
        self._ending = True
        for task in self._running:
            task.cancel()

    async def _invoke(self, request: Request) -> Response:
        agent, call = await self._accept(request)
        started = time.perf_counter()
        result = await self._attend(agent, _invoked(call), request.receive)
        metadata = {
            "execution_time": round(time.perf_counter() - started, 6),
            "request_id": request.state.request_id,
        }
        parts = (b'{"result":', result, b',"metadata":', to_json(metadata), b"}")
        return Response(
            b"".join(parts), media_type="application/json", headers=headers_for(request)
        )

    async def _stream(self, request: Request) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        agent, call = await self._accept(request)

        async def respond(_: Scope, receive: Receive, send: Send) -> None:
            events = EventStream(send)
            await events.open(headers_for(request))
            started = time.perf_counter()
            try:
                await events.send(
                    "start",
                    {"message": "Stream started", "request_id": request.state.request_id},
                )
                await self._attend(
                    agent,
                    _streamed(call, events),
                    receive,
                    partial(events.keep_alive, self._keep_alive),
                )
                await events.send(
                    "done",
                    {
                        "message": "Stream complete",
                        "execution_time": round(time.perf_counter() - started, 6),
                    },
                )
            except RunAgentError as exc:
                body = error_body(exc, request)
                await events.send("error", {"error": body.pop("message"), **body})
            await events.close()

        return respond

    async def _health(self, request: Request) -> Response:
        self._find_agent(request)
        report = {
            "status": "healthy",
            "checks": {},
            "uptime": round(time.monotonic() - self._started, 3),
        }
        return JSONResponse(report, headers=headers_for(request))

    async def _accept(self, request: Request) -> tuple[Agent, Callable[[], Any]]:
        """Return the agent that a request calls, and the call with its arguments."""
        agent = self._find_agent(request)
        # A web page may send a form or plain text anywhere; for JSON the browser asks first.
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != "application/json":
            raise RunAgentError(
                f"The body has to be application/json, not {content_type or 'of no type'}.",
                code="UNSUPPORTED_MEDIA_TYPE",
                status_code=415,
            )
        args, kwargs = agent.arguments(_parse(await self._body(request)))
        return agent, partial(agent.function, *args, **kwargs)

    def _find_agent(self, request: Request) -> Agent:
        """Return the agent that a request names, if it may ask for it."""
        request.state.request_id = f"req_{secrets.token_hex(8)}"
        if self._loopback and not _is_loopback(request.headers.get("host", "")):
            raise RunAgentError(
                "This server answers requests to a loopback address only.",
                code="MISDIRECTED_REQUEST",
                status_code=421,
            )
        if self._api_key is not None:
            scheme, _, key = request.headers.get("authorization", "").partition(" ")
            same = secrets.compare_digest(key.strip().encode(), self._api_key.encode())
            if scheme.lower() != "bearer" or not same:
                raise AuthenticationError(
                    "The API key is wrong." if key else "The request bears no API key.",
                    code="INVALID_API_KEY",
                    status_code=401,
                )
        agent_id = request.path_params["agent_id"]
        agent = self._agents.get(agent_id)
        if agent is None:
            known = ", ".join(repr(name) for name in sorted(self._agents)) or "none"
            raise AgentNotFoundError(
                f"There is no agent {agent_id!r} here; served are: {known}.",
                code="AGENT_NOT_FOUND",
                status_code=404,
            )
        return agent

    async def _body(self, request: Request) -> bytearray:
        body = bytearray()
        size = int(request.headers.get("content-length", 0))
        more = True
        while more and size <= self._max_body:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise _disconnected()
            body += message.get("body", b"")
            size = max(size, len(body))
            more = message.get("more_body", False)
        if size > self._max_body:
            raise ValidationError(
                f"The body is larger than {self._max_body:,} bytes.",
                code="PAYLOAD_TOO_LARGE",
                status_code=413,
            )
        return body

    async def _attend(
        self,
        agent: Agent,
        work: Coroutine[Any, Any, Any],
        receive: Receive,
        keep_alive: Callable[[], Awaitable[float]] | None = None,
    ) -> Any:
        """Return what `work` returns, unless its client or this server goes away first.

        Args:
            agent: The agent, for the log.
            work: Runs it.
            receive: Tells when the client has gone.
            keep_alive: Called again after as many seconds as it returns, at once first.

        Raises:
            RunAgentError: The agent failed, or the client or this server went away, in which case
                `work` has been cancelled.
        """
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        gone = asyncio.create_task(_disconnect(receive))
        if self._ending:
            task.cancel()
        try:
            done: set[asyncio.Task[Any]] = set()
            while not done:
                pause = await keep_alive() if keep_alive else None
                done, _ = await asyncio.wait(
                    {task, gone}, timeout=pause, return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            gone.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=_PATIENCE)
        problem = task.exception() if task.done() and not task.cancelled() else None
        if isinstance(problem, AgentError):
            raise failure(agent, problem.cause) from problem.cause
        if task not in done:
            raise _disconnected()
        if task.cancelled() and self._ending:
            raise RunAgentError(
                "The server is shutting down.", code="SERVER_SHUTDOWN", status_code=503
            )
        if task.cancelled():
            raise failure(agent, asyncio.CancelledError("the agent cancelled itself"))
        return task.result()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # asyncio prints those that nobody looked at


async def _invoked(call: Callable[[], Any]) -> bytes:
    """Run `call`; return its result, or all its chunks, as JSON."""
    chunks: list[Any] = []

    async def collect(chunk: Any) -> None:
        if chunk is not None:
            chunks.append(chunk)

    result = await run(call, collect)
    if result is STREAMED:
        text = all(isinstance(chunk, str) for chunk in chunks)
        result = "".join(chunks) if text else chunks
    return encode(result, "result")


async def _streamed(call: Callable[[], Any], events: EventStream) -> None:
    """Run `call`, sending its chunks, or its result as the only one."""
    index = 0

    async def send(chunk: Any) -> None:
        nonlocal index
        content = encode(chunk, f"chunk {index}")
        await events.write("chunk", b'{"content":%b,"index":%d}' % (content, index))
        index += 1

    result = await run(call, send)
    if result is not STREAMED:
        await send(result)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _disconnected() -> RunAgentError:
    # Nobody reads this one: 499 is what logs of proxies say when the client went away.
    return RunAgentError("The client closed the connection.", status_code=499)


def _parse(body: bytearray) -> dict[str, Any]:
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise ValidationError(
            f"The body is not JSON: {exc}.", code="INVALID_INPUT", status_code=400
        ) from exc
    if not isinstance(value, dict):
        raise ValidationError(
            f"The body has to be a JSON object, not {_JSON_NAMES[type(value)]}.",
            code="INVALID_INPUT",
            status_code=400,
        )
    return value


_JSON_NAMES = {
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it has no {name}")


def _is_loopback(host: str) -> bool:
    """Return whether a `Host` header, with or without a port, names this machine."""
    try:
        return is_loopback_host(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False
