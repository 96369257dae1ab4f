"""The httpx2 clients and their pools of connections, for any thread, event loop and process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import sys
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any, Generic, TypeVar

import httpx2

from runagent.errors import ValidationError
from runagent.interrupt import BlockingIO
from runagent.latch import Latch
from runagent.locks import ForkSafeLock
from runagent.network import use_own_backends
from runagent.time_limits import move_on_after

KEEPALIVE_EXPIRY = 4.0
"""Seconds an idle connection is kept. Uvicorn, for example, closes it after 5."""

POOL_SIZE = 5
"""Connections of an event loop in one pool. For each request, a pool goes through all it has."""

C = TypeVar("C", httpx2.Client, httpx2.AsyncClient)


class _NoCookies(CookieJar):
    """Keeps no cookie: calls with different keys share connections, and no server is a session."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Leave the cookies of a response alone."""

    def __iter__(self) -> Iterator[Any]:
        """Yield nothing, and sooner than the base class finds out that there is nothing."""
        return iter(())


def _unusable(problem: str) -> ValidationError:
    return ValidationError(f"{problem.rstrip('.')}.", code="INVALID_SETTING")


@dataclass(frozen=True)
class ConnectionOptions:
    """How connections are made.

    Attributes:
        verify: How certificates are checked: `True` for the system's trust store, a path for the
            CA bundle or directory there, a context for its own rules, `False` for no check.
        pool_size: Connections at the same time.
        proxy: URL of a proxy, `None` for those in the environment.
        direct: Whether the environment's proxies are left out, as for a server on this machine.
        tls: Whether connections are encrypted. Without encryption no certificate is needed.
        http_client: The user's own client, instead of one made from the other options.
    """

    verify: bool | str | os.PathLike[str] | ssl.SSLContext
    pool_size: int
    proxy: str | None = field(repr=False)
    direct: bool
    tls: bool
    http_client: httpx2.Client | httpx2.AsyncClient | None = None

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that make a client of httpx2.

        Raises:
            ValidationError: An option that cannot be used.
        """
        proxy, problem = None, None
        try:
            proxy = None if self.proxy is None else httpx2.Proxy(self.proxy)
            if proxy is not None and not proxy.url.host:
                problem = f"{self.proxy!r} names no host"
        except (ValueError, TypeError, AttributeError, httpx2.InvalidURL) as exc:
            problem = str(exc)
        if problem is not None:  # raised here, as the exception above holds the proxy's password
            raise _unusable(f"proxy= is not the URL of a proxy: {problem}")
        return {
            "verify": self._trust,
            "proxy": proxy,
            "trust_env": not self.direct,  # with a `verify` given, it is about the proxies alone
            "timeout": None,
        }

    @cached_property
    def _trust(self) -> bool | ssl.SSLContext:
        verify = self.verify
        if verify is True and not self.tls:
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # it trusts no certificate
        if verify is True:
            file = os.environ.get("SSL_CERT_FILE")
            try:
                return _system_trust(file, os.environ.get("SSL_CERT_DIR"))
            except OSError as exc:
                raise _unusable(
                    f"SSL_CERT_FILE={file!r}: the certificates to trust cannot be loaded: {exc}"
                ) from None
        if isinstance(verify, (bool, ssl.SSLContext)):
            return verify
        if not isinstance(verify, (str, os.PathLike)):
            raise _unusable(
                f"verify_ssl={verify!r} is not True, False, "
                "the path to a CA bundle or an SSLContext"
            )
        try:
            if Path(verify).is_dir():
                return ssl.create_default_context(capath=verify)
            return ssl.create_default_context(cafile=verify)
        except (OSError, TypeError, ValueError) as exc:
            raise _unusable(f"verify_ssl={verify!r} is not a usable CA bundle: {exc}") from None

    def new_client(self) -> httpx2.Client:
        """Return a client whose reads and writes keep to the deadline of their call."""
        return self._new(httpx2.Client, self.pool_size)

    def new_async_client(self, pool_size: int) -> httpx2.AsyncClient:
        """Return an asynchronous client that tells a call when it connects for it."""
        return self._new(httpx2.AsyncClient, pool_size)

    def _new(self, kind: type[C], pool_size: int) -> C:
        if sys.platform == "emscripten":
            from runagent.browser import FetchTransport  # noqa: PLC0415 - imports the browser's names

            return kind(transport=FetchTransport(), timeout=None, cookies=_NoCookies())
        limits = httpx2.Limits(
            max_connections=pool_size,
            max_keepalive_connections=pool_size,
            keepalive_expiry=KEEPALIVE_EXPIRY,
        )
        try:
            client = kind(**self.arguments(), limits=limits, cookies=_NoCookies())
        except ImportError as exc:
            if "socks" not in str(exc).lower():
                raise _unusable(f"A package that connections need is missing: {exc}") from None
            # Its message names a package that does not exist.
            raise _unusable(
                "A SOCKS proxy, given or in the environment, needs another package: "
                'pip install "httpx2[socks]"'
            ) from None
        except (ValueError, httpx2.InvalidURL) as exc:
            raise _unusable(
                f"The proxy, given or in the environment, cannot be used: {exc}"
            ) from None
        use_own_backends(client)
        return client


@lru_cache(maxsize=16)
def _system_trust(*_from_environment: str | None) -> ssl.SSLContext:
    """Return httpx2's context, which trusts the system's trust store or the environment's choice.

    All clients share it: making one takes longer than a call to an agent nearby.
    """
    return httpx2.create_ssl_context()


@dataclass(slots=True)
class Lease(Generic[C]):
    """A connection that nobody else uses until it is given back.

    Attributes:
        http: The client that makes the connection.
        release: Gives it back.
        is_own: Whether this package has made the client, and not the user.
    """

    http: C
    release: Callable[[], None]
    is_own: bool = True


def _nothing() -> None:
    pass


class SyncConnections:
    """One `httpx2.Client` for all threads, made when it is first used.

    Attributes:
        users: The pumps that share it, as long as they exist and are open.
    """

    def __init__(self, options: ConnectionOptions) -> None:
        """Connect later, as `options` say."""
        self.options = options
        self.users: weakref.WeakSet[object] = weakref.WeakSet()
        self._lock = ForkSafeLock()
        self._of_process: _ProcessConnections | None = None
        self._inherited: list[_ProcessConnections] = []
        self._close: weakref.finalize[..., Any] | None = None

    def lease(self, io: BlockingIO, seconds: float) -> Lease[httpx2.Client]:
        """Wait for a free connection of this process, at most `seconds`; lease it."""
        own = self.options.http_client
        if own is not None:
            assert isinstance(own, httpx2.Client)
            use_own_backends(own)
            return Lease(own, _nothing, is_own=False)  # it waits for a connection by itself
        found = self._of_process
        if found is None or found.pid != os.getpid():
            found = self._begin()
        return found.lease(io, seconds)

    def _begin(self) -> _ProcessConnections:
        with self._lock:
            found = self._of_process
            if found is not None and found.pid != os.getpid():
                # After a fork the sockets are the parent's as well: neither use nor close them.
                self._inherited.append(found)
                found = None
            if found is None:
                found = _ProcessConnections(self.options.new_client(), self.options.pool_size)
                self._close = weakref.finalize(self, found.http.close)
                self._of_process = found
            return found

    def close(self) -> None:
        """Close all connections; the user's own client is left alone."""
        with self._lock:
            found = self._of_process
            if self._close is not None and found is not None and found.pid == os.getpid():
                self._close()
            self._of_process = self._close = None


