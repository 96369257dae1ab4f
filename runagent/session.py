"""The I/O of both clients: two thin shells, one blocking, one not, around the same `Call`."""

from __future__ import annotations

import logging
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterator,
    Mapping,
)
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio
import httpcore2
import httpx2

from runagent.batch import Group
from runagent.call import MAX_ERROR_BODY, Call, bare
from runagent.config import Settings
from runagent.errors import RunAgentError, StreamError, ValidationError
from runagent.locks import ForkSafeLock
from runagent.results import Entrypoint, RunResult, StreamEvent
from runagent.stream import AsyncStream, Stream, StreamState
from runagent.transport import (
    AsyncConnections,
    ConnectionOptions,
    SyncConnections,
    unregistered,
)
from runagent.urls import is_loopback
from runagent.wire import Input, Outgoing, StreamReader, Wire
from runagent.wire.rest import RestWire
from runagent.wire.server import ServerWire, served_agent

T = TypeVar("T")

Select = Callable[[StreamEvent], T | None]
"""Makes of an event what a stream yields; `None` for nothing."""

READ_SIZE = 65_536
"""Bytes read at most at a time from a socket used directly."""

GOODBYE_TIMEOUT = 1.0
"""Seconds for sending the last bytes to a server that may be gone."""

logger = logging.getLogger("runagent")

FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, RunAgentError)
"""What an attempt may end with; anything else is a bug, or the user's own."""


@dataclass
class _Found:
    """Which protocol a server speaks, as far as that is known."""

    is_server: bool
    is_certain: bool


