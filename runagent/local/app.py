"""Agents as an ASGI application that speaks the documented HTTP API."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from runagent import raised
from runagent.encode import to_json
from runagent.errors import AgentNotFoundError, AuthenticationError, RunAgentError
from runagent.local.agents import Agent
from runagent.local.bodies import BodyReader
from runagent.local.execution import STREAMED, AgentError, run
from runagent.local.limits import Limits
from runagent.local.repeats import Repeats
from runagent.local.responses import (
    EventStream,
    answer_json,
    disconnected,
    error,
    error_body,
    failure,
    headers_for,
    not_routed,
)
from runagent.urls import is_loopback_host

_PATIENCE = 2.0
"""Seconds that the server waits for a cancelled agent to clean up."""


class App:
    """The ASGI application, `asgi`, that serves `agents`; the mapping may change meanwhile.

    Args:
        agents: The agents by id.
        api_key: The key that requests must carry, `None` to ask for none.
        loopback: Whether the server is bound to a loopback address. If so, requests with any other
            `Host` are refused, which keeps out web pages that rebind their DNS name.
        limits: The time and memory that a request may take.
    """

    def __init__(
        self,
        agents: Mapping[str, Agent],
        *,
        api_key: str | None,
        loopback: bool,
        limits: Limits,
    ) -> None:
        self._agents = agents
        self._api_key = api_key
        self._loopback = loopback
        self._keep_alive = limits.keep_alive
        self._bodies = BodyReader(limits.max_body, limits.request_timeout)
        self._started = time.monotonic()
        self._running: set[asyncio.Task[Any]] = set()
        self._repeats = Repeats()
        self._end: asyncio.Future[None] | None = None
        self._ending = False
        # `:path`, because a server passes the path decoded: the id `a/b` arrives as two segments.
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
        """Cancel the calls in flight and tell their clients; accept no others."""
        self._ending = True
        if self._end is not None and not self._end.done():
            self._end.set_result(None)
        for task in self._running:
            task.cancel()

    async def wait_for_agents(self, timeout: float) -> None:
        """Wait for cancelled agents; cancel those again that take longer than `timeout` seconds."""
        if self._running:
            _, left = await asyncio.wait(self._running, timeout=timeout)
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left, timeout=_PATIENCE)

    async def _invoke(self, request: Request) -> Response:
        agent, call, data = await self._accept(request)
        started = time.perf_counter()
        key = request.headers.get("idempotency-key")
        if key is None:
            result = await self._attend(agent, _invoked(call), request, request.receive)
        else:
            task, leave = self._repeats.join(agent, key, to_json(data), lambda: _invoked(call))
            result = await self._attend(agent, task, request, request.receive, leave=leave)
        metadata = {
            "execution_time": round(time.perf_counter() - started, 6),
            "request_id": request.state.request_id,
        }
        parts = (b'{"result":', result, b',"metadata":', to_json(metadata), b"}")
        return Response(
            b"".join(parts), media_type="application/json", headers=headers_for(request)
        )

    async def _stream(self, request: Request) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        agent, call, _ = await self._accept(request)

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
                    request,
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

    async def _accept(self, request: Request) -> tuple[Agent, Callable[[], Any], Any]:
        """Return the agent that a request calls, the call with its arguments, and its input."""
        agent = self._find_agent(request)
        # A web page may send a form or plain text to any server; for JSON the browser asks first.
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != "application/json":
            raise RunAgentError(
                "The content type has to be application/json; "
                f"this request has {content_type or 'none'}.",
                code="UNSUPPORTED_MEDIA_TYPE",
                status_code=415,
            )
        data = await self._bodies.read(request)
        args, kwargs = agent.arguments(data)
        return agent, partial(agent.function, *args, **kwargs), data

    def _find_agent(self, request: Request) -> Agent:
        """Return the agent that a request names, if the request is allowed to call it."""
        request.state.request_id = f"req_{secrets.token_hex(8)}"
        if self._loopback and not _is_loopback(request.headers.get("host", "")):
            raise RunAgentError(
                "This server only answers requests to a loopback address.",
                code="MISDIRECTED_REQUEST",
                status_code=421,
            )
        if self._api_key is not None:
            scheme, _, key = request.headers.get("authorization", "").partition(" ")
            same = secrets.compare_digest(key.strip().encode(), self._api_key.encode())
            if scheme.lower() != "bearer" or not same:
                raise AuthenticationError(
                    "The API key is wrong." if key else "The request has no API key.",
                    code="INVALID_API_KEY",
                    status_code=401,
                )
        agent_id = request.path_params["agent_id"]
        agent = self._agents.get(agent_id)
        if agent is None:
            known = ", ".join(repr(name) for name in sorted(self._agents)) or "none"
            raise AgentNotFoundError(
                f"There is no agent {agent_id!r} here. This server has: {known}.",
                code="AGENT_NOT_FOUND",
                status_code=404,
            )
        return agent

    async def _attend(
        self,
        agent: Agent,
        work: Coroutine[Any, Any, Any] | asyncio.Task[Any],
        request: Request,
        receive: Receive,
        keep_alive: Callable[[], Awaitable[float]] | None = None,
        leave: Callable[[], bool] = lambda: True,
    ) -> Any:
        """Return the result of `work`, unless its client or this server goes away first.

        Args:
            agent: The agent, for the log.
            work: Runs the agent; a task if other requests may wait for it too.
            request: The request.
            receive: Tells when the client has gone.
            keep_alive: Called at once, and again after as many seconds as it returned.
            leave: Called when this request waits no more; returns whether the agent is to stop.

        Raises:
            RunAgentError: The agent failed, or the client or this server went away. In the last two
                cases `work` has been cancelled.
        """
        task = work if isinstance(work, asyncio.Task) else asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        gone = asyncio.create_task(_disconnect(receive))
        if self._end is None:
            self._end = asyncio.get_running_loop().create_future()
        if self._ending:
            task.cancel()
        try:
            done: set[asyncio.Future[Any]] = set()
            while not done:
                pause = await keep_alive() if keep_alive else None
                done, _ = await asyncio.wait(
                    {task, gone, self._end}, timeout=pause, return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            gone.cancel()
            is_last = leave()
            # When the server ends, its client is told first; the agent has time after that.
            if is_last and not task.done() and not self._ending:
                task.cancel()
                await asyncio.wait({task}, timeout=_PATIENCE)
        problem = task.exception() if task.done() and not task.cancelled() else None
        if isinstance(problem, AgentError):
            raised.keep(request.headers.get("idempotency-key", ""), problem.cause)
            raise failure(agent, problem.cause) from problem.cause
        if self._ending and (task.cancelled() or not task.done()):
            raise RunAgentError(
                "The server is shutting down.", code="SERVER_SHUTDOWN", status_code=503
            )
        if task not in done:
            raise disconnected()
        if task.cancelled():
            raise failure(agent, asyncio.CancelledError("the agent cancelled itself"))
        return task.result()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # asyncio prints each exception that nothing retrieved


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
    return answer_json(result, "result")


async def _streamed(call: Callable[[], Any], events: EventStream) -> None:
    """Run `call`; send its chunks, or its result as the only chunk."""
    index = 0

    async def send(chunk: Any) -> None:
        nonlocal index
        content = answer_json(chunk, f"chunk {index}")
        await events.write("chunk", b'{"content":%b,"index":%d}' % (content, index))
        index += 1

    result = await run(call, send)
    if result is not STREAMED:
        await send(result)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _is_loopback(host: str) -> bool:
    """Return whether a `Host` header, with or without a port, names this machine."""
    try:
        return is_loopback_host(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False