class _ProcessConnections:
    """The connections of one process, and the queue of the threads that wait for one.

    Attributes:
        http: Makes them and keeps them.
        pid: The id of the process.
    """

    def __init__(self, http: httpx2.Client, size: int) -> None:
        self.http = http
        self.pid = os.getpid()
        # A stream that the garbage collector closes may release one while this thread leases one.
        self._lock = ForkSafeLock(reentrant=True)
        # The garbage collector may close a stream, and so give a connection back, between any two
        # bytecodes, also of these methods. Each operation on a deque is one step to it.
        self._free: deque[None] = deque([None] * size)
        self._waiting: deque[Latch] = deque()

    def lease(self, io: BlockingIO, seconds: float) -> Lease[httpx2.Client]:
        """Wait for a free connection, at most `seconds`; lease it."""
        with self._lock:
            try:
                self._free.pop()
            except IndexError:
                turn = Latch()
                self._waiting.append(turn)
                self._give_turns()  # a connection may have come meanwhile
            else:
                return Lease(self.http, self.release)
        self._wait(turn, io, seconds)
        return Lease(self.http, self.release)

    def _wait(self, turn: Latch, io: BlockingIO, seconds: float) -> None:
        try:
            with io.woken_by(turn.set):
                turn.wait(seconds)
        except BaseException:
            if not self._leave(turn):
                self.release()  # it came at the same moment
            raise
        if self._leave(turn):
            raise httpx2.PoolTimeout("no free connection")

    def _leave(self, turn: Latch) -> bool:
        """Leave the queue; return whether the turn had not come."""
        with self._lock, contextlib.suppress(ValueError):
            self._waiting.remove(turn)
            return True
        return False

    def release(self) -> None:
        """Give a connection back, to the thread that has waited longest."""
        with self._lock:
            self._free.append(None)
            self._give_turns()

    def _give_turns(self) -> None:
        """Give free connections to the threads that wait."""
        while self._waiting:
            try:
                self._free.pop()
            except IndexError:
                return
            try:
                turn = self._waiting.popleft()
            except IndexError:
                self._free.append(None)
                return
            turn.set()