class _Session:
    """What both sessions are made of.

    Attributes:
        closed: Whether nothing may be sent any more.
    """

    def __init__(
        self, settings: Settings, arguments: Mapping[str, Any], http_kind: type[Any]
    ) -> None:
        own = arguments["http_client"]
        if own is not None and not isinstance(own, http_kind):
            raise ValidationError(
                f"http_client= is of type {type(own).__module__}.{type(own).__name__}; "
                f"this client takes an httpx2.{http_kind.__name__}.",
                code="INVALID_SETTING",
            )
        self.closed = False
        self._settings = settings
        self._max_size: int = arguments["max_message_size"]
        self._options = ConnectionOptions(
            verify=arguments["verify_ssl"],
            pool_size=arguments["connection_pool_size"],
            proxy=arguments["proxy"],
            direct=is_loopback(settings.base_url),
            tls=settings.base_url.startswith("https://"),
            http_client=own,
        )
        self._options.arguments()  # refuses bad ones now, not at the first call
        self._rest = RestWire(settings.base_url, settings.quoted_agent_id)
        self._server = ServerWire(settings.base_url, settings.quoted_agent_id)
        self._found = _Found(settings.protocol == "server", settings.protocol != "auto")

    def check_open(self) -> None:
        """Refuse to send anything once the session is closed.

        Raises:
            RunAgentError: It is.
        """
        if self.closed:
            raise RunAgentError(
                f"This client of {self._settings.agent_id!r} was closed.",
                code="CLIENT_CLOSED",
                hint="Make a new one; a client is meant to be kept and reused.",
            )

    @property
    def _wire(self) -> Wire:
        return self._server if self._found.is_server else self._rest

    @property
    def _is_certain(self) -> bool:
        return self._found.is_certain

    def _call(
        self, data: Input, timeout: float, headers: Mapping[str, str], *, streams: bool
    ) -> Call:
        wire = self._wire
        if not data.is_generic:
            if self._is_certain and wire is self._rest:
                raise self._no_entrypoints()
            wire = self._server
        return Call(self._settings, wire, data, streams=streams, timeout=timeout, headers=headers)

    def _look_up(self, timeout: float, headers: Mapping[str, str]) -> Call:
        """Return a call that asks for the agent's entrypoints."""
        if self._is_certain and self._wire is self._rest:
            raise self._no_entrypoints()
        call = self._call(Input(b"{}"), timeout, headers, streams=False)
        call.look(self._server)
        return call

    def _no_entrypoints(self) -> ValidationError:
        return ValidationError(
            f"The agents of {self._settings.base_url} have no named entrypoints.",
            code="NO_ENTRYPOINTS",
            hint="Use run_generic or run_generic_stream: named entrypoints are those of agents "
            "that `runagent serve` serves.",
        )

    def _adopt(self, other: _Session) -> None:
        """Share what is found of the same server, by whichever session finds it first."""
        ours, theirs = self._settings, other._settings
        if (ours.base_url, ours.protocol) == (theirs.base_url, theirs.protocol):
            self._found = other._found

    def _must_look(self, call: Call) -> bool:
        """Whether `call` may only be sent to a server that is known to have entrypoints."""
        return not self._is_certain and call.wire is self._server

    def _leads_nowhere(self, call: Call, error: RunAgentError) -> bool:
        """Whether the server has no such path, and may speak the other protocol."""
        return (
            call.wire is self._rest
            and not (self._is_certain and self._wire is self._rest)
            and error.status_code in (404, 405)
            and error.code is None
        )

    def _settle(self, health: bytes | None) -> None:
        """Decide which protocol the server speaks, if it answered a look at its health."""
        if health is not None:
            self._found.is_server = served_agent(health) is not None
            self._found.is_certain = True
            logger.debug("%s speaks the protocol %r", self._settings.base_url, self._wire.name)

    def _question(self, call: Call, failure: Exception) -> Outgoing | None:
        """Return the request whose answer says more about a failure, if there is one."""
        if self.closed or call.wire is not self._server:
            return None
        return self._server.question(failure)

    def _redirect(self, call: Call) -> bool:
        """Send a call over the wire that was settled on; return whether that is another one.

        Raises:
            ValidationError: That wire has no entrypoints.
        """
        if not self._is_certain or call.wire is self._wire:
            return False
        if call.wire is self._server:
            raise self._no_entrypoints()
        call.switch(self._wire)
        return True

    def _result(self, call: Call, response: httpx2.Response, body: bytes) -> RunResult:
        if len(body) > self._max_size:
            raise RunAgentError(
                f"The answer is larger than {self._max_size:,} bytes.",
                code="MESSAGE_TOO_LARGE",
                hint="Pass a larger max_message_size= if that is right.",
            )
        return call.result(response, body)

    def _reader(self, call: Call, response: httpx2.Response, state: StreamState) -> StreamReader:
        state.request_id = response.headers.get("x-request-id")
        return call.wire.reader(call.data, self._max_size)

    def _read(
        self,
        reader: StreamReader,
        events: list[StreamEvent],
        state: StreamState,
        select: Select[T],
    ) -> Iterator[T]:
        """Yield what the next events of a stream hold, up to its end."""
        for event in events:
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


def _body(response: httpx2.Response, limit: int) -> bytes:
    """Read a body; of one larger than `limit`, no more than shows that it is."""
    body = bytearray()
    for data in response.iter_bytes():
        body += data
        if len(body) > limit:
            break
    response.close()
    return bytes(body)


async def _body_async(response: httpx2.Response, limit: int) -> bytes:
    """Read a body; of one larger than `limit`, no more than shows that it is."""
    body = bytearray()
    async with aclosing(response.aiter_bytes()) as chunks:
        async for data in chunks:
            body += data
            if len(body) > limit:
                break
    await response.aclose()
    return bytes(body)


def _upgraded(response: httpx2.Response) -> Any:
    """Return the socket behind an answer that switched protocols, `None` for any other."""
    if response.status_code != httpx2.codes.SWITCHING_PROTOCOLS:
        return None
    return response.extensions["network_stream"]


@contextmanager
def _as_http_errors() -> Iterator[None]:
    """Let a socket used directly fail as one used by httpx2 does."""
    try:
        yield
    except httpcore2.TimeoutException as exc:
        raise httpx2.ReadTimeout(str(exc)) from exc
    except httpcore2.NetworkError as exc:
        raise httpx2.ReadError(str(exc)) from exc


# httpx2's own WebSocket sessions read in threads or task groups of theirs, which neither a
# generator nor its caller's cancellation can own, and close on late pongs, which busy agents send.


