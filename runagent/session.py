"""The I/O of both clients: two thin shells, one blocking, one not, around the same `Call`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

import anyio
import httpx2

from runagent.call import MAX_ERROR_BODY, Call, bare
from runagent.config import Settings, is_loopback
from runagent.errors import RunAgentError, StreamError
from runagent.results import RunResult, StreamEvent
from runagent.stream import AsyncStream, Stream, StreamState
from runagent.transport import AsyncConnections, ConnectionOptions, SyncConnections
from runagent.wire import StreamReader, Wire
from runagent.wire.rest import RestWire

T = TypeVar("T")

Select = Callable[[StreamEvent], T | None]
"""Makes of an event what a stream yields; `None` for nothing."""

FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, RunAgentError)
"""What an attempt may end with; anything else is a bug, or the user's own."""


class _Session:
    """What both sessions are made of."""

    def __init__(self, settings: Settings, arguments: Mapping[str, Any]) -> None:
        self._settings = settings
        self._max_message_size: int = arguments["max_message_size"]
        self._options = ConnectionOptions(
            verify=arguments["verify_ssl"],
            pool_size=arguments["connection_pool_size"],
            proxy=arguments["proxy"],
            direct=is_loopback(settings.base_url),
            http_client=arguments["http_client"],
        )
        self._wire: Wire = RestWire(settings.base_url, settings.quoted_agent_id)

    def _call(
        self, content: bytes, timeout: float, headers: Mapping[str, str], *, streams: bool
    ) -> Call:
        return Call(
            self._settings, self._wire, content, streams=streams, timeout=timeout, headers=headers
        )

    def _reader(self, response: httpx2.Response, state: StreamState) -> StreamReader:
        state.request_id = response.headers.get("x-request-id")
        return self._wire.reader(self._max_message_size)

    def _read(
        self, reader: StreamReader, data: bytes, state: StreamState, select: Select[T]
    ) -> Iterator[T]:
        """Yield what the next bytes of a stream hold, up to its end."""
        for event in reader.feed(data):
            if event.kind == "error":
                raise reader.failure(event)
            state.take(event)
            item = select(event)
            if item is not None:
                yield item
            if state.done:
                return


def _with_text(error: RunAgentError, state: StreamState) -> RunAgentError:
    """Add to an error what is known of the stream it ends."""
    if isinstance(error, StreamError):
        error.text = state.text
    if error.request_id is None:
        error.request_id = state.request_id
    return error


def _error_body(response: httpx2.Response) -> bytes:
    """Read the body of an error as far as a message can use it."""
    body = bytearray()
    for data in response.iter_bytes():
        body += data
        if len(body) >= MAX_ERROR_BODY:
            break
    response.close()
    return bytes(body)


async def _error_body_async(response: httpx2.Response) -> bytes:
    """Read the body of an error as far as a message can use it."""
    body = bytearray()
    async with aclosing(response.aiter_bytes()) as chunks:
        async for data in chunks:
            body += data
            if len(body) >= MAX_ERROR_BODY:
                break
    return bytes(body)


class SyncSession(_Session):
    """Does the I/O of `RunAgentClient`."""

    def __init__(self, settings: Settings, arguments: Mapping[str, Any]) -> None:
        """Talk as `settings` say, connected as the client's `arguments` say."""
        super().__init__(settings, arguments)
        self._connections = SyncConnections(self._options)

    def share(self, other: SyncSession) -> None:
        """Use the connections of another session, if they are made in the same way."""
        if self._options == other._options:
            self._connections = other._connections
            self._connections.users += 1

    def invoke(self, content: bytes, timeout: float, headers: Mapping[str, str]) -> RunResult:
        """Run the agent once."""
        call = self._call(content, timeout, headers, streams=False)
        return self._perform(call, lambda response: call.result(response, response.read()))

    def stream(
        self, content: bytes, timeout: float, headers: Mapping[str, str], select: Select[T]
    ) -> Stream[T]:
        """Return a stream of what `select` makes of its events."""
        call = self._call(content, timeout, headers, streams=True)
        state = StreamState()
        return Stream(self._items(call, select, state), state, call.interrupt)

    def close(self) -> None:
        """Close the connections, unless another session uses them too."""
        self._connections.users -= 1
        if self._connections.users == 0:
            self._connections.close()

    def _items(self, call: Call, select: Select[T], state: StreamState) -> Generator[T, None, None]:
        response = None
        try:
            response = self._perform(call, lambda response: response)
            reader = self._reader(response, state)
            chunks = response.iter_bytes()
            while True:
                with call.scope():
                    data = next(chunks, None)
                if data is None:
                    break
                yield from self._read(reader, data, state, select)
                if state.done:
                    return
            failure: Exception = call.cut_off()
        except FAILURES as exc:
            failure = exc
        except BaseException as exc:  # noqa: BLE001 - raised again
            raise bare(exc)  # noqa: B904
        finally:
            if response is not None:
                response.close()
        if not call.interrupted:
            raise _with_text(call.error(failure), state)

    def _perform(self, call: Call, receive: Callable[[httpx2.Response], T]) -> T:
        """Send the call's request until `receive` has taken a good answer to it."""
        http = self._connections.client()
        call.start()
        while True:
            try:
                with call.scope(call.remaining):
                    response = http.send(call.request(http), stream=True, follow_redirects=False)
                    try:
                        if call.answered(response):
                            return receive(response)
                        raise call.refusal(response, _error_body(response))
                    except BaseException:
                        response.close()
                        raise
            except FAILURES as exc:
                failure = exc
            except BaseException as exc:  # noqa: BLE001 - raised again
                raise bare(exc)  # noqa: B904
            call.wait(call.next_delay(failure))


