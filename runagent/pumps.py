"""The two pumps, one blocking and one asynchronous, that carry out the steps of `flow`."""

from __future__ import annotations

import asyncio
import math
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.request import getproxies

import anyio
import httpx2

from runagent.call import Attempt
from runagent.config import Settings
from runagent.connections import (
    AsyncConnections,
    ConnectionOptions,
    Lease,
    SyncConnections,
)
from runagent.errors import RunAgentError, ValidationError
from runagent.failures import Failure, bare, is_unexpected, own_client_closed
from runagent.flow import Answer, Flow, Outcome, Select, Send, Step, Steps, TakeTurn, Wait
from runagent.interrupt import BlockingIO, IOGroup
from runagent.locks import ForkSafeLock
from runagent.network import send, send_async
from runagent.receive import body, body_async, is_reusable, network_stream
from runagent.request import build
from runagent.results import Entrypoint, Health, RunResult
from runagent.sources import AsyncCallIO, AsyncSource, SyncIO, items, running_loop
from runagent.stream import AsyncStream, Stream, StreamState
from runagent.time_limits import move_on_after
from runagent.urls import is_loopback
from runagent.wire import Input

T = TypeVar("T")

LETTING_GO = 1.0
"""Seconds in which calls that are interrupted let go of their connections, before those close."""


class _Pump:
    """The common part of both pumps: the flows of a client, and how its connections are made."""

    _connections: Any  # each subclass says of which class

    def __init__(
        self, settings: Settings, arguments: Mapping[str, Any], http_kind: type[Any]
    ) -> None:
        own = arguments["http_client"]
        if own is not None and not isinstance(own, http_kind):
            raise ValidationError(
                f"http_client= is of type {type(own).__module__}.{type(own).__name__}; "
                f"this client takes an httpx2.{http_kind.__name__}.",
                code="INVALID_SETTING",
            )
        self._settings = settings
        self._options = ConnectionOptions(
            verify=arguments["verify_ssl"],
            pool_size=arguments["connection_pool_size"],
            proxy=arguments["proxy"],
            direct=is_loopback(settings.base_url),
            tls=settings.base_url.startswith("https://"),
            http_client=own,
        )
        self._options.arguments()  # refuses bad ones now, not at the first call
        proxy = self._options.proxy
        proxies = [proxy] if isinstance(proxy, str) else getproxies().values()
        self.flow = Flow(settings, arguments["max_message_size"], proxies)

    @property
    def closed(self) -> bool:
        """Whether the client was closed."""
        return self.flow.closed

    def share(self, other: _Pump) -> None:
        """Use the connections of another pump of this class, if they are made in the same way."""
        if self._options == other._options and not other.closed:
            self._connections = other._connections
            self._connections.users.add(self)
        self.flow.detection.share(other.flow.detection)

    def _check_own_client(self) -> None:
        own = self._options.http_client
        if own is not None and own.is_closed:
            raise own_client_closed()

    def _request(
        self, http: httpx2.Client | httpx2.AsyncClient, step: Send, read: float | None
    ) -> httpx2.Request:
        return build(
            http,
            self._settings,
            step.outgoing,
            step.call.headers,
            idempotency_key=step.call.idempotency_key,
            seconds=step.seconds,
            read=read,
        )


