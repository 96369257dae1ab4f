"""Network streams of an event loop: cancellation ends their operations, and a read can go on."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import ssl
import time
import types
from collections.abc import Generator, Iterable
from contextlib import nullcontext, suppress
from typing import Any

import anyio
import httpcore2

from runagent.interrupt import current_io
from runagent.lasting import Lasting
from runagent.loop_sockets import DirectStream, direct
from runagent.sockets import (
    PIECE,
    addresses_of,
    check_not_closed,
    check_process,
    is_fresh,
    is_held_head,
    keep_alive,
)

_MOST_UNREAD = 32
"""Pieces read at most from a connection that broke while it was written to."""


class Read:
    """A read of a network stream, which goes on if the task that waits for it is cancelled."""

    def __init__(
        self,
        stream: DirectStream | httpcore2.AsyncNetworkStream,
        max_bytes: int,
        timeout: float | None,
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
        self._bytes = direct(stream)
        self._socket = stream.get_extra_info("socket")  # anyio asks the system for it each time
        self._pid = os.getpid()
        self._used = -math.inf
        self._early: list[bytes] = []
        self._head = b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return the next bytes, none at the end."""
        check_process(self._pid, httpcore2.ReadError)
        if self._early:
            return self._early.pop(0)
        if self.yields_reads:
            return await _by_caller(Read(self._bytes, max_bytes, timeout))
        if self._head:
            await self.write(b"", timeout)
        self._exchange()
        data = await self._bytes.read(max_bytes, timeout)
        self._used = time.monotonic()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all bytes; the head of a request waits for the beginning of its body."""
        check_process(self._pid, httpcore2.WriteError)
        self._exchange()
        if is_held_head(current_io(), buffer):
            if is_fresh(self._used):
                check_not_closed(self._socket)
            self._head = buffer
            return
        head, self._head = self._head, b""
        if len(buffer) <= PIECE:
            await self._bytes.write(head + buffer, timeout)
        else:
            await self._bytes.write(head, timeout)
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
            # httpcore2 takes this as the end of the request, and goes on to read the response.
            raise httpcore2.WriteError("the server answered before it had read the request")
        if error is not None:
            raise error

    async def _race(self, buffer: bytes, timeout: float | None) -> Exception | None:
        """Write and read at the same time until one of both ends; return how the writing failed."""
        error: Exception | None = None
        async with anyio.create_task_group() as group:

            async def listen() -> None:
                with suppress(httpcore2.NetworkError):
                    self._early.append(await self._bytes.read(PIECE))
                    group.cancel_scope.cancel()

            group.start_soon(listen)
            try:
                await self._bytes.write(buffer, timeout)
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
        if info == "is_readable" and is_fresh(self._used):
            return False
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
            data = sock.recv(PIECE)
        except BlockingIOError:
            break
        except OSError:  # told once; the bytes that came before it are still there
            continue
        if not data:
            break
        found.append(data)
    return [*found, b""] if found else []


class AsyncBackend(httpcore2.AsyncNetworkBackend):
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
        """Connect to a host."""
        _connect_async()
        connect = self._backend.connect_tcp
        try:
            stream = await connect(host, port, timeout, local_address, socket_options)
        except RuntimeError:  # as there is no thread for the resolver any more
            address = addresses_of(host, port)[0]
            stream = await connect(address, port, timeout, local_address, socket_options)
        keep_alive(stream, socket_options)
        return AsyncStream(stream)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to a socket of this machine."""
        _connect_async()
        return AsyncStream(await self._backend.connect_unix_socket(path, timeout, socket_options))


def _connect_async() -> None:
    io = current_io()
    if io is not None:
        io.connect()