def _arrivals(
    response: httpx2.Response, reader: StreamReader, silence: float | None
) -> Iterator[list[StreamEvent]]:
    """Return the events of a stream as they come, and send what its protocol asks for."""
    network = _upgraded(response)
    if network is None:
        return map(reader.feed, response.iter_bytes())
    return _received(network, reader, silence)


def _received(
    network: Any, reader: StreamReader, silence: float | None
) -> Iterator[list[StreamEvent]]:
    with _as_http_errors():
        network.write(reader.outgoing(), silence)
    while True:
        with _as_http_errors():
            data = network.read(READ_SIZE, silence)
            if not data:
                return
            events = reader.feed(data)
            if outgoing := reader.outgoing():
                network.write(outgoing, silence)
        yield events


def _say_goodbye(response: httpx2.Response, reader: StreamReader) -> None:
    network = _upgraded(response)
    if network is not None:
        with suppress(httpcore2.NetworkError, httpcore2.TimeoutException):
            network.write(reader.closing(), GOODBYE_TIMEOUT)


async def _arrivals_async(
    response: httpx2.Response, reader: StreamReader, silence: float | None
) -> AsyncGenerator[list[StreamEvent], None]:
    """Yield the events of a stream as they come, and send what its protocol asks for."""
    network = _upgraded(response)
    if network is None:
        # The response first: cancelled now, the generators around it must have nothing to wait for.
        async with aclosing(response.aiter_bytes()) as chunks, aclosing(response):
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


async def _next(arrivals: AsyncIterator[list[StreamEvent]]) -> list[StreamEvent] | None:
    """Return the next events of a stream, `None` at its end."""
    return await anext(arrivals, None)


