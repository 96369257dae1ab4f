"""Connections: the httpx2 clients that do the I/O, for any thread, event loop and process."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
import ssl
import sys
import threading
import time
import types
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any, TypeVar, cast

import anyio
import httpcore2
import httpx2

from runagent.errors import ValidationError
from runagent.locks import ForkSafeLock

KEEPALIVE_EXPIRY = 4.0
"""Seconds an idle connection is kept: uvicorn, for one, closes it after 5."""

GROUP_SIZE = 5
"""Connections of an event loop that share a pool: for each request, a pool looks at all it has."""

FRESH = 0.05
"""Seconds for which a connection is taken to be open still, as its server has just answered on it.

For each request, a pool asks all idle connections whether they were closed, and each asks the
system; among many threads that takes longer than the rest of a call.
"""

T = TypeVar("T")
C = TypeVar("C", httpx2.Client, httpx2.AsyncClient)


def _unusable(problem: str) -> ValidationError:
    return ValidationError(f"{problem.rstrip('.')}.", code="INVALID_SETTING")


@dataclass(frozen=True)
class ConnectionOptions:
    """How connections are made.

    Attributes:
        verify: Whether certificates are checked: `True` against the system's trust store, a path
            against the CA bundle or directory there, a context as it says.
        pool_size: Connections at the same time.
        proxy: URL of a proxy, `None` for what the environment names.
        direct: Whether the environment's proxies are left out, as for a server on this machine.
        tls: Whether connections are encrypted: if not, there is nothing to be trusted.
        http_client: The user's own client, instead of one made from the rest.
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
            ValidationError: One of the options cannot be used.
        """
        proxy, problem = None, None
        try:
            proxy = None if self.proxy is None else httpx2.Proxy(self.proxy)
            if proxy is not None and not proxy.url.host:
                problem = f"{self.proxy!r} names no host"
        except (ValueError, TypeError, AttributeError, httpx2.InvalidURL) as exc:
            problem = str(exc)
        if problem is not None:  # raised here: the exception above leads to the proxy's password
            raise _unusable(f"proxy= is not the URL of a proxy: {problem}")
        return {
            "verify": self._trust,
            "proxy": proxy,
            "trust_env": not self.direct,  # as there is a `verify`, it means the proxies alone
            "timeout": None,
        }

    @cached_property
    def _trust(self) -> bool | ssl.SSLContext:
        verify = self.verify
        if verify is True and not self.tls:
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which trusts nobody
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
        try:
            if Path(verify).is_dir():
                return ssl.create_default_context(capath=verify)
            return ssl.create_default_context(cafile=verify)
        except (OSError, TypeError, ValueError) as exc:
            raise _unusable(f"verify_ssl={verify!r} is not a usable CA bundle: {exc}") from None

    def new_client(self) -> httpx2.Client:
        """Return a client whose reads and writes keep to the `scope` they run in."""
        return self._new(httpx2.Client, self.pool_size)

    def new_async_client(self, pool_size: int, cookies: CookieJar) -> httpx2.AsyncClient:
        """Return an asynchronous client that tells the `scope` it runs in when it connects."""
        return self._new(httpx2.AsyncClient, pool_size, cookies)

    def _new(self, kind: type[C], pool_size: int, cookies: CookieJar | None = None) -> C:
        limits = httpx2.Limits(
            max_connections=pool_size,
            max_keepalive_connections=pool_size,
            keepalive_expiry=KEEPALIVE_EXPIRY,
        )
        try:
            client = kind(**self.arguments(), limits=limits, cookies=cookies)
        except ImportError:  # whose message names a package of another name
            raise _unusable(
                "A SOCKS proxy, as set or in the environment, needs another package: "
                'pip install "httpx2[socks]"'
            ) from None
        except (ValueError, httpx2.InvalidURL) as exc:
            raise _unusable(
                f"The proxy, as set or in the environment, cannot be used: {exc}"
            ) from None
        _use_own_backends(client)
        return client


@lru_cache(maxsize=16)
def _system_trust(*_from_environment: str | None) -> ssl.SSLContext:
    """Return the context of httpx2 that trusts what the system does, or what the environment names.

    One for all clients: to make it takes longer than a call to an agent nearby.
    """
    return httpx2.create_ssl_context()


class SyncConnections:
    """One `httpx2.Client` for all threads, made when it is first used.

    Attributes:
        users: Sessions that share it, as long as they exist and are open.
    """

    def __init__(self, options: ConnectionOptions) -> None:
        """Connect later, as `options` say."""
        self.options = options
        self.users: weakref.WeakSet[object] = weakref.WeakSet()
        self._lock = ForkSafeLock()
        self._client: httpx2.Client | None = None
        self._pid = 0
        self._inherited: list[httpx2.Client] = []
        self._close: weakref.finalize[..., Any] | None = None

    def client(self) -> httpx2.Client:
        """Return the client of this process."""
        own = self.options.http_client
        if own is not None:
            assert isinstance(own, httpx2.Client)
            _use_own_backends(own)
            return own
        if self._client is not None and self._pid == os.getpid():
            return self._client
        with self._lock:
            if self._client is not None and self._pid != os.getpid():
                # After a fork the sockets are the parent's as well: neither use nor close them.
                self._inherited.append(self._client)
                self._client = None
            if self._client is None:
                self._client = self.options.new_client()
                self._pid = os.getpid()
                self._close = weakref.finalize(self, self._client.close)
            return self._client

    def close(self) -> None:
        """Close all connections; the user's own client is left alone."""
        with self._lock:
            if self._close is not None and self._pid == os.getpid():
                self._close()
            self._client = self._close = None


