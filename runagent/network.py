"""Network streams whose operations keep to the deadline of their call, and end when it does.

A timeout of httpx2 bounds each read; a server that sends a byte now and then would keep a call
alive for ever. So the connections of every client are made by the backends here.
"""

from __future__ import annotations

import math
import os
import ssl
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import httpcore2
import httpx2

from runagent.async_network import AsyncBackend
from runagent.interrupt import BlockingIO, current_io
from runagent.sockets import (
    PIECE,
    addresses_of,
    check_not_closed,
    check_process,
    is_fresh,
    is_held_head,
    keep_alive,
)


def use_own_backends(client: httpx2.Client | httpx2.AsyncClient) -> None:
    """Make a client's connections keep to the deadline of the call they are used for.

    httpcore2 takes a network backend, but httpx2 does not hand one on: hence the private names.
    `tests/core/test_network.py` fails when they change.
    """
    if sys.platform == "emscripten":
        return  # the browser makes the connections
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001
        if isinstance(transport, (httpx2.HTTPTransport, httpx2.AsyncHTTPTransport)):
            pool: Any = transport._pool  # noqa: SLF001
            _pools.add(pool)
            own = _BlockingBackend if isinstance(client, httpx2.Client) else AsyncBackend
            if not isinstance(pool._network_backend, own):  # noqa: SLF001
                pool._network_backend = own(pool._network_backend)  # noqa: SLF001


# What `send` of httpx2 does besides is for hooks, authentication, redirects and cookies, which only
# a client of the user's own has. It is a tenth of the work of a call.


def send(http: httpx2.Client, request: httpx2.Request, *, is_own: bool) -> httpx2.Response:
    """Send a request; return the response, whose body is still to be read.

    Args:
        http: The client that sends it.
        request: The request.
        is_own: Whether this package has made the client, and not the user.
    """
    if not is_own:
        return http.send(request, stream=True, follow_redirects=False)
    response: httpx2.Response = _transport(http, request).handle_request(request)
    response.request = request
    return response


async def send_async(
    http: httpx2.AsyncClient, request: httpx2.Request, *, is_own: bool
) -> httpx2.Response:
    """Do what `send` does, on an event loop."""
    if not is_own:
        return await http.send(request, stream=True, follow_redirects=False)
    response: httpx2.Response = await _transport(http, request).handle_async_request(request)
    response.request = request
    return response


def _transport(http: httpx2.Client | httpx2.AsyncClient, request: httpx2.Request) -> Any:
    """Return the transport for a request, unless the client is closed: it would connect again."""
    if http.is_closed:
        raise RuntimeError("the client was closed")
    return http._transport_for_url(request.url)  # noqa: SLF001


_pools: weakref.WeakSet[Any] = weakref.WeakSet()


def _free_pools() -> None:
    """In a forked process: free the locks of pools that threads of the parent held.

    This process closes the pools too, at its end if not before.
    """
    for pool in _pools:
        pool._optional_thread_lock = type(pool._optional_thread_lock)()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_pools)


class BlockingStream(httpcore2.NetworkStream):
    """A stream whose every operation ends by the deadline of the call it is used for."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream
        self._used = -math.inf
        self._pid = os.getpid()
        self._head = b""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return the next bytes, none at the end."""
        check_process(self._pid, httpcore2.ReadError)
        if self._head:
            self.write(b"", timeout)
        limit = self._limit(timeout, httpcore2.ReadTimeout)
        data = self._stream.read(max_bytes, limit)
        self._used = time.monotonic()
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all bytes; the head of a request waits for the beginning of its body."""
        if is_held_head(current_io(), buffer):
            if is_fresh(self._used):
                check_not_closed(self._stream.get_extra_info("socket"))
            self._head = buffer
            return
        if self._head:
            head, self._head = self._head, b""
            self._write(head + buffer[:PIECE], timeout)
            buffer = buffer[PIECE:]
        self._write(buffer, timeout)

    def _write(self, buffer: bytes, timeout: float | None) -> None:
        # In pieces, each with the time that is left: else a slow reader gets all of it each time.
        for start in range(0, len(buffer), PIECE):
            limit = self._limit(timeout, httpcore2.WriteTimeout)
            self._stream.write(buffer[start : start + PIECE], limit)

    def _limit(
        self, timeout: float | None, error: type[httpcore2.TimeoutException]
    ) -> float | None:
        io = current_io()
        if io is None:
            return timeout
        io.connecting = False
        return _limit(io, self._stream, timeout, error)

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()  # closes no more than this process's copy, also after a fork

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        """Return an encrypted stream over this one."""
        io = current_io()
        limit = timeout
        try:
            if io is not None:
                limit = _limit(io, self._stream, timeout, httpcore2.ConnectTimeout)
        except BaseException:
            self._stream.close()  # nobody else closes a stream that was not handed on
            raise
        return BlockingStream(self._stream.start_tls(ssl_context, server_hostname, limit))

    def get_extra_info(self, info: str) -> Any:
        """Return a fact about the stream."""
        if info == "is_readable" and is_fresh(self._used):
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
    left: float = io.deadline - time.monotonic()
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

        return BlockingStream(_in_thread(connect, limit))

    def _connect(
        self,
        host: str,
        port: int,
        limit: float | None,
        local_address: str | None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None,
    ) -> httpcore2.NetworkStream:
        deadline = math.inf if limit is None else time.monotonic() + limit
        addresses = addresses_of(host, port)
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
                keep_alive(stream, socket_options)
                return stream
        raise httpcore2.ConnectError(f"{host} has no address")

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        limit = _connect(timeout)
        return BlockingStream(self._backend.connect_unix_socket(path, limit, socket_options))


def _connect(timeout: float | None) -> float | None:
    """Take note that the call connects; return the seconds that may take."""
    io = current_io()
    if io is None:
        return timeout
    io.connect()
    return _limit(io, None, timeout, httpcore2.ConnectTimeout)


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