class AsyncSession(_Session):
    """Does the I/O of `AsyncRunAgentClient`."""

    def __init__(self, settings: Settings, arguments: Mapping[str, Any]) -> None:
        """Talk as `settings` say, connected as the client's `arguments` say."""
        super().__init__(settings, arguments)
        self._connections = AsyncConnections(self._options)

    def share(self, other: AsyncSession) -> None:
        """Use the connections of another session, if they are made in the same way."""
        if self._options == other._options:
            self._connections = other._connections
            self._connections.users += 1

    async def invoke(self, content: bytes, timeout: float, headers: Mapping[str, str]) -> RunResult:
        """Run the agent once."""
        call = self._call(content, timeout, headers, streams=False)

        async def receive(response: httpx2.Response) -> RunResult:
            return call.result(response, await response.aread())

        call.start()
        try:
            async with self._connections.client(call.remaining) as http:
                return await self._perform(call, http, receive)
        except FAILURES as exc:
            failure = exc
        raise call.error(failure)

    def stream(
        self, content: bytes, timeout: float, headers: Mapping[str, str], select: Select[T]
    ) -> AsyncStream[T]:
        """Return a stream of what `select` makes of its events."""
        call = self._call(content, timeout, headers, streams=True)
        state = StreamState()
        return AsyncStream(self._items(call, select, state), state)

    async def aclose(self) -> None:
        """Close the connections, unless another session uses them too."""
        self._connections.users -= 1
        if self._connections.users == 0:
            await self._connections.aclose()

    async def _items(
        self, call: Call, select: Select[T], state: StreamState
    ) -> AsyncGenerator[T, None]:
        async def receive(response: httpx2.Response) -> httpx2.Response:
            return response

        call.start()
        try:
            async with self._connections.client(call.remaining) as http:
                response = await self._perform(call, http, receive)
                reader = self._reader(response, state)
                async with aclosing(response.aiter_bytes()) as chunks:
                    async for data in chunks:
                        for item in self._read(reader, data, state, select):
                            yield item
                        if state.done:
                            return
            failure: Exception = call.cut_off()
        except FAILURES as exc:
            failure = exc
        except BaseException as exc:  # noqa: BLE001 - raised again
            raise bare(exc)  # noqa: B904
        raise _with_text(call.error(failure), state)

    async def _perform(
        self,
        call: Call,
        http: httpx2.AsyncClient,
        receive: Callable[[httpx2.Response], Awaitable[T]],
    ) -> T:
        """Send the call's request until `receive` has taken a good answer to it."""
        while True:
            try:
                with anyio.fail_after(call.remaining):
                    response = await http.send(
                        call.request(http), stream=True, follow_redirects=False
                    )
                    try:
                        if call.answered(response):
                            return await receive(response)
                        raise call.refusal(response, await _error_body_async(response))
                    except BaseException:
                        await response.aclose()
                        raise
            except FAILURES as exc:
                failure = exc
            except BaseException as exc:  # noqa: BLE001 - raised again
                raise bare(exc)  # noqa: B904
            await anyio.sleep(call.next_delay(failure))