class AsyncConnections:
    """A few `httpx2.AsyncClient` for each event loop that uses them.

    Connections belong to the loop they were made on. They are closed when that loop shuts down
    its asynchronous generators, as `asyncio.run` does at its end, or by `aclose`.

    Attributes:
        users: Sessions that share them, as long as they exist and are open.
    """

    def __init__(self, options: ConnectionOptions) -> None:
        """Connect later, as `options` say."""
        self.options = options
        self.users: weakref.WeakSet[object] = weakref.WeakSet()
        self._lock = ForkSafeLock()
        self._probing: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            weakref.WeakKeyDictionary()
        )
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopConnections] = (
            weakref.WeakKeyDictionary()
        )

    def client(self, seconds: float) -> AbstractAsyncContextManager[httpx2.AsyncClient]:
        """Return what waits for a free connection of the running loop, at most so long."""
        own = self.options.http_client
        if own is not None:
            assert isinstance(own, httpx2.AsyncClient)
            _use_own_backends(own)
            return contextlib.nullcontext(own)  # it waits for a connection by itself
        loop = asyncio.get_running_loop()
        with self._lock:
            entry = self._by_loop.get(loop)
            if entry is None or entry.is_closed:
                entry = self._by_loop[loop] = _LoopConnections(self.options, self._forget)
        return _Lease(entry, seconds)

    def probing(self) -> asyncio.Lock:
        """Return what a task of the running loop holds while it finds out what a server speaks."""
        with self._lock:
            return self._probing.setdefault(asyncio.get_running_loop(), asyncio.Lock())

    def _forget(self, entry: _LoopConnections) -> None:
        """Let go of connections of the running loop that are closed: they know the loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._by_loop.get(loop) is entry:
                del self._by_loop[loop]
            self._probing.pop(loop, None)

    async def aclose(self) -> None:
        """Close the connections of the running loop, and have other running loops close theirs."""
        with self._lock:
            entries = dict(self._by_loop)
            self._by_loop.clear()
        own = entries.pop(asyncio.get_running_loop(), None)
        for loop, entry in entries.items():
            with contextlib.suppress(RuntimeError):  # closed meanwhile, and its connections too
                loop.call_soon_threadsafe(entry.close_soon)
        if own is not None:
            await own.aclose()


class _Lease:
    """A connection of a loop, for as long as its `async with` block takes.

    A class, as the loop would close a generator by itself when it shuts down.
    """

    def __init__(self, connections: _LoopConnections, seconds: float) -> None:
        self._connections = connections
        self._seconds = seconds

    async def __aenter__(self) -> httpx2.AsyncClient:
        self._group = await self._connections.acquire(self._seconds)
        return self._group.http

    async def __aexit__(self, *exc_info: object) -> None:
        self._connections.release(self._group)


@types.coroutine
def unregistered(awaitable: Awaitable[T]) -> Generator[Any, None, T]:
    """Await something whose asynchronous generators the event loop shall not know of.

    A loop that shuts down closes all those it knows at the same time; of generators that wrap each
    other, as those of httpx2 do, the outer ones then fail to close the inner ones.
    """
    steps = awaitable.__await__()
    advance: Callable[[], Any] = partial(next, steps)
    register = sys.get_asyncgen_hooks().firstiter
    sys.set_asyncgen_hooks(firstiter=None)
    try:
        waited = advance()
    except StopIteration as stop:
        return cast("T", stop.value)
    finally:
        sys.set_asyncgen_hooks(firstiter=register)
    while True:
        try:
            yield waited
        except BaseException as exc:  # noqa: BLE001 - handed on
            advance = partial(steps.throw, exc)
        else:
            advance = partial(next, steps)
        try:
            waited = advance()
        except StopIteration as stop:
            return cast("T", stop.value)


@dataclass
class _Group:
    """Connections that share a pool.

    Attributes:
        http: Makes them and keeps them.
        free: How many of them are not lent.
    """

    http: httpx2.AsyncClient
    free: int


class _LoopConnections:
    """The connections of one event loop."""

    def __init__(
        self, options: ConnectionOptions, forget: Callable[[_LoopConnections], None]
    ) -> None:
        self.is_closed = False
        self._options = options
        self._forget = forget
        self._slots = asyncio.Semaphore(options.pool_size)
        self._groups: list[_Group] = []
        self._cookies = CookieJar()
        self._guard = self._until_shutdown()
        self._started = False

    async def acquire(self, seconds: float) -> _Group:
        """Wait for a free connection, at most so long; return the group it is in."""
        if not self._started:
            self._started = True
            # From its first step on, the loop closes this generator when it shuts down.
            await anext(self._guard)
        # A pool's own queue costs time that grows with its length; a semaphore's does not.
        if self._slots.locked():
            with anyio.move_on_after(seconds) as waiting:
                await self._slots.acquire()
            if waiting.cancelled_caught:
                raise httpx2.PoolTimeout("no free connection")
        else:
            await self._slots.acquire()
        try:
            group = self._group()
        except BaseException:
            self._slots.release()
            raise
        group.free -= 1
        return group

    def _group(self) -> _Group:
        """Return the first group with a free connection: it may have one that is open already."""
        for group in self._groups:
            if group.free:
                return group
        size = min(GROUP_SIZE, self._options.pool_size - GROUP_SIZE * len(self._groups))
        group = _Group(self._options.new_async_client(size, self._cookies), size)
        self._groups.append(group)
        return group

    def release(self, group: _Group) -> None:
        """Give a connection back."""
        group.free += 1
        self._slots.release()

    async def _until_shutdown(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self.is_closed = True
            self._forget(self)
            for group in self._groups:
                await group.http.aclose()

    async def aclose(self) -> None:
        await self._guard.aclose()

    def close_soon(self) -> None:
        closing = asyncio.ensure_future(self.aclose())
        _closing.add(closing)
        closing.add_done_callback(_closing.discard)


_closing: set[asyncio.Future[None]] = set()


@dataclass(frozen=True)
class Scope:
    """What reads and writes keep to.

    Attributes:
        current: The call they are made for.
        deadline: When those that block must be over, on the monotonic clock.
    """

    current: Interruptible | None = None
    deadline: float = math.inf


_scope: ContextVar[Scope] = ContextVar("_scope", default=Scope())  # noqa: B039 - it is frozen


class Interruptible:
    """Knows of the I/O that is done for a call, and lets another thread end it if it blocks.

    Attributes:
        connected: Whether a connection was made for it, or was to be.
        connecting: Whether that is still under way.
        interrupted: Whether `interrupt` was called.
        abandoned: Whether that was because nobody wants its answer any more.
    """

    def __init__(self) -> None:
        """Start with no I/O under way."""
        self.connected = self.connecting = self.interrupted = self.abandoned = False
        self._waking: threading.Event | None = None
        self._stream: httpcore2.NetworkStream | None = None

    def abandon(self) -> None:
        """Interrupt it, as nobody wants its answer any more."""
        self.abandoned = True
        self.interrupt()

    def interrupt(self) -> None:
        """Make the wait, read or write under way, and every later one, end at once."""
        self.interrupted = True
        if self._waking is not None:
            self._waking.set()
        stream = self._stream
        sock = None if stream is None else stream.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    @contextlib.contextmanager
    def scope(self, seconds: float = math.inf) -> Iterator[None]:
        """Have the I/O in the block done for this call; what blocks ends within `seconds`."""
        token = _scope.set(Scope(self, time.monotonic() + seconds))
        try:
            yield
        finally:
            with contextlib.suppress(ValueError):  # elsewhere, a forgotten coroutine being cleared
                _scope.reset(token)
            self._stream = None  # from here on it may be somebody else's

    def wait(self, seconds: float) -> None:
        """Sleep, unless interrupted."""
        self._waking = threading.Event()
        if not self.interrupted:  # looked at after the event is there to be set
            self._waking.wait(min(seconds, threading.TIMEOUT_MAX))

    def connect(self) -> None:
        """Take note that a connection is about to be made."""
        self.connected = self.connecting = True

    def watch(self, stream: httpcore2.NetworkStream) -> None:
        """Take note of the stream that is about to block."""
        self._stream = stream
        if self.interrupted:
            raise httpcore2.ReadError("interrupted")


_PIECE = 1 << 16


class _ScopedStream(httpcore2.NetworkStream):
    """A stream whose every operation ends by the deadline of the scope it is used in.

    A timeout of httpx2 bounds each read; a server that sends a byte now and then would keep a call
    alive for ever.
    """

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream
        self._used = -math.inf

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        _exchange()
        data = self._stream.read(max_bytes, self._limit(timeout, httpcore2.ReadTimeout))
        self._used = time.monotonic()
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        _exchange()
        # In pieces, each with the time that is left: a slow reader would get it all for each send.
        for start in range(0, len(buffer), _PIECE):
            limit = self._limit(timeout, httpcore2.WriteTimeout)
            self._stream.write(buffer[start : start + _PIECE], limit)

    def _limit(
        self, timeout: float | None, error: type[httpcore2.TimeoutException]
    ) -> float | None:
        call = _scope.get().current
        if call is not None:
            call.watch(self._stream)
        return _limit(timeout, error)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            limit = self._limit(timeout, httpcore2.ConnectTimeout)
        except BaseException:
            self._stream.close()  # nobody else closes what was not handed on
            raise
        return _ScopedStream(self._stream.start_tls(ssl_context, server_hostname, limit))

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable" and time.monotonic() - self._used < FRESH:
            return False
        return self._stream.get_extra_info(info)


class _ScopedBackend(httpcore2.NetworkBackend):
    """Makes streams that keep to their scope."""

    def __init__(self, backend: httpcore2.NetworkBackend) -> None:
        self._backend = backend

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        _connect()
        limit = _limit(timeout, httpcore2.ConnectTimeout)
        deadline = math.inf if limit is None else time.monotonic() + limit
        addresses = _resolve(host, port, limit)
        for untried in range(len(addresses), 0, -1):
            # An address that does not answer leaves time for those after it.
            share = None if limit is None else max(deadline - time.monotonic(), 0.001) / untried
            try:
                stream = self._backend.connect_tcp(
                    addresses[-untried], port, share, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if untried == 1:
                    raise
            else:
                return _ScopedStream(stream)
        raise httpcore2.ConnectError(f"{host} has no address")

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        _connect()
        limit = _limit(timeout, httpcore2.ConnectTimeout)
        return _ScopedStream(self._backend.connect_unix_socket(path, limit, socket_options))


class _AsyncStream(httpcore2.AsyncNetworkStream):
    """A stream of the event loop; its operations are ended by cancellation."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        _exchange()
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        _exchange()
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            # Closed by nobody if the handshake was cancelled, as every timeout does here.
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()
            raise
        return _AsyncStream(stream)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _AsyncBackend(httpcore2.AsyncNetworkBackend):
    """Tells the scope it is used in when it connects."""

    def __init__(self, backend: httpcore2.AsyncNetworkBackend) -> None:
        self._backend = backend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        _connect()
        stream = await self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        return _AsyncStream(stream)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        _connect()
        return _AsyncStream(await self._backend.connect_unix_socket(path, timeout, socket_options))


