"""Connections: the httpx2 clients that do the I/O, for any thread, event loop and process."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
import ssl
import threading
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpcore2
import httpx2

from runagent.errors import ValidationError

KEEPALIVE_EXPIRY = 4.0
"""Seconds an idle connection is kept: uvicorn, for one, closes it after 5."""

_DIRECT = {"http://": None, "https://": None}


@dataclass(frozen=True)
class ConnectionOptions:
    """How connections are made.

    Attributes:
        verify: Whether certificates are checked: `True` against the system's trust store, a path
            against the CA bundle there, a context as it says.
        pool_size: Connections at the same time.
        proxy: URL of a proxy, `None` for what the environment names.
        direct: Whether the environment's proxies are left out, as for a server on this machine.
        http_client: The user's own client, instead of one made from the rest.
    """

    verify: bool | str | ssl.SSLContext
    pool_size: int
    proxy: str | None = field(repr=False)
    direct: bool
    http_client: httpx2.Client | httpx2.AsyncClient | None = None

    def _arguments(self) -> dict[str, Any]:
        verify = self.verify
        if isinstance(verify, str):
            try:
                verify = (
                    ssl.create_default_context(capath=verify)
                    if Path(verify).is_dir()
                    else ssl.create_default_context(cafile=verify)
                )
            except (OSError, ssl.SSLError) as exc:
                raise ValidationError(
                    f"verify_ssl={self.verify!r} is not a usable CA bundle: {exc}.",
                    code="INVALID_SETTING",
                ) from None
        return {
            "verify": verify,
            "limits": httpx2.Limits(
                max_connections=self.pool_size,
                max_keepalive_connections=self.pool_size,
                keepalive_expiry=KEEPALIVE_EXPIRY,
            ),
            "proxy": self.proxy,
            "mounts": _DIRECT if self.direct and self.proxy is None else None,
            "timeout": None,
        }

    def new_client(self) -> httpx2.Client:
        """Return a client whose reads and writes keep to the `scope` they run in."""
        client = httpx2.Client(**self._arguments())
        _keep_to_scope(client)
        return client

    def new_async_client(self) -> httpx2.AsyncClient:
        """Return an asynchronous client."""
        return httpx2.AsyncClient(**self._arguments())


class SyncConnections:
    """One `httpx2.Client` for all threads, made when it is first used.

    Attributes:
        users: Clients that share it.
    """

    def __init__(self, options: ConnectionOptions) -> None:
        """Connect later, as `options` say."""
        self.options = options
        self.users = 1
        self._lock = threading.Lock()
        self._client: httpx2.Client | None = None
        self._pid = 0
        self._inherited: list[httpx2.Client] = []
        self._close: weakref.finalize[..., Any] | None = None

    def client(self) -> httpx2.Client:
        """Return the client of this process."""
        own = self.options.http_client
        if own is not None:
            assert isinstance(own, httpx2.Client)
            _keep_to_scope(own)
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
    """One `httpx2.AsyncClient` for each event loop that uses it.

    Connections belong to the loop they were made on. They are closed when that loop shuts down
    its asynchronous generators, as `asyncio.run` does at its end, or by `aclose`.

    Attributes:
        users: Clients that share them.
    """

    def __init__(self, options: ConnectionOptions) -> None:
        """Connect later, as `options` say."""
        self.options = options
        self.users = 1
        self._lock = threading.Lock()
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopConnections] = (
            weakref.WeakKeyDictionary()
        )

    @contextlib.asynccontextmanager
    async def client(self, seconds: float) -> AsyncIterator[httpx2.AsyncClient]:
        """Wait for a free connection of the running loop; yield the client to use it with.

        Raises:
            httpx2.PoolTimeout: None became free within `seconds`.
        """
        own = self.options.http_client
        if own is not None:
            assert isinstance(own, httpx2.AsyncClient)
            yield own
            return
        loop = asyncio.get_running_loop()
        with self._lock:
            entry = self._by_loop.get(loop)
            if entry is None:
                entry = self._by_loop[loop] = _LoopConnections(self.options)
        await entry.start()
        await entry.acquire(seconds)
        try:
            yield entry.http
        finally:
            entry.slots.release()

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


class _LoopConnections:
    """The connections of one event loop."""

    def __init__(self, options: ConnectionOptions) -> None:
        self.http = options.new_async_client()
        self.slots = asyncio.Semaphore(options.pool_size)
        self._guard = self._until_shutdown()
        self._started = False

    async def start(self) -> None:
        if not self._started:
            self._started = True
            # From its first step on, the loop closes this generator when it shuts down.
            await anext(self._guard)

    async def acquire(self, seconds: float) -> None:
        # The pool's own queue costs time that grows with its length; a semaphore's does not.
        if self.slots.locked():
            with anyio.move_on_after(seconds):
                await self.slots.acquire()
                return
            raise httpx2.PoolTimeout("no free connection")
        await self.slots.acquire()

    async def _until_shutdown(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self.http.aclose()

    async def aclose(self) -> None:
        await self._guard.aclose()

    def close_soon(self) -> None:
        closing = asyncio.ensure_future(self.aclose())
        _closing.add(closing)
        closing.add_done_callback(_closing.discard)


_closing: set[asyncio.Future[None]] = set()


class Scope(threading.local):
    """What the reads and writes of the running thread keep to.

    Attributes:
        deadline: When they must be over, on the monotonic clock.
        current: The call they are made for.
    """

    deadline: float = math.inf
    current: Interruptible | None = None


_scope = Scope()


class Interruptible:
    """Lets another thread end the blocking I/O that one thread does for a call."""

    def __init__(self) -> None:
        """Start with no I/O under way."""
        self._interrupted = threading.Event()
        self._stream: httpcore2.NetworkStream | None = None

    @property
    def interrupted(self) -> bool:
        """Whether `interrupt` was called."""
        return self._interrupted.is_set()

    def interrupt(self) -> None:
        """Make the wait, read or write under way, and every later one, end at once."""
        self._interrupted.set()
        stream = self._stream
        sock = None if stream is None else stream.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    @contextlib.contextmanager
    def scope(self, seconds: float = math.inf) -> Iterator[None]:
        """Have this thread's I/O done for this call, and end within `seconds`."""
        before = _scope.deadline, _scope.current
        _scope.deadline, _scope.current = time.monotonic() + seconds, self
        try:
            yield
        finally:
            _scope.deadline, _scope.current = before
            self._stream = None  # from here on it may be somebody else's

    def wait(self, seconds: float) -> None:
        """Sleep, unless interrupted."""
        self._interrupted.wait(seconds)

    def watch(self, stream: httpcore2.NetworkStream) -> None:
        """Take note of the stream that is about to block."""
        self._stream = stream
        if self.interrupted:
            raise httpcore2.ReadError("interrupted")