class SyncSession(_Session):
    """Does the I/O of `RunAgentClient`."""

    def __init__(self, settings: Settings, arguments: Mapping[str, Any]) -> None:
        """Talk as `settings` say, connected as the client's `arguments` say."""
        super().__init__(settings, arguments, httpx2.Client)
        self._probing = ForkSafeLock()
        self._under_way = Group()
        self._connections = SyncConnections(self._options)
        self._connections.users.add(self)

    def share(self, other: SyncSession) -> None:
        """Use the connections of another session, if they are made in the same way."""
        if self._options == other._options and not other.closed:
            self._connections = other._connections
            self._connections.users.add(self)
        self._adopt(other)

    def invoke(
        self,
        data: Input,
        timeout: float,
        headers: Mapping[str, str],
        group: Group | None = None,
    ) -> RunResult:
        """Run the agent once, as one of `group`."""
        call = self._call(data, timeout, headers, streams=False)
        if group is not None:
            group.add(call)
        return self._perform(
            call, lambda response: self._result(call, response, _body(response, self._max_size))
        )

    def stream(
        self, data: Input, timeout: float, headers: Mapping[str, str], select: Select[T]
    ) -> Stream[T]:
        """Return a stream of what `select` makes of its events."""
        call = self._call(data, timeout, headers, streams=True)
        state = StreamState()
        return Stream(self._items(call, select, state), state, call.abandon)

    def close(self) -> None:
        """Send nothing any more, and end what other threads wait for.

        The connections are closed, unless another session uses them too.
        """
        self.closed = True
        self._under_way.end()
        self._connections.users.discard(self)
        if not self._connections.users:
            self._connections.close()

    def _items(self, call: Call, select: Select[T], state: StreamState) -> Generator[T, None, None]:
        response = reader = None
        try:
            response = self._perform(call, lambda response: response)
            reader = self._reader(call, response, state)
            arrivals = _arrivals(response, reader, call.silence)
            while True:
                with call.scope():
                    events = next(arrivals, None)
                if events is None:
                    break
                yield from self._read(reader, events, state, select)
                if state.done:
                    return
            failure: Exception = call.cut_off()
        except FAILURES as exc:
            failure = exc
        except BaseException as exc:  # noqa: BLE001 - raised again
            raise bare(exc)  # noqa: B904
        finally:
            if response is not None:
                if reader is not None:
                    _say_goodbye(response, reader)
                response.close()
        if not call.abandoned:
            raise _with_text(call.error(self._explained(call, failure)), state)

    def _http(self) -> httpx2.Client:
        self.check_open()
        return self._connections.client()

    def _perform(self, call: Call, receive: Callable[[httpx2.Response], T]) -> T:
        """Send the call's request until `receive` has taken a good answer to it."""
        call.start()
        self._under_way.add(call)
        try:
            return self._attempt(call, receive)
        finally:
            self._under_way.discard(call)

    def _attempt(self, call: Call, receive: Callable[[httpx2.Response], T]) -> T:
        while True:
            try:
                if self._must_look(call):
                    self._look(call)
                http = self._http()
                with call.scope(call.remaining):
                    response = http.send(call.request(http), stream=True, follow_redirects=False)
                    try:
                        if call.answered(response):
                            return receive(response)
                        error = call.refusal(response, _body(response, MAX_ERROR_BODY))
                    except BaseException:
                        response.close()
                        raise
                if self._leads_nowhere(call, error) and self._look(call):
                    continue
                failure: Exception = self._explained(call, error)
            except FAILURES as exc:
                failure = exc
            except BaseException as exc:  # noqa: BLE001 - raised again
                raise bare(exc)  # noqa: B904
            self.check_open()
            call.wait(call.next_delay(failure))

    def _look(self, call: Call) -> bool:
        """Find out what the server speaks; return whether `call` must be sent in another way."""
        if self._probing.acquire(timeout=min(call.remaining, threading.TIMEOUT_MAX)):
            try:
                if not self._is_certain:
                    self._settle(self._ask(call, self._server.health()))
            finally:
                self._probing.release()
        return self._redirect(call)

    def _ask(self, call: Call, outgoing: Outgoing) -> bytes | None:
        """Ask the server about itself within half the time `call` has left.

        Returns:
            What it answers, nothing if it refuses; `None` if there was no answer.
        """
        try:
            http = self._http()
            with call.scope(call.remaining / 2):
                response = http.send(
                    call.side_request(http, outgoing), stream=True, follow_redirects=False
                )
                body = _body(response, MAX_ERROR_BODY)
        except FAILURES:
            return None
        return body if response.is_success else b""

    def _explained(self, call: Call, failure: Exception) -> Exception:
        """Return a failure with what the server says of itself added, where that helps."""
        question = self._question(call, failure)
        if question is None:
            return failure
        answer = self._ask(call, question)
        return failure if answer is None else self._server.explain(failure, answer)

    def entrypoints(self, timeout: float, headers: Mapping[str, str]) -> list[Entrypoint]:
        """Ask the server which entrypoints the agent has."""
        call = self._look_up(timeout, headers)
        return self._perform(
            call, lambda response: call.entrypoints(response, _body(response, MAX_ERROR_BODY))
        )