class AsyncConnections:
    """A few `httpx2.AsyncClient` for each event loop that uses them.

    Connections belong to the loop they were made on. They are closed by `aclose`, or when that
    loop shuts down its asynchronous generators, as `asyncio.run` does at its end; and those of
    loops that go on, once nobody uses this any more.

    Attributes:
        users: The pumps that share them, as long as they exist and are open.
    """

    def __init__(self, options: ConnectionOptions) -> None:
        """Connect later, as `options` say."""
        self.options = options
        self.users: weakref.WeakSet[object] = weakref.WeakSet()
        self._lock = ForkSafeLock()
        self._pid = os.getpid()
        self._inherited: list[_LoopConnections] = []
        self._detecting: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            weakref.WeakKeyDictionary()
        )
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopConnections] = (
            weakref.WeakKeyDictionary()
        )
        # The finalizer holds the connections, so that they are still whole when they are closed.
        dropped = weakref.finalize(self, _close_soon, self._by_loop, self._pid)
        dropped.atexit = False

    async def lease(self, seconds: float) -> Lease[httpx2.AsyncClient]:
        """Wait for a free connection of the running loop, at most `seconds`; lease it."""
        own = self.options.http_client
        if own is not None:
            assert isinstance(own, httpx2.AsyncClient)
            use_own_backends(own)
            return Lease(own, _nothing, is_own=False)  # it waits for a connection by itself
        loop = asyncio.get_running_loop()
        with self._lock:
            self._check_process()
            connections = self._by_loop.get(loop)
            if connections is None or connections.is_closed:
                connections = _LoopConnections(self.options, weakref.WeakMethod(self._forget))
                self._by_loop[loop] = connections
        return await connections.lease(seconds)

    def detecting(self) -> asyncio.Lock:
        """Return the lock for tasks of the running loop that ask which protocol a server speaks."""
        with self._lock:
            self._check_process()
            return self._detecting.setdefault(asyncio.get_running_loop(), asyncio.Lock())

    def _check_process(self) -> None:
        """In a forked process: neither use nor close the connections of its parent."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._inherited += self._by_loop.values()
            self._by_loop.clear()
            self._detecting.clear()  # tasks of the parent hold them

    def _forget(self, connections: _LoopConnections) -> None:
        """Forget connections of the running loop that are closed, as they keep the loop alive."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._by_loop.get(loop) is connections:
                del self._by_loop[loop]
            self._detecting.pop(loop, None)

    async def aclose(self) -> None:
        """Close the connections of the running loop, and have other running loops close theirs."""
        with self._lock:
            self._check_process()
            by_loop = dict(self._by_loop)
            self._by_loop.clear()
        own = by_loop.pop(asyncio.get_running_loop(), None)
        _close_soon(by_loop, self._pid)
        if own is not None:
            await own.aclose()


def _close_soon(by_loop: Mapping[asyncio.AbstractEventLoop, _LoopConnections], pid: int) -> None:
    """Have event loops close their connections, unless they are those of a parent process."""
    if pid != os.getpid():
        return
    for loop, connections in list(by_loop.items()):
        with contextlib.suppress(RuntimeError):  # closed meanwhile, and its connections too
            loop.call_soon_threadsafe(connections.close_soon)


class _Pool:
    """A few connections of an event loop.

    Attributes:
        http: Makes them and keeps them.
        free: How many of them are not leased.
    """

    def __init__(self, http: httpx2.AsyncClient, size: int, slots: asyncio.Semaphore) -> None:
        self.http = http
        self.free = size
        self._slots = slots

    def release(self) -> None:
        """Give a connection back."""
        self.free += 1
        self._slots.release()


class _LoopConnections:
    """The connections of one event loop."""

    def __init__(
        self,
        options: ConnectionOptions,
        forget: weakref.WeakMethod[Callable[[_LoopConnections], None]],
    ) -> None:
        self.is_closed = False
        self._options = options
        self._forget = forget
        self._slots = asyncio.Semaphore(options.pool_size)
        self._pools: list[_Pool] = []
        self._guard = self._until_shutdown()
        self._started = False

    async def lease(self, seconds: float) -> Lease[httpx2.AsyncClient]:
        """Wait for a free connection, at most `seconds`; lease it."""
        if not self._started:
            self._started = True
            # From its first step on, the loop closes this generator when it shuts down.
            await anext(self._guard)
        # A pool's own queue costs time that grows with its length; a semaphore's does not.
        if self._slots.locked():
            with move_on_after(seconds) as waiting:
                await self._slots.acquire()
            if waiting.cancelled_caught:
                raise httpx2.PoolTimeout("no free connection")
        else:
            await self._slots.acquire()
        try:
            pool = self._pool()
        except BaseException:
            self._slots.release()
            raise
        pool.free -= 1
        return Lease(pool.http, pool.release)

    def _pool(self) -> _Pool:
        """Return the first pool with a free connection, which may be open already."""
        for pool in self._pools:
            if pool.free:
                return pool
        size = min(POOL_SIZE, self._options.pool_size - POOL_SIZE * len(self._pools))
        pool = _Pool(self._options.new_async_client(size), size, self._slots)
        self._pools.append(pool)
        return pool

    async def _until_shutdown(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self.is_closed = True
            if forget := self._forget():
                forget(self)
            for pool in self._pools:
                await pool.http.aclose()

    async def aclose(self) -> None:
        await self._guard.aclose()

    def close_soon(self) -> None:
        closing = asyncio.ensure_future(self.aclose())
        _closing.add(closing)
        closing.add_done_callback(_closing.discard)


_closing: set[asyncio.Future[None]] = set()
