"""The bodies of answers, and the streams that are left open, as bytes and events."""

from __future__ import annotations

import sys
import types
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Generator,
    Iterator,
)
from contextlib import aclosing, contextmanager, suppress
from functools import partial
from typing import Any, TypeVar, cast

import anyio
import httpcore2
import httpx2

from runagent.encodings import GzipDecoder, is_gzip, slices
from runagent.results import StreamEvent
from runagent.wire import StreamReader

T = TypeVar("T")

READ_SIZE = 65_536
"""Bytes read at most at a time from a socket used directly."""

GOODBYE_TIMEOUT = 1.0
"""Seconds for sending the last bytes to a server that may be gone."""


def body(response: httpx2.Response, limit: int) -> bytes:
    """Read a body; of one larger than `limit`, no more than shows that it is."""
    found = bytearray()
    for data in _pieces(response):
        found += data
        if len(found) > limit:
            break
    response.close()
    return bytes(found)


async def body_async(response: httpx2.Response, limit: int) -> bytes:
    """Read a body; of one larger than `limit`, no more than shows that it is."""
    found = bytearray()
    async with aclosing(_pieces_async(response)) as chunks:
        async for data in chunks:
            found += data
            if len(found) > limit:
                break
    await response.aclose()
    return bytes(found)


def _pieces(response: httpx2.Response) -> Iterator[bytes]:
    """Yield a decoded body in pieces of at most `READ_SIZE`, or as they came in."""
    if "content-encoding" not in response.headers:
        return response.iter_bytes()
    return _decoded(response)


def _decoded(response: httpx2.Response) -> Iterator[bytes]:
    if is_gzip(response.headers) and not response.is_stream_consumed:
        decoder = GzipDecoder(READ_SIZE)
        for data in response.iter_raw():
            yield from decoder.feed(data)
        return
    for data in response.iter_bytes():
        yield from slices(data, READ_SIZE)


def _pieces_async(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    """Yield a decoded body in pieces of at most `READ_SIZE`, or as they came in."""
    if "content-encoding" not in response.headers:
        return response.aiter_bytes()
    return _decoded_async(response)


async def _decoded_async(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    if is_gzip(response.headers) and not response.is_stream_consumed:
        decoder = GzipDecoder(READ_SIZE)
        async with aclosing(response.aiter_raw()) as chunks:
            async for data in chunks:
                for piece in decoder.feed(data):
                    yield piece
        return
    async with aclosing(response.aiter_bytes()) as chunks:
        async for data in chunks:
            for piece in slices(data, READ_SIZE):
                yield piece


def network_stream(response: httpx2.Response) -> Any:
    """Return the network stream that an answer comes over, `None` if its transport shows none."""
    return response.extensions.get("network_stream")


def _socket(response: httpx2.Response) -> Any:
    """Return the network stream of an answer that switched protocols, `None` for any other."""
    if response.status_code != httpx2.codes.SWITCHING_PROTOCOLS:
        return None
    return network_stream(response)


@contextmanager
def _as_http_errors() -> Iterator[None]:
    """Let a socket used directly fail by the same exceptions as one used by httpx2."""
    try:
        yield
    except httpcore2.TimeoutException as exc:
        raise httpx2.ReadTimeout(str(exc)) from exc
    except httpcore2.NetworkError as exc:
        raise httpx2.ReadError(str(exc)) from exc


# httpx2's own WebSocket sessions are not used: they read in threads or task groups, which neither a
# generator nor the cancellation of its caller can own, and close on the late pongs of busy agents.


class OpenStream:
    """A stream that was left open, and is read by a thread."""

    def __init__(
        self, response: httpx2.Response, reader: StreamReader, silence: float | None
    ) -> None:
        """Read with `reader`; more than `silence` seconds without data are a failure."""
        self._response = response
        self._reader = reader
        self._socket = _socket(response)
        self._arrivals: Iterator[list[StreamEvent]]
        if self._socket is None:
            self._arrivals = map(reader.feed, _pieces(response))
        else:
            self._arrivals = self._messages(silence)

    def receive(self) -> list[StreamEvent] | None:
        """Return the next events, `None` at the end of the connection."""
        return next(self._arrivals, None)

    def _messages(self, silence: float | None) -> Iterator[list[StreamEvent]]:
        reader = self._reader
        with _as_http_errors():
            self._socket.write(reader.outgoing(), silence)
        while True:
            with _as_http_errors():
                data = self._socket.read(READ_SIZE, silence)
                if not data:
                    return
                events = reader.feed(data)
                if outgoing := reader.outgoing():
                    self._socket.write(outgoing, silence)
            yield events

    def close(self) -> None:
        """Say goodbye, and give the connection back or close it."""
        if self._socket is not None:
            with suppress(httpcore2.NetworkError, httpcore2.TimeoutException):
                self._socket.write(self._reader.closing(), GOODBYE_TIMEOUT)
        self._response.close()


class AsyncOpenStream:
    """A stream that was left open, and is read by a task."""

    def __init__(
        self, response: httpx2.Response, reader: StreamReader, silence: float | None
    ) -> None:
        """Read with `reader`; more than `silence` seconds without data are a failure."""
        self._arrivals = _arrivals(response, reader, silence)
        self._begun = False

    def receive(self) -> Awaitable[list[StreamEvent] | None]:
        """Return the next events, `None` at the end of the connection."""
        if self._begun:
            return anext(self._arrivals, None)
        self._begun = True
        return unregistered(_next(self._arrivals))

    async def aclose(self) -> None:
        """Say goodbye, and give the connection back or close it."""
        await self._arrivals.aclose()


async def _next(arrivals: AsyncGenerator[list[StreamEvent], None]) -> list[StreamEvent] | None:
    return await anext(arrivals, None)


async def _arrivals(
    response: httpx2.Response, reader: StreamReader, silence: float | None
) -> AsyncGenerator[list[StreamEvent], None]:
    """Yield the events of a stream as they come, and send the bytes its reader wants to be sent."""
    network = _socket(response)
    if network is None:
        # The response is closed first, so that the generators around it have nothing to wait for
        # when this is cancelled.
        async with aclosing(_pieces_async(response)) as chunks, aclosing(response):
            async for data in chunks:
                yield reader.feed(data)
        return
    try:
        with _as_http_errors():
            await network.write(reader.outgoing(), silence)
        while True:
            with _as_http_errors():
                data = await network.read(READ_SIZE, silence)
                if not data:
                    return
                events = reader.feed(data)
                if outgoing := reader.outgoing():
                    await network.write(outgoing, silence)
            yield events
    finally:
        with anyio.CancelScope(shield=True):
            with suppress(httpcore2.NetworkError, httpcore2.TimeoutException):
                await network.write(reader.closing(), GOODBYE_TIMEOUT)
            await response.aclose()


@types.coroutine
def unregistered(awaitable: Awaitable[T]) -> Generator[Any, None, T]:
    """Await something without telling the event loop of its asynchronous generators.

    A loop that shuts down closes all generators it knows at the same time. Where they wrap each
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