class _ScopedStream(httpcore2.NetworkStream):
    """A stream whose every operation ends by the deadline of the scope it is used in.

    A timeout of httpx2 bounds each read; a server that sends a byte now and then would keep a call
    alive for ever.
    """

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._limit(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._limit(timeout, httpcore2.WriteTimeout))

    def _limit(
        self, timeout: float | None, error: type[httpcore2.TimeoutException]
    ) -> float | None:
        if _scope.current is not None:
            _scope.current.watch(self._stream)
        return _limit(timeout, error)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        limit = self._limit(timeout, httpcore2.ConnectTimeout)
        return _ScopedStream(self._stream.start_tls(ssl_context, server_hostname, limit))

    def get_extra_info(self, info: str) -> Any:
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
        limit = _limit(timeout, httpcore2.ConnectTimeout)
        return _ScopedStream(
            self._backend.connect_tcp(host, port, limit, local_address, socket_options)
        )

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        limit = _limit(timeout, httpcore2.ConnectTimeout)
        return _ScopedStream(self._backend.connect_unix_socket(path, limit, socket_options))


def _limit(timeout: float | None, error: type[httpcore2.TimeoutException]) -> float | None:
    if _scope.deadline == math.inf:
        return timeout
    left = _scope.deadline - time.monotonic()
    if left <= 0:
        raise error("timed out")
    return left if timeout is None else min(timeout, left)


def _keep_to_scope(client: httpx2.Client) -> None:
    """Make a client's connections keep to their scope.

    httpcore2 takes a network backend, httpx2 does not hand one on: hence the private names.
    """
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001
        if isinstance(transport, httpx2.HTTPTransport):
            pool = transport._pool  # noqa: SLF001
            backend = pool._network_backend  # noqa: SLF001
            if not isinstance(backend, _ScopedBackend):
                pool._network_backend = _ScopedBackend(backend)  # noqa: SLF001