class SyncPump(_Pump):
    """Carries out the steps of a `RunAgentClient`, in the threads that call it."""

    _connections: SyncConnections

    def __init__(self, settings: Settings, arguments: Mapping[str, Any]) -> None:
        """Make a pump from the settings and the arguments of a client."""
        if sys.platform == "emscripten":
            raise RunAgentError(
                "RunAgentClient cannot wait for a server here: Python in a browser (Pyodide, "
                "JupyterLite) has neither sockets nor threads.",
                code="NOT_IN_BROWSER",
                hint="Use AsyncRunAgentClient, and await its methods.",
            )
        super().__init__(settings, arguments, httpx2.Client)
        self._detecting = ForkSafeLock()
        self._under_way: IOGroup[SyncIO] = IOGroup()
        self._connections = SyncConnections(self._options)
        self._connections.users.add(self)

    def invoke(
        self,
        data: Input,
        timeout: float,
        headers: Mapping[str, str],
        group: IOGroup[BlockingIO] | None = None,
    ) -> RunResult:
        """Run the agent once, as one of `group`."""
        call = self.flow.prepare("invoke", data, timeout, headers)
        return self._run_in(group, self.flow.invoke(call))

    def attempt(
        self,
        data: Input,
        timeout: float,
        headers: Mapping[str, str],
        idempotency_key: str,
        group: IOGroup[BlockingIO] | None = None,
    ) -> Attempt:
        """Run the agent with one request, as one of `group`."""
        call = self.flow.prepare("invoke", data, timeout, headers)
        return self._run_in(group, self.flow.attempt(call, idempotency_key))

    def _run_in(self, group: IOGroup[BlockingIO] | None, steps: Steps[T]) -> T:
        io = SyncIO()
        if group is None:
            return self._run(steps, io)
        group.add(io)
        try:
            return self._run(steps, io)
        finally:
            group.discard(io)

    def entrypoints(self, timeout: float, headers: Mapping[str, str]) -> list[Entrypoint]:
        """Ask the server which entrypoints the agent has."""
        call = self.flow.prepare("entrypoints", Input(b"{}"), timeout, headers)
        return self._run(self.flow.entrypoints(call), SyncIO())

    def health(self, timeout: float, headers: Mapping[str, str]) -> Health:
        """Ask the server for its health."""
        call = self.flow.prepare("health", Input(b"{}"), timeout, headers)
        return self._run(self.flow.health(call), SyncIO())

    def stream(
        self,
        data: Input,
        timeout: float,
        headers: Mapping[str, str],
        select: Select[T],
        total_timeout: float,
    ) -> Stream[T]:
        """Return a stream of the items that `select` makes of its events."""
        call = self.flow.prepare("stream", data, timeout, headers, total_timeout)
        state = StreamState()
        io = SyncIO()
        steps = self.flow.stream(call, select, state)
        source = items(steps, self._carry_out, self._under_way, io, self.flow.leaving)
        return Stream(source, state, io.abandon)

    def close(self) -> None:
        """Send nothing any more, and end the waits of other threads.

        The connections are closed, unless another pump uses them too.
        """
        self.flow.closed = True
        self._under_way.end()
        self._connections.users.discard(self)
        if not self._connections.users:
            self._connections.close()

    def _run(self, steps: Steps[T], io: SyncIO) -> T:
        """Carry out the steps of a flow; return its result."""
        outcome: Any = None
        self._under_way.add(io)
        try:
            while True:
                try:
                    step = steps.send(outcome)
                except StopIteration as stop:
                    result: T = stop.value
                    return result
                outcome = self._carry_out(step, io)
        except RunAgentError:
            raise
        except BaseException as exc:  # noqa: BLE001 - raised below, where nothing refers to it
            leaving = self.flow.leaving(exc)
        finally:
            self._under_way.discard(io)
            steps.close()
        try:
            raise leaving
        finally:
            del leaving  # it refers to this frame

    def _carry_out(self, step: Step, io: SyncIO) -> Outcome:
        if isinstance(step, Send):
            return self._send(step, io)
        if isinstance(step, Wait):
            io.wait(step.seconds)
            return io.interrupted
        assert isinstance(step, TakeTurn)
        seconds = min(step.seconds, threading.TIMEOUT_MAX)
        return self._detecting if self._detecting.acquire(seconds) else None

    def _send(self, step: Send, io: SyncIO) -> Answer | Failure:
        io.begin_request(has_body=step.outgoing.content is not None)
        self._check_own_client()
        left = None if step.seconds == math.inf else step.seconds
        read = step.call.silence if step.call.streams else left
        deadline = time.monotonic() + step.seconds
        lease: Lease[httpx2.Client] | None = None
        try:
            lease = self._connections.lease(io, 0.95 * step.seconds)
            if io.interrupted:
                raise httpx2.ReadError("interrupted")
            with io.until(deadline):
                response = send(
                    lease.http, self._request(lease.http, step, read), is_own=lease.is_own
                )
                try:
                    limit = step.body_limit(response)
                    if limit is None:
                        io.response = response
                        io.lease, lease = lease, None
                        return Answer(response, b"", is_reusable(response))
                    return Answer(response, body(response, limit))
                except BaseException:
                    response.close()
                    raise
        except RunAgentError as exc:
            raise bare(exc)  # noqa: B904
        except Exception as exc:
            if not is_unexpected(exc):
                raise
            # httpx2's client was perhaps closed meanwhile, which raises another kind of exception.
            return Failure(exc, io.connected, io.connecting, io.interrupted or self.closed)
        except BaseException as exc:  # noqa: BLE001 - raised again
            raise bare(exc)  # noqa: B904
        finally:
            if lease is not None:
                lease.release()


