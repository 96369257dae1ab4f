"""The sources of streams: each carries out the steps of one flow, and gives its items out."""

from __future__ import annotations

import asyncio
import dis
import math
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from concurrent.futures import Future
from contextlib import nullcontext, suppress
from functools import lru_cache
from types import CodeType
from typing import Any, TypeVar
from weakref import ref

import anyio
import httpcore2
import httpx2

from runagent.connections import Lease
from runagent.errors import RunAgentError
from runagent.failures import Failure, bare, is_unexpected, no_event_loop
from runagent.flow import Deliver, Outcome, Receive, Step, Steps
from runagent.interrupt import AsyncIO, BlockingIO, IOGroup, shut_down
from runagent.lasting import Lasting
from runagent.receive import AsyncOpenStream, OpenStream
from runagent.results import Event
from runagent.stream import GENERATORS, Place, StreamState, again, broken_off
from runagent.time_limits import move_on_after

T = TypeVar("T")


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop.

    Raises:
        RunAgentError: No event loop of asyncio runs here.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        pass
    raise no_event_loop()


class SyncIO(BlockingIO):
    """The I/O of one blocking call.

    Attributes:
        lease: The connection of the response that was left open.
        response: That response.
    """

    lease: Lease[httpx2.Client] | None = None
    response: httpx2.Response | None = None


class AsyncCallIO(AsyncIO):
    """The I/O of one asynchronous call.

    Attributes:
        lease: The connection of the response that was left open.
        response: That response.
    """

    lease: Lease[httpx2.AsyncClient] | None = None
    response: httpx2.Response | None = None


def items(
    steps: Steps[None],
    carry_out: Callable[[Step, SyncIO], Outcome],
    under_way: IOGroup[SyncIO],
    io: SyncIO,
    leaving: Callable[[BaseException], BaseException],
) -> Generator[Any, None, None]:
    """Carry out the steps of a flow that streams; yield the items it delivers."""
    outcome: Any = None
    stream: OpenStream | None = None
    error: BaseException | None = None
    delivering = False
    under_way.add(io)
    try:
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration:
                return
            if isinstance(step, Deliver):
                delivering = True
                yield from step.items
                delivering = False
                outcome = None
            elif isinstance(step, Receive):
                if stream is None:
                    stream = OpenStream(step.response, step.reader, step.silence)
                outcome = _receive(stream, io, step.deadline)
            else:
                _end(stream, io)
                outcome = carry_out(step, io)
    except RunAgentError:
        if not io.abandoned:
            raise
    except BaseException as exc:  # noqa: BLE001 - raised below, where nothing refers to it
        # The user threw it in, or closes the stream, if that was while an item was delivered.
        error = bare(exc) if delivering else leaving(exc)
    finally:
        steps.close()
        under_way.discard(io)
        _end(stream, io)
    if error is not None:
        try:
            raise error
        finally:
            del error  # it refers to this frame


def _receive(stream: OpenStream, io: SyncIO, deadline: float) -> list[Event] | Failure | None:
    try:
        with io.until(deadline):
            return stream.receive()
    except Exception as exc:
        if not is_unexpected(exc):
            raise
        return Failure(exc, interrupted=io.interrupted)


def _end(stream: OpenStream | None, io: SyncIO) -> None:
    """Close a stream, or the response it was to be read from, and give the connection back."""
    try:
        if stream is not None:
            stream.close()
        elif io.response is not None:
            io.response.close()
    finally:
        if io.lease is not None:
            io.lease.release()
            io.lease = None