class AsyncSession(_Session):
    """Does the I/O of `AsyncRunAgentClient`."""

    def __init__(self, settings: Settings, arguments: Mapping[str, Any]) -> None:
        """Talk as `settings` say, connected as the client's `arguments` say."""
        super().__init__(settings, arguments, httpx2.AsyncClient)
        self._connections = AsyncConnections(self._options)
        self._connections.users.add(self)

    def share(self, other: AsyncSession) -> None:
        """Use the connections of another session, if they are made in the same way."""
        if self._options == other._options and not other.closed:
            self._connections = other._connections
            self._connections.users.add(self)
        self._adopt(other)

    async def invoke(self, data: Input, timeout: float, headers: Mapping[str, str]) -> RunResult:
        """Run the agent once."""
        call = self._call(data, timeout, headers, streams=False)

        async def receive(response: httpx2.Response) -> RunResult:
            return self._result(call, response, await _body_async(response, self._max_size))

        call.start()
        try:
            async with self._lease(call) as http:
                return await self._perform(call, http, receive)
        except FAILURES as exc:
            failure = exc
        raise call.error(failure)

    def stream(
        self, data: Input, timeout: float, headers: Mapping[str, str], select: Select[T]
    ) -> AsyncStream[T]:
        """Return a stream of what `select` makes of its events."""
        call = self._call(data, timeout, headers, streams=True)
        state = StreamState()
        return AsyncStream(self._items(call, select, state), state)

    async def aclose(self) -> None:
        """Send nothing any more; close the connections, unless another session uses them too."""
        self.closed = True
        self._connections.users.discard(self)
        if not self._connections.users:
            await self._connections.aclose()

    def _lease(self, call: Call) -> AbstractAsyncContextManager[httpx2.AsyncClient]:
        self.check_open()
        return self._connections.client(call.remaining)

    async def _items(
        self, call: Call, select: Select[T], state: StreamState
    ) -> AsyncGenerator[T, None]:
        async def receive(response: httpx2.Response) -> httpx2.Response:
            return response

        call.start()
        try:
            async with self._lease(call) as http:
                response = await self._perform(call, http, receive)
                reader = self._reader(call, response, state)
                async with aclosing(_arrivals_async(response, reader, call.silence)) as arrivals:
                    events = await unregistered(_next(arrivals))
                    while events is not None:
                        for item in self._read(reader, events, state, select):
                            yield item
                        if state.done:
                            return
                        events = await _next(arrivals)
            failure: Exception = call.cut_off()
        except FAILURES as exc:
            failure = exc
        except BaseException as exc:  # noqa: BLE001 - raised again
            raise bare(exc)  # noqa: B904
        if self._question(call, failure) is not None:
            async with self._lease(call) as http:
                failure = await self._explained(call, http, failure)
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
                if self._must_look(call):
                    await self._look(call, http)
                self.check_open()
                with anyio.fail_after(call.remaining), call.scope():
                    response = await http.send(
                        call.request(http), stream=True, follow_redirects=False
                    )
                    try:
                        if call.answered(response):
                            return await receive(response)
                        error = call.refusal(response, await _body_async(response, MAX_ERROR_BODY))
                    except BaseException:
                        await response.aclose()
                        raise
                if self._leads_nowhere(call, error) and await self._look(call, http):
                    continue
                failure: Exception = await self._explained(call, http, error)
            except FAILURES as exc:
                failure = exc
            except BaseException as exc:  # noqa: BLE001 - raised again
                raise bare(exc)  # noqa: B904
            await anyio.sleep(call.next_delay(failure))

    async def _look(self, call: Call, http: httpx2.AsyncClient) -> bool:
        """Find out what the server speaks; return whether `call` must be sent in another way."""
        with anyio.move_on_after(call.remaining):
            async with self._connections.probing():
                if not self._is_certain:
                    self._settle(await self._ask(call, http, self._server.health()))
        return self._redirect(call)

    async def _ask(self, call: Call, http: httpx2.AsyncClient, outgoing: Outgoing) -> bytes | None:
        """Ask the server about itself within half the time `call` has left.

        Returns:
            What it answers, nothing if it refuses; `None` if there was no answer.
        """
        try:
            with anyio.fail_after(call.remaining / 2), call.scope():
                response = await http.send(
                    call.side_request(http, outgoing), stream=True, follow_redirects=False
                )
                body = await _body_async(response, MAX_ERROR_BODY)
        except FAILURES:
            return None
        return body if response.is_success else b""

    async def _explained(
        self, call: Call, http: httpx2.AsyncClient, failure: Exception
    ) -> Exception:
        """Return a failure with what the server says of itself added, where that helps."""
        question = self._question(call, failure)
        if question is None:
            return failure
        answer = await self._ask(call, http, question)
        return failure if answer is None else self._server.explain(failure, answer)

    async def entrypoints(self, timeout: float, headers: Mapping[str, str]) -> list[Entrypoint]:
        """Ask the server which entrypoints the agent has."""
        call = self._look_up(timeout, headers)

        async def receive(response: httpx2.Response) -> list[Entrypoint]:
            return call.entrypoints(response, await _body_async(response, MAX_ERROR_BODY))

        call.start()
        try:
            async with self._lease(call) as http:
                return await self._perform(call, http, receive)
        except FAILURES as exc:
            failure = exc
        raise call.error(failure)