def _connect() -> None:
    call = _scope.get().current
    if call is not None:
        call.connect()


def _exchange() -> None:
    call = _scope.get().current
    if call is not None:
        call.connecting = False


def _resolve(host: str, port: int, seconds: float | None) -> list[str]:
    """Return a host's addresses; in a thread, as the system's resolver takes the time it likes."""
    future: Future[list[str]] = Future()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            future.set_result([str(address[0]) for *_, address in found])
        except (OSError, UnicodeError) as exc:
            future.set_exception(httpcore2.ConnectError(f"{host}: {exc}"))

    threading.Thread(target=look_up, name="runagent-resolver", daemon=True).start()
    try:
        return future.result(seconds)
    except FutureTimeoutError:
        raise httpcore2.ConnectTimeout(f"{host} was not resolved in time") from None


def _limit(timeout: float | None, error: type[httpcore2.TimeoutException]) -> float | None:
    deadline = _scope.get().deadline
    if deadline == math.inf:
        return timeout
    left = deadline - time.monotonic()
    if left <= 0:
        raise error("timed out")
    return left if timeout is None else min(timeout, left)


def _use_own_backends(client: httpx2.Client | httpx2.AsyncClient) -> None:
    """Make a client's connections keep to their scope.

    httpcore2 takes a network backend, httpx2 does not hand one on: hence the private names.
    """
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001
        if isinstance(transport, (httpx2.HTTPTransport, httpx2.AsyncHTTPTransport)):
            pool: Any = transport._pool  # noqa: SLF001
            own = _ScopedBackend if isinstance(client, httpx2.Client) else _AsyncBackend
            if not isinstance(pool._network_backend, own):  # noqa: SLF001
                pool._network_backend = own(pool._network_backend)  # noqa: SLF001