class AsyncSource:
    """The source of one asynchronous stream.

    Its items come from a generator. A step of it may be cancelled, as `asyncio.wait_for` does. The
    generator has ended then, as Python wants it, but the connection stays open and the read goes
    on: another generator takes the place of the first one, and continues where that one was.

    Attributes:
        parked: Whether the last step was cancelled, and can be continued.
        thrown: Whether the user has thrown an exception in, which ends the stream.
    """

    def __init__(
        self,
        steps: Steps[None],
        carry_out: Callable[[Step, AsyncCallIO], Awaitable[Outcome]],
        under_way: IOGroup[AsyncCallIO],
        state: StreamState,
        leaving: Callable[[BaseException], BaseException],
    ) -> None:
        """Prepare to carry out the steps of a flow that streams; send nothing yet."""
        self.parked = self.thrown = False
        self._steps = steps
        self._carry_out = carry_out
        self._under_way = under_way
        self._state = state
        self._leaving = leaving
        self._io: AsyncCallIO | None = None
        self._stream: AsyncOpenStream | None = None
        self._step: Step | None = None
        self._advance: Lasting[Step | None] | None = None
        self._waiting: tuple[CodeType, int] | None = None
        self._closed = self._failed = False
        self._has_ended: Future[None] | None = None
        self._closing: asyncio.Future[None] | None = None
        # Nothing that a generator leads to may lead back to it: it is closed as soon as nobody
        # holds the stream any more.
        self._place: Callable[[], Place | None] = lambda: None

    def place(self) -> Place:
        """Return the place of the generator that items come from, for the stream to hold."""
        place = Place(self, _Unbegun(self))
        self._place = ref(place)
        return place

    def begin(self) -> AsyncGenerator[Any, None]:
        """Put a generator in the place, which has begun and waits for its first step.

        A step that is cancelled before it begins is thrown into its generator. Python ends one that
        has not begun without a word, and the stream would seem to have ended.
        """
        items = self._items()
        with suppress(StopIteration):
            # From its first step on, the event loop closes it when nobody else does.
            items.asend(None).send(None)
        place = self._place()
        if place is not None:
            place.items = items
        return items

    async def _items(self) -> AsyncGenerator[Any, None]:
        """Carry out the steps of the flow; yield `None`, and then the items it delivers."""
        outcome: Any = None
        step, stream, send = self._step, self._stream, self._steps.send
        kept = False
        error: BaseException | None = None
        try:
            yield None
            self.parked = False
            io = self._begin()
            step = step or send(None)
            while True:
                if isinstance(step, Receive):
                    try:
                        if stream is None:
                            stream = self._open(step)
                        if io.interrupted:
                            raise httpx2.ReadError("interrupted")
                        outcome = stream.receive()
                        if outcome is not None and outcome.__class__ is not list:
                            self._waiting = _position()
                            outcome = await self._received(outcome, step.deadline)
                    except Exception as exc:  # noqa: BLE001 - raised again if it is the user's
                        outcome = _failure(exc, io)
                elif isinstance(step, Deliver):
                    for item in step.items:
                        yield item
                    outcome = None
                else:
                    self._waiting = _position()
                    step = await self._advanced(step, io)
                    if step is None:
                        return
                    continue
                try:
                    step = send(outcome)
                except StopIteration:
                    return
        except (asyncio.CancelledError, GeneratorExit) as exc:
            kept = isinstance(exc, asyncio.CancelledError) and self._park(step)
            if not kept:
                self._fail(broken_off(self._state, exc))
            raise bare(exc)  # noqa: B904
        except RunAgentError as exc:
            self._fail(exc)
            if not self._closed:
                raise
        except BaseException as exc:  # noqa: BLE001 - raised below, where nothing refers to it
            self._fail(broken_off(self._state, exc))
            # The user threw it in if that was while an item was delivered.
            error = bare(exc) if isinstance(step, Deliver) else self._leaving(exc)
        finally:
            if not kept:
                await self._let_go()
        if error is not None:
            try:
                raise error
            finally:
                del error  # it refers to this frame

    def _begin(self) -> AsyncCallIO:
        """Return the I/O of the call, which belongs to the event loop of its first step."""
        loop = running_loop()
        io = self._io
        if io is None:
            io = self._io = AsyncCallIO(loop)
            self._under_way.add(io)
        elif io.loop is not loop:
            raise broken_off(self._state, RuntimeError("its event loop is another one"))
        return io

    def _open(self, step: Receive) -> AsyncOpenStream:
        self._stream = AsyncOpenStream(step.response, step.reader, step.silence)
        return self._stream

    async def _received(self, events: Awaitable[T], deadline: float) -> T:
        if deadline == math.inf:
            return await events
        with move_on_after(max(deadline - time.monotonic(), 0)):
            return await events
        raise TimeoutError

    async def _advanced(self, step: Step, io: AsyncCallIO) -> Step | None:
        """Carry out steps in a task; return the next one about items, `None` after the last one."""
        if self._advance is None:
            self._advance = Lasting(self._advancing(step, io))
        try:
            following = await self._advance.wait()
        except httpcore2.ReadError as exc:  # the task was cancelled
            raise broken_off(self._state, exc) from None
        self._advance = None
        return following

    async def _advancing(self, step: Step, io: AsyncCallIO) -> Step | None:
        while not isinstance(step, (Deliver, Receive)):
            await _end_async(self._stream, io)
            outcome = await self._carry_out(step, io)
            try:
                step = self._steps.send(outcome)
            except StopIteration:
                return None
        return step

    # Ends of a step

    def _park(self, step: Step | None) -> bool:
        """Keep a cancelled step for another generator; return whether anybody may want it."""
        place = self._place()
        if self._closed or self.thrown or place is None:
            return False
        has_begun = step is not None and not isinstance(step, Deliver)
        if has_begun and self._waiting is not None and _is_in_loop(*self._waiting):
            return False  # the loop is left, and nobody can go on with it
        self._step = step
        self.parked = True
        self.begin()
        return True

    def _fail(self, error: RunAgentError) -> None:
        """Have every further step raise this error, unless the user has ended the stream."""
        place = self._place()
        if place is not None and not self._closed and not self._failed:
            self._failed = True
            place.items = self._failing(again(error))

    async def _failing(self, error: RunAgentError) -> AsyncGenerator[Any, None]:
        place = self._place()
        if place is not None:
            place.items = self._failing(error)
        raise again(error)
        yield

    async def _let_go(self) -> None:
        """Close the connection, or give it back, whatever is cancelled meanwhile."""
        # A stream that ended as announced waits for nothing, and a scope would take its time.
        is_idle = self._stream is None or not self._stream.is_busy
        is_quick = (self._state.done and is_idle) or self._io is None or self._is_forsaken()
        shield = nullcontext() if is_quick else anyio.CancelScope(shield=True)
        with shield:
            try:
                io = self._io
                is_own = io is not None and not io.is_inherited
                if self._advance is not None and is_own and not self._is_forsaken():
                    await self._advance.cancel()
                self._steps.close()
                if io is None or not is_own:
                    return
                self._under_way.discard(io)
                if not self._is_forsaken() and io.loop is running_loop():
                    await _end_async(self._stream, io)
                else:
                    shut_down(io.stream)
            finally:
                if self._has_ended is not None and not self._has_ended.done():
                    self._has_ended.set_result(None)

    # Closing

    def _is_forsaken(self) -> bool:
        """Whether the event loop is closed: a framework may have had one for this stream alone."""
        return self._io is not None and self._io.loop.is_closed()

    def abandon(self) -> None:
        """Shut the connection at once, as the step that was cancelled is not to be continued."""
        self.parked = False
        if self._io is not None and not self._io.is_inherited:
            shut_down(self._io.stream)
        # The event loop closes the generator, as nobody holds it any more.
        self._fail(broken_off(self._state, asyncio.CancelledError()))

    async def aclose(self) -> None:
        """End the stream; a step under way in another task sees it end."""
        place = self._place()
        if place is None or self._failed or (self._io is not None and self._io.is_inherited):
            return
        self._closed = True
        self.parked = False
        if self._is_forsaken():
            await place.items.aclose()  # which waits for nothing
            return
        running = asyncio.get_running_loop()
        loop = running if self._io is None else self._io.loop
        ended = self._has_ended = self._has_ended or Future()
        if loop is running:
            if not place.items.ag_running:
                await place.items.aclose()
                return
            self._interrupt()
        elif loop.is_running():
            loop.call_soon_threadsafe(self._interrupt)
        else:
            return
        await asyncio.wrap_future(ended)

    def _interrupt(self) -> None:
        """End the step under way, or the stream that waits for its next step."""
        place = self._place()
        if place is None:
            return
        if not place.items.ag_running:
            self._closing = asyncio.ensure_future(place.items.aclose())
        elif self._advance is not None:
            self._advance.abandon()
        elif self._io is not None:
            self._io.interrupt()
            if self._stream is not None:
                self._stream.abandon()


