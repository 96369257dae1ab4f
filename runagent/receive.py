"""The bodies of responses, and the streams that are left open, as bytes and events."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from contextlib import aclosing, contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import httpcore2
import httpx2

from runagent.async_network import AsyncStream, Read
from runagent.encodings import GzipDecoder, is_gzip, slices
from runagent.lasting import Lasting
from runagent.network import BlockingStream
from runagent.results import Event
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
    if "content-encoding" in response.headers:
        return _decoded(response)
    # A transport of the user's own may have read it.
    return response.iter_bytes() if response.is_stream_consumed else response.iter_raw()


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
    if "content-encoding" in response.headers:
        return _decoded_async(response)
    return response.aiter_bytes() if response.is_stream_consumed else response.aiter_raw()


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
    """Return the network stream that a response comes over, `None` if its transport shows none."""
    return response.extensions.get("network_stream")


def is_reusable(response: httpx2.Response) -> bool:
    """Whether reading to its end, by a deadline, leaves its connection to other calls."""
    switched = response.status_code == httpx2.codes.SWITCHING_PROTOCOLS
    return not switched and isinstance(network_stream(response), (AsyncStream, BlockingStream))


def _socket(response: httpx2.Response) -> Any:
    """Return the network stream of a response that switched protocols, `None` for any other."""
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
        self._arrivals: Iterator[list[Event]]
        if self._socket is None:
            self._arrivals = map(reader.feed, _pieces(response))
        else:
            self._arrivals = self._messages(silence)

    def receive(self) -> list[Event] | None:
        """Return the next events, `None` at the end of the connection."""
        return next(self._arrivals, None)

    def _messages(self, silence: float | None) -> Iterator[list[Event]]:
        reader = self._reader
        unsent: Exception | None = None
        with _as_http_errors():
            try:
                self._socket.write(reader.outgoing(), silence)
            except httpcore2.WriteError as exc:  # a server that refuses an input says why
                unsent = exc
        while True:
            with _as_http_errors():
                data = self._socket.read(READ_SIZE, silence)
                if not data and unsent is not None:
                    raise unsent
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


Received = list[Event] | None
"""The next events of a stream, `None` at the end of its connection."""


class AsyncOpenStream:
    """A stream that was left open, and is read by tasks.

    A task that waits for events may be cancelled; the next one goes on where it was.

    Attributes:
        receive: Returns the next events, or else an awaitable of them.
    """

    # The generators of httpx2 end when they are cancelled. So they never wait for the network
    # themselves: they yield their reads, and what is cancelled is the wait for a read, here.

    def __init__(
        self, response: httpx2.Response, reader: StreamReader, silence: float | None
    ) -> None:
        """Read with `reader`; more than `silence` seconds without data are a failure."""
        self._response = response
        self._reader = reader
        self._silence = silence
        self._socket = _socket(response)
        self._network = network_stream(response)
        self._bytes = _pieces_async(response)
        self._step: Any = None  # the step of `_bytes` under way, and what it waits for:
        self._wanted: Any = None
        self._operation: Lasting[Any] | None = None  # an operation under way that is no read
        self._unsent: Exception | None = None
        self._events: list[Event] = []
        self._is_stepped = self._socket is None and isinstance(self._network, AsyncStream)
        if self._is_stepped:
            self._network.yields_reads = True
            self._anext: Callable[[], Any] = self._bytes.__anext__
            self._feed = reader.feed
        self.receive = self._receiver()

    def _receiver(self) -> Callable[[], Received | Awaitable[Received]]:
        if self._socket is not None:
            return self._message
        return self._first if self._is_stepped else self._other

    def _first(self) -> Received | Awaitable[Received]:
        """Receive the first events without telling the event loop of the asynchronous generators.

        A loop that shuts down closes all generators it knows at the same time. Where they wrap each
        other, as those of httpx2 do, the outer ones then fail to close the inner ones.
        """
        self.receive = self._following
        return _unregistered(self._following)

    def _following(self) -> Received | Awaitable[Received]:
        step = self._anext()
        try:
            self._wanted = next(step)
        except StopIteration as stop:
            return self._feed(stop.value)
        except StopAsyncIteration:
            return None
        self._step = step
        self.receive = self._rest_of_step
        return self._rest_of_step()

    async def _rest_of_step(self) -> Received:
        step = self._step
        while True:
            wanted = self._wanted
            found = exception = None
            try:
                found = await (wanted.wait() if isinstance(wanted, Read) else _waited(wanted))
            except BaseException as exc:
                if isinstance(wanted, Read) and isinstance(exc, asyncio.CancelledError):
                    raise
                exception = exc
            try:
                self._wanted = step.send(found) if exception is None else step.throw(exception)
            except BaseException as exc:
                self._step = self._wanted = None
                self.receive = self._following
                if isinstance(exc, StopIteration):
                    return self._reader.feed(exc.value)
                if isinstance(exc, StopAsyncIteration):
                    return None
                raise

    async def _message(self) -> Received:
        await self._send()
        if not self._events:
            if self._wanted is None:
                self._wanted = Read(self._socket, READ_SIZE, self._silence)
            with _as_http_errors():
                data = await self._wanted.wait()
                if not data and self._unsent is not None:
                    raise self._unsent
            self._wanted = None
            if not data:
                return None
            self._events = self._reader.feed(data)
            await self._send()
        events, self._events = self._events, []
        return events

    async def _send(self) -> None:
        """Send the bytes that the reader wants to be sent."""
        if self._operation is None and (outgoing := self._reader.outgoing()):
            self._operation = Lasting(self._socket.write(outgoing, self._silence))
        if self._operation is not None:
            with _as_http_errors():
                try:
                    await self._operation.wait()
                except httpcore2.WriteError as exc:  # a server that refuses an input says why
                    self._unsent = exc
            self._operation = None

    async def _other(self) -> Received:
        """Receive from a transport of the user's own, whose reads nobody else can wait for."""
        if self._operation is None:
            self._operation = Lasting(self._next())
        with _as_http_errors():
            data: bytes | None = await self._operation.wait()
        self._operation = None
        return None if data is None else self._reader.feed(data)

    async def _next(self) -> bytes | None:
        step: Any = self._bytes.__anext__()
        try:
            found: bytes = await _stepped(step, partial(_unregistered, partial(step.send, None)))
        except StopAsyncIteration:
            return None
        return found

    @property
    def is_busy(self) -> bool:
        """Whether an operation was given up and is under way, so that closing waits for its end."""
        return self._operation is not None or self._step is not None

    def abandon(self) -> None:
        """Make the operation under way end at once, if it is not one that shutting down ends."""
        if self._operation is not None:
            self._operation.abandon()

    async def aclose(self) -> None:
        """Say goodbye, and give the connection back or close it."""
        may_speak = self._socket is not None and self._operation is None
        if self._operation is not None:
            await self._operation.cancel()
        if isinstance(self._wanted, Read):
            await self._wanted.cancel()
        if self._is_stepped:
            self._network.yields_reads = False
        if self._step is not None:
            step, self._step = self._step, None
            with suppress(httpx2.HTTPError):
                await _stepped(step, partial(step.throw, httpcore2.ReadError("closed")))
        if may_speak:
            with suppress(httpcore2.NetworkError, httpcore2.TimeoutException):
                await self._socket.write(self._reader.closing(), GOODBYE_TIMEOUT)
        # The response is closed first, so that the generators around it have nothing to wait for.
        await self._response.aclose()
        await self._bytes.aclose()


def _unregistered(advance: Callable[[], T]) -> T:
    """Call a function without telling the event loop of the asynchronous generators it begins."""
    register = sys.get_asyncgen_hooks().firstiter
    sys.set_asyncgen_hooks(firstiter=None)
    try:
        return advance()
    finally:
        sys.set_asyncgen_hooks(firstiter=register)


@types.coroutine
def _waited(wanted: Any) -> Generator[Any, Any, Any]:
    """Wait for what a step of a coroutine has yielded."""
    return (yield wanted)


@types.coroutine
def _stepped(step: Any, advance: Callable[[], Any]) -> Generator[Any, Any, Any]:
    """Take a step to its end, of which `advance` goes on with the first part."""
    while True:
        try:
            wanted = advance()
        except StopIteration as stop:
            return stop.value
        try:
            found = yield wanted
        except BaseException as exc:  # noqa: BLE001 - handed on
            advance = partial(step.throw, exc)
        else:
            advance = partial(step.send, found)
