"""Network streams whose operations keep to the deadline of their call, and end when it does.

A timeout of httpx2 bounds each read; a server that sends a byte now and then would keep a call
alive for ever. So the connections of every client are made by the backends here.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
import ssl
import threading
import time
import types
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import nullcontext, suppress
from typing import Any

import anyio
import httpcore2
import httpx2

from runagent.interrupt import BlockingIO, current_io
from runagent.lasting import Lasting

FRESH = 0.05
"""Seconds for which a connection is assumed to be open, as its server has just answered on it.

For each request, a pool asks all idle connections whether they were closed, and each asks the
system. With many threads, that takes longer than the rest of a call.
"""

KEEPALIVE_IDLE = 60
"""Seconds without data after which the system asks whether the other side is still there.

Agents think for minutes, and whatever translates addresses on the way forgets a silent connection:
the gateways of clouds after 240 or 350 s.
"""

KEEPALIVE_INTERVAL = 30
"""Seconds from one such question without an answer to the next."""

KEEPALIVE_COUNT = 5
"""Questions without an answer after which the connection is lost."""

_PIECE = 1 << 16
"""Bytes written at most at a time."""

_MOST_UNREAD = 32
"""Pieces read at most from a connection that broke while it was written to."""


def use_own_backends(client: httpx2.Client | httpx2.AsyncClient) -> None:
    """Make a client's connections keep to the deadline of the call they are used for.

    httpcore2 takes a network backend, but httpx2 does not hand one on: hence the private names.
    `tests/core/test_network.py` fails when they change.
    """
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001
        if isinstance(transport, (httpx2.HTTPTransport, httpx2.AsyncHTTPTransport)):
            pool: Any = transport._pool  # noqa: SLF001
            _pools.add(pool)
            own = _BlockingBackend if isinstance(client, httpx2.Client) else _AsyncBackend
            if not isinstance(pool._network_backend, own):  # noqa: SLF001
                pool._network_backend = own(pool._network_backend)  # noqa: SLF001


_pools: weakref.WeakSet[Any] = weakref.WeakSet()


def _free_pools() -> None:
    """In a forked process: free the locks of pools that threads of the parent held.

    This process closes the pools too, at its end if not before.
    """
    for pool in _pools:
        pool._optional_thread_lock = type(pool._optional_thread_lock)()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_pools)


def _keep_alive(stream: Any, chosen: Iterable[httpcore2.SOCKET_OPTION] | None) -> None:
    """Turn TCP's keep-alive on for a connection, except for options that the user has chosen.

    A system or a kind of socket that does not know one of them goes without it.
    """
    taken = {option[:2] for option in chosen or ()}
    sock = stream.get_extra_info("socket")
    for level, name, value in _keepalive_options():
        if (level, name) not in taken:
            with suppress(OSError, AttributeError):
                sock.setsockopt(level, name, value)


def _keepalive_options() -> Iterator[tuple[int, int, int]]:
    yield socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1
    for names, value in (
        (("TCP_KEEPIDLE", "TCP_KEEPALIVE"), KEEPALIVE_IDLE),  # the second is macOS's name
        (("TCP_KEEPINTVL",), KEEPALIVE_INTERVAL),
        (("TCP_KEEPCNT",), KEEPALIVE_COUNT),
    ):
        for name in names:
            if hasattr(socket, name):
                yield socket.IPPROTO_TCP, getattr(socket, name), value


class _BlockingStream(httpcore2.NetworkStream):
    """A stream whose every operation ends by the deadline of the call it is used for."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream
        self._used = -math.inf
        self._pid = os.getpid()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        _check_process(self._pid, httpcore2.ReadError)
        limit = self._limit(timeout, httpcore2.ReadTimeout)
        data = self._stream.read(max_bytes, limit)
        self._used = time.monotonic()
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # In pieces, each with the time that is left: else a slow reader gets all of it each time.
        for start in range(0, len(buffer), _PIECE):
            limit = self._limit(timeout, httpcore2.WriteTimeout)
            self._stream.write(buffer[start : start + _PIECE], limit)

    def _limit(
        self, timeout: float | None, error: type[httpcore2.TimeoutException]
    ) -> float | None:
        io = current_io()
        if io is None:
            return timeout
        io.connecting = False
        return _limit(io, self._stream, timeout, error)

    def close(self) -> None:
        self._stream.close()  # closes no more than this process's copy, also after a fork

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        io = current_io()
        limit = timeout
        try:
            if io is not None:
                limit = _limit(io, self._stream, timeout, httpcore2.ConnectTimeout)
        except BaseException:
            self._stream.close()  # nobody else closes a stream that was not handed on
            raise
        return _BlockingStream(self._stream.start_tls(ssl_context, server_hostname, limit))

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable" and time.monotonic() - self._used < FRESH:
            return False
        return self._stream.get_extra_info(info)