class _Unbegun:
    """Is in the place of a generator until the first step."""

    ag_running = False

    def __init__(self, source: AsyncSource) -> None:
        self._source = source

    def __anext__(self) -> Awaitable[Any]:
        return self._source.begin().__anext__()

    def athrow(self, *args: Any) -> Awaitable[Any]:
        return self._source.begin().athrow(*args)

    def aclose(self) -> Awaitable[None]:
        return self._source.begin().aclose()


def _failure(exc: Exception, io: AsyncCallIO) -> Failure:
    """Return an exception of the layers below as a failure; raise one of the user's own code."""
    if not is_unexpected(exc):
        raise exc
    return Failure(exc, interrupted=io.interrupted)


def _position() -> tuple[CodeType, int]:
    """Return the place in the code that takes the step of the generator which calls this."""
    frame = sys._getframe(2)  # noqa: SLF001 - as `inspect` does
    if frame.f_code in GENERATORS and frame.f_back is not None:
        frame = frame.f_back  # whoever gives up the step, leaves or keeps the stream
    return frame.f_code, frame.f_lasti  # the frame itself would keep all its variables alive


@lru_cache(maxsize=256)
def _is_in_loop(code: CodeType, position: int) -> bool:
    """Whether code waits for the next item of an `async for`, and not by `await` for one step."""
    waits = [
        instruction.opname
        for instruction in dis.get_instructions(code)
        if instruction.offset < position and instruction.opname in ("GET_ANEXT", "GET_AWAITABLE")
    ]
    return waits[-1:] == ["GET_ANEXT"]


async def _end_async(stream: AsyncOpenStream | None, io: AsyncCallIO) -> None:
    """Close a stream, or the response it was to be read from, and give the connection back."""
    if io.is_inherited:
        return  # closing it belongs to the parent, and its event loop exists there only
    try:
        if stream is not None:
            await stream.aclose()
        elif io.response is not None:
            await io.response.aclose()
    finally:
        io.stream = None
        if io.lease is not None:
            io.lease.release()
            io.lease = None
