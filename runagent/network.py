"""Network streams whose operations keep to the deadline of their call, and end when it does.

A timeout of httpx2 bounds each read; a server that sends a byte now and then would keep a call
alive for ever. So the connections of every client are made by the backends here.
"""

from __future__ import annotations

import math
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from typing import Any

import anyio
import httpcore2
import httpx2

from runagent.interrupt import BlockingIO, current_io

FRESH = 0.05
"""Seconds for which a connection is taken to be open still, as its server has just answered on it.

For each request, a pool asks all idle connections whether they were closed, and each asks the
system; among many threads that takes longer than the rest of a call.
"""

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
            own = _BlockingBackend if isinstance(client, httpx2.Client) else _AsyncBackend
            if not isinstance(pool._network_backend, own):  # noqa: SLF001
                pool._network_backend = own(pool._network_backend)  # noqa: SLF001


class _BlockingStream(httpcore2.NetworkStream):
    """A stream whose every operation ends by the deadline of the call it is used for."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream
        self._used = -math.inf

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        limit = self._limit(timeout, httpcore2.ReadTimeout)
        data = self._stream.read(max_bytes, limit)
        self._used = time.monotonic()
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # In pieces, each with the time that is left: a slow reader would get it all for each send.
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
        self._stream.close()

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
            # An address that does not answer leaves time for those after it.
            share = None if limit is None else max(deadline - time.monotonic(), 0.001) / untried
            try:
                return self._backend.connect_tcp(
                    addresses[-untried], port, share, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if untried == 1:
                    raise
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


class _AsyncStream(httpcore2.AsyncNetworkStream):
    """A stream of the event loop; cancellation ends its operations."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream
        self._early: list[bytes] = []

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        _exchange()
        if self._early:
            return self._early.pop(0)
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        _exchange()
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


def _exchange() -> None:
    """Take note that the call is connected, and data goes to and fro."""
    io = current_io()
    if io is not None:
        io.connecting = False


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
        return _AsyncStream(stream)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        _connect_async()
        return _AsyncStream(await self._backend.connect_unix_socket(path, timeout, socket_options))


def _connect_async() -> None:
    io = current_io()
    if io is not None:
        io.connect()