def _limit(
    io: Any, stream: Any, timeout: float | None, error: type[httpcore2.TimeoutException]
) -> float | None:
    """Return the seconds an operation on a stream may take."""
    if not io.may_block_on(stream):
        raise httpcore2.ReadError("interrupted")
    if io.deadline == math.inf:
        return timeout
    left: float = io.remaining
    if left <= 0:
        raise error("timed out")
    return left if timeout is None else min(timeout, left)


def _check_process(pid: int, error: type[httpcore2.ReadError | httpcore2.WriteError]) -> None:
    """Refuse to use a connection that the process with this id has made.

    After a fork both processes have it: one would take bytes from the other, or add some.
    """
    if pid != os.getpid():
        raise error(f"the connection belongs to the process {pid}, which was forked")


class _BlockingBackend(httpcore2.NetworkBackend):
    """Makes streams that keep to the deadline of the call they are used for."""

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
        limit = _connect(timeout)

        def connect() -> httpcore2.NetworkStream:
            return self._connect(host, port, limit, local_address, socket_options)

        return _BlockingStream(_in_thread(connect, limit))

    def _connect(
        self,
        host: str,
        port: int,
        limit: float | None,
        local_address: str | None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None,
    ) -> httpcore2.NetworkStream:
        deadline = math.inf if limit is None else time.monotonic() + limit
        addresses = _addresses(host, port)
        for untried in range(len(addresses), 0, -1):
            # An address that does not answer leaves time for the others.
            share = None if limit is None else max(deadline - time.monotonic(), 0.001) / untried
            try:
                stream = self._backend.connect_tcp(
                    addresses[-untried], port, share, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if untried == 1:
                    raise
            else:
                _keep_alive(stream, socket_options)
                return stream
        raise httpcore2.ConnectError(f"{host} has no address")

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        limit = _connect(timeout)
        return _BlockingStream(self._backend.connect_unix_socket(path, limit, socket_options))


def _connect(timeout: float | None) -> float | None:
    """Take note that the call connects; return the seconds that may take."""
    io = current_io()
    if io is None:
        return timeout
    io.connect()
    return _limit(io, None, timeout, httpcore2.ConnectTimeout)


def _addresses(host: str, port: int) -> list[str]:
    """Return the addresses of a host, in the order in which they are to be tried."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise httpcore2.ConnectError(f"{host}: {exc}") from None
    return [str(address[0]) for *_, address in found]


def _in_thread(
    connect: Callable[[], httpcore2.NetworkStream], seconds: float | None
) -> httpcore2.NetworkStream:
    """Return the stream that `connect` makes in a thread of its own.

    The system's resolver takes the time it likes, and nobody can interrupt a socket that connects.
    """
    lock = threading.Lock()
    ended = threading.Event()
    outcomes: list[httpcore2.NetworkStream | Exception] = []
    given_up = False

    def run() -> None:
        outcome: httpcore2.NetworkStream | Exception
        try:
            outcome = connect()
        except Exception as exc:  # noqa: BLE001 - raised in the thread that waits
            outcome = exc
        with lock:
            outcomes.append(outcome)
            if given_up and isinstance(outcome, httpcore2.NetworkStream):
                outcome.close()
        ended.set()

    try:
        threading.Thread(target=run, name="runagent-connecting", daemon=True).start()
    except RuntimeError:  # there are too many threads, or the interpreter is about to end
        run()
    io = current_io()
    try:
        with io.woken_by(ended.set) if isinstance(io, BlockingIO) else nullcontext():
            ended.wait(seconds)
    finally:
        with lock:
            given_up = not outcomes
    if given_up:
        if io is not None and io.interrupted:
            raise httpcore2.ConnectError("interrupted")
        raise httpcore2.ConnectTimeout("timed out")
    (outcome,) = outcomes
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


class Read:
    """A read of a network stream, which goes on if the task that waits for it is cancelled."""

    def __init__(
        self, stream: httpcore2.AsyncNetworkStream, max_bytes: int, timeout: float | None
    ) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._timeout = timeout
        self._going_on: Lasting[bytes] | None = None

    async def wait(self) -> bytes:
        """Return the bytes that were read.

        Raises:
            httpcore2.TimeoutException: Nothing came in time.
            httpcore2.NetworkError: The connection was lost, or `cancel` was called.
        """
        if self._going_on is not None:
            return await self._going_on.wait()
        began = time.monotonic()
        try:
            return await self._stream.read(self._max_bytes, self._timeout)
        except asyncio.CancelledError:
            # A read that is cancelled has taken nothing. It goes on in a task only now, because a
            # task for every read would take longer than the read.
            left = self._timeout
            if left is not None:
                left = max(left - (time.monotonic() - began), 0.001)
            self._going_on = Lasting(self._stream.read(self._max_bytes, left))
            raise

    def abandon(self) -> None:
        """End the read, if it goes on in a task."""
        if self._going_on is not None:
            self._going_on.abandon()

    async def cancel(self) -> None:
        """End the read, if it goes on in a task, and wait until it has ended."""
        if self._going_on is not None:
            await self._going_on.cancel()


@types.coroutine
def _by_caller(read: Read) -> Generator[Read, bytes, bytes]:
    """Have whoever takes the steps of this coroutine wait for the read, and send the bytes."""
    return (yield read)


class AsyncStream(httpcore2.AsyncNetworkStream):
    """A stream of the event loop; cancellation ends its operations.

    Attributes:
        yields_reads: Whether a read is yielded as a `Read` to whoever takes the steps of the
            coroutine, who waits for it.
    """

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self.yields_reads = False
        self._stream = stream
        self._pid = os.getpid()
        self._early: list[bytes] = []

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return the next bytes, none at the end."""
        _check_process(self._pid, httpcore2.ReadError)
        if self._early:
            return self._early.pop(0)
        if self.yields_reads:
            return await _by_caller(Read(self._stream, max_bytes, timeout))
        self._exchange()
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all bytes."""
        _check_process(self._pid, httpcore2.WriteError)
        self._exchange()
        if len(buffer) <= _PIECE:
            await self._stream.write(buffer, timeout)
        else:
            await self._write_and_listen(buffer, timeout)

    async def _write_and_listen(self, buffer: bytes, timeout: float | None) -> None:
        """Write, unless the server answers before it has read all.

        A server that refuses a large body answers and closes the connection. An event loop whose
        writing fails for that closes the socket, and what it has not read by then is lost, but for
        a duplicate of the socket.
        """
        spare = self._duplicate()
        with nullcontext() if spare is None else spare:
            error = await self._race(buffer, timeout)
            if error is not None and spare is not None and not self._early:
                self._early = _unread(spare)
        if self._early:
            # httpcore2 takes this as the end of the request, and goes on to read the answer.
            raise httpcore2.WriteError("the server answered before it had read the request")
        if error is not None:
            raise error

    async def _race(self, buffer: bytes, timeout: float | None) -> Exception | None:
        """Write and read at the same time until one of both ends; return how the writing failed."""
        error: Exception | None = None
        async with anyio.create_task_group() as group:

            async def listen() -> None:
                with suppress(httpcore2.NetworkError):
                    self._early.append(await self._stream.read(_PIECE))
                    group.cancel_scope.cancel()

            group.start_soon(listen)
            try:
                await self._stream.write(buffer, timeout)
            except (httpcore2.NetworkError, httpcore2.TimeoutException) as exc:
                error = exc  # raised outside of the group, which would wrap it
            group.cancel_scope.cancel()
        return error

    def _duplicate(self) -> socket.socket | None:
        """Return a duplicate of a socket without TLS, `None` if there is none."""
        if self._stream.get_extra_info("ssl_object") is not None:
            return None
        with suppress(AttributeError, OSError, NotImplementedError):
            duplicate: socket.socket = self._stream.get_extra_info("socket").dup()
            return duplicate
        return None

    async def aclose(self) -> None:
        """Close the stream."""
        # An event loop closes by shutting down the connection and by forgetting it in what it waits
        # on, both of which a forked process shares with its parent.
        if self._pid == os.getpid():
            await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Return an encrypted stream over this one."""
        try:
            stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            # Closed by nobody if the handshake was cancelled, as every timeout does here.
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()
            raise
        return AsyncStream(stream)

    def get_extra_info(self, info: str) -> Any:
        """Return a fact about the stream."""
        return self._stream.get_extra_info(info)

    def _exchange(self) -> None:
        """Take note that the call is connected, and data goes to and fro."""
        io: Any = current_io()
        if io is not None:
            io.connecting = False
            io.stream = self


def _unread(sock: socket.socket) -> list[bytes]:
    """Return what has arrived at a connection that is broken, and the end of it."""
    found: list[bytes] = []
    sock.setblocking(False)
    for _ in range(_MOST_UNREAD):
        try:
            data = sock.recv(_PIECE)
        except BlockingIOError:
            break
        except OSError:  # told once; the bytes that came before it are still there
            continue
        if not data:
            break
        found.append(data)
    return [*found, b""] if found else []


class _AsyncBackend(httpcore2.AsyncNetworkBackend):
    """Makes streams that tell the call they are used for when it connects."""

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
        _connect_async()
        connect = self._backend.connect_tcp
        try:
            stream = await connect(host, port, timeout, local_address, socket_options)
        except RuntimeError:  # as there is no thread for the resolver any more
            address = _addresses(host, port)[0]
            stream = await connect(address, port, timeout, local_address, socket_options)
        _keep_alive(stream, socket_options)
        return AsyncStream(stream)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        _connect_async()
        return AsyncStream(await self._backend.connect_unix_socket(path, timeout, socket_options))


def _connect_async() -> None:
    io = current_io()
    if io is not None:
        io.connect()