class AsyncPump(_Pump):
    """Carries out the steps of an `AsyncRunAgentClient`, in the tasks that call it."""

    _connections: AsyncConnections

    def __init__(self, settings: Settings, arguments: Mapping[str, Any]) -> None:
        """Make a pump from the settings and the arguments of a client."""
        super().__init__(settings, arguments, httpx2.AsyncClient)
        self._under_way: IOGroup[AsyncCallIO] = IOGroup()
        self._connections = AsyncConnections(self._options)
        self._connections.users.add(self)

    async def invoke(self, data: Input, timeout: float, headers: Mapping[str, str]) -> RunResult:
        """Run the agent once."""
        call = self.flow.prepare("invoke", data, timeout, headers)
        return await self._run(self.flow.invoke(call))

    async def attempt(
        self, data: Input, timeout: float, headers: Mapping[str, str], idempotency_key: str
    ) -> Attempt:
        """Run the agent with one request."""
        call = self.flow.prepare("invoke", data, timeout, headers)
        return await self._run(self.flow.attempt(call, idempotency_key))

    async def entrypoints(self, timeout: float, headers: Mapping[str, str]) -> list[Entrypoint]:
        """Ask the server which entrypoints the agent has."""
        call = self.flow.prepare("entrypoints", Input(b"{}"), timeout, headers)
        return await self._run(self.flow.entrypoints(call))

    async def health(self, timeout: float, headers: Mapping[str, str]) -> Health:
        """Ask the server for its health."""
        call = self.flow.prepare("health", Input(b"{}"), timeout, headers)
        return await self._run(self.flow.health(call))

    def stream(
        self,
        data: Input,
        timeout: float,
        headers: Mapping[str, str],
        select: Select[T],
        total_timeout: float,
    ) -> AsyncStream[T]:
        """Return a stream of the items that `select` makes of its events."""
        call = self.flow.prepare("stream", data, timeout, headers, total_timeout)
        state = StreamState()
        steps = self.flow.stream(call, select, state)
        source = AsyncSource(steps, self._carry_out, self._under_way, state, self.flow.leaving)
        return AsyncStream(source, state)

    async def aclose(self) -> None:
        """Send nothing any more, and end the waits of other tasks.

        The connections are closed, unless another pump uses them too.
        """
        self.flow.closed = True
        self._connections.users.discard(self)
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:  # a process forked from a coroutine has no loop, and no connections
            return
        try:
            with move_on_after(LETTING_GO):
                for io in self._under_way.end():
                    if io.loop is here:  # it lets go of its connection before that is closed
                        idle = asyncio.Event()
                        io.when_idle(idle.set)
                        await idle.wait()
        finally:
            if not self._connections.users:
                await self._connections.aclose()

    async def _run(self, steps: Steps[T]) -> T:
        """Carry out the steps of a flow; return its result."""
        outcome: Any = None
        io = AsyncCallIO(running_loop())
        self._under_way.add(io)
        try:
            while True:
                try:
                    step = steps.send(outcome)
                except StopIteration as stop:
                    result: T = stop.value
                    return result
                outcome = await self._carry_out(step, io)
        except RunAgentError:
            raise
        except BaseException as exc:  # noqa: BLE001 - raised below, where nothing refers to it
            leaving = self.flow.leaving(exc)
        finally:
            self._under_way.discard(io)
            steps.close()
        try:
            raise leaving
        finally:
            del leaving  # it refers to this frame

    async def _carry_out(self, step: Step, io: AsyncCallIO) -> Outcome:
        if isinstance(step, Send):
            return await self._send(step, io)
        if isinstance(step, Wait):
            with anyio.CancelScope() as scope, io.cancelled_by(scope.cancel):
                await anyio.sleep(step.seconds)
            return io.interrupted
        assert isinstance(step, TakeTurn)
        lock = self._connections.detecting()
        with move_on_after(step.seconds) as scope, io.cancelled_by(scope.cancel):
            await lock.acquire()
            return lock
        return None

    async def _send(self, step: Send, io: AsyncCallIO) -> Answer | Failure:
        io.begin_request(has_body=step.outgoing.content is not None)
        self._check_own_client()
        # The end of all of it ends each read too, and at no cost.
        read = step.call.silence if step.call.streams else None
        lease: Lease[httpx2.AsyncClient] | None = None
        exception: Exception = TimeoutError()
        try:
            with move_on_after(step.seconds) as scope, io.cancelled_by(scope.cancel):
                lease = await self._connections.lease(0.95 * step.seconds)
                response = await send_async(
                    lease.http, self._request(lease.http, step, read), is_own=lease.is_own
                )
                try:
                    limit = step.body_limit(response)
                    if limit is None:
                        io.stream = network_stream(response)
                        io.response = response
                        io.lease, lease = lease, None
                        return Answer(response, b"", is_reusable(response))
                    return Answer(response, await body_async(response, limit))
                except BaseException:
                    await response.aclose()
                    raise
        except RunAgentError as exc:
            raise bare(exc)  # noqa: B904
        except Exception as exc:
            if not is_unexpected(exc):
                raise
            # httpx2's client was perhaps closed meanwhile, which raises another kind of exception.
            exception = exc
        except BaseException as exc:  # noqa: BLE001 - raised again
            raise bare(exc)  # noqa: B904
        finally:
            if lease is not None:
                io.stream = None  # from here on another call may use it
                lease.release()
        return Failure(exception, io.connected, io.connecting, io.interrupted or self.closed)
