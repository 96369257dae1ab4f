"""The iterators over streams that users get: chunks as they come, and facts about the stream."""

from __future__ import annotations

import copy
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from runagent import views
from runagent.errors import RunAgentError, StreamError
from runagent.growing_text import GrowingText
from runagent.results import Event, cost_in, number
from runagent.slips import AsyncStreamSlips, BlockingStreamSlips
from runagent.wire.text import as_text

T = TypeVar("T")


class StreamState:
    """The facts that a stream has told so far.

    Attributes:
        texts: The texts of the chunks.
        usage: Token counts by name.
        execution_time: Seconds the agent took.
        cost: The money that the answer cost.
        request_id: The server's id of the request.
        done: Whether the server announced the end.
        failed: The event by which the server announced a failure.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.texts = GrowingText()
        self.usage: dict[str, Any] = {}
        self.execution_time: float | None = None
        self.cost: float | None = None
        self.request_id: str | None = None
        self.done = False
        self.failed: Event | None = None
        self._redact: Callable[[Any], Any] = lambda value: value

    def begin(self, request_id: str | None, redact: Callable[[Any], Any]) -> None:
        """Take note of what came before the events.

        Args:
            request_id: The server's id of the request, `None` if its headers have none.
            redact: Takes secrets out of an id, in which a server may echo one.
        """
        self.request_id = redact(request_id)
        self._redact = redact

    @property
    def text(self) -> str:
        """The text received so far."""
        return self.texts.whole()

    def take(self, kind: str, value: Any) -> None:
        """Take note of an event that has no text."""
        if kind in ("start", "done"):
            facts = value if isinstance(value, dict) else {}
            if self.request_id is None:
                found = facts.get("request_id", facts.get("invocation_id"))
                self.request_id = self._redact(as_text(found))
            if kind == "start":
                return
            self.done = True
            usage = facts.get("usage")
            self.usage = usage if isinstance(usage, dict) else {}
            self.execution_time = number(facts.get("execution_time"))
            self.cost = cost_in(facts, usage, facts.get("metadata"))


class _Facts:
    """The facts about a stream, which both kinds of streams show."""

    _state: StreamState
    _loop = "for"

    @property
    def text(self) -> str:
        """The text received so far; after the end, the whole answer."""
        return self._state.text

    @property
    def usage(self) -> dict[str, Any]:
        """Token counts by name, once the server has sent them; empty before."""
        return self._state.usage

    @property
    def execution_time(self) -> float | None:
        """Seconds the agent took, as the server measured them, once it has sent them."""
        return self._state.execution_time

    @property
    def cost(self) -> float | None:
        """The money that the answer cost, in the server's currency, once the server has said it."""
        return self._state.cost

    @property
    def request_id(self) -> str | None:
        """The server's id of this request, once it has answered, if it sent one."""
        return self._state.request_id

    @property
    def done(self) -> bool:
        """Whether the server has announced the end."""
        return self._state.done

    def __repr__(self) -> str:
        state = "done" if self.done else f"open, to be read with `{self._loop} chunk in stream`"
        return f"<{type(self).__name__}: {len(self.text)} characters so far, {state}>"

    def _display_(self) -> object:
        """Return what a notebook shows that asks for this, as marimo does."""
        return views.shown(self)


class Stream(_Facts, BlockingStreamSlips, Generator[T, None, None], Generic[T]):
    """An agent's answer as it comes. Iterate over it once; nothing is sent before.

    >>> client = RunAgentClient("shout")  # an agent that answers in capitals
    >>> with client.run_generic_stream({"query": "Hello you"}) as stream:
    ...     for chunk in stream:
    ...         print(chunk)
    HELLO
    YOU
    >>> stream.text, stream.done
    ('HELLO YOU ', True)

    It ends when the server announces the end, or raises. After an error or a KeyboardInterrupt,
    every further step raises too, so that half an answer is never taken for a whole one. A stream
    that you close yourself just ends.

    Leaving the `with` block closes the connection at once. So does leaving the loop early, by an
    exception too, if nothing else holds the stream any more.
    """

    def __init__(
        self, items: Generator[T, None, None], state: StreamState, interrupt: Callable[[], None]
    ) -> None:
        """Wrap the generator that does the work."""
        self._items = items
        self._state = state
        self._interrupt = interrupt
        self._error: RunAgentError | None = None
        # At exit, too: a generator left to the interpreter's last moments finds half of it gone.
        weakref.finalize(self, _close, items)

    def __iter__(self) -> Stream[T]:
        return self

    def __next__(self) -> T:
        try:
            return next(self._items)
        except StopIteration:
            raise
        except BaseException as exc:
            self._fail(exc)
            raise

    def send(self, value: None) -> T:  # noqa: ARG002 - there for a generator's sake
        """Do the same as `next`: a stream takes no values."""
        return next(self)

    def throw(self, *args: Any) -> T:
        """Raise an exception where the stream waits, which closes it."""
        try:
            return self._items.throw(*args)
        except BaseException as exc:
            self._fail(exc)
            raise

    def _fail(self, exc: BaseException) -> None:
        """Have every further step raise, too."""
        if not _close(self._items):  # another thread is in it
            return
        if self._error is None:
            is_ours = isinstance(exc, RunAgentError)
            self._error = again(exc) if is_ours else broken_off(self._state, exc)
        self._items = _failing(self._error)

    def close(self) -> None:
        """Close the connection; may be called again, and from another thread.

        The thread that waits for a chunk meanwhile sees the stream end.

        Example:
            >>> stream = RunAgentClient("shout").run_generic_stream({"query": "Hello you"})
            >>> next(stream)
            'HELLO '
            >>> stream.close()
            >>> [chunk for chunk in stream]
            []
        """
        if self._error is None and not _close(self._items):
            self._interrupt()

    def chunks(self) -> Generator[T, None, None]:
        """Return a generator of Python's own over the rest, for frameworks that ask for one.

        Closing it closes the stream. After an exception it has ended, as Python's generators have;
        the stream itself goes on raising.

        Example:
            >>> stream = RunAgentClient("shout").run_generic_stream({"query": "Hello you"})
            >>> [chunk for chunk in stream.chunks()]
            ['HELLO ', 'YOU ']
        """
        with self:
            yield from self

    def accumulated(self) -> Generator[str, None, None]:
        """Return a generator over the text so far, which is yielded whenever it has grown.

        It ends as the generator of `chunks` does.

        Example:
            >>> stream = RunAgentClient("shout").run_generic_stream({"query": "Hello you"})
            >>> [text for text in stream.accumulated()]
            ['HELLO ', 'HELLO YOU ']
        """
        length = 0
        with self:
            for _ in self:
                text = self.text
                if len(text) > length:
                    length = len(text)
                    yield text

    def __enter__(self) -> Stream[T]:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _failing(error: RunAgentError) -> Generator[Any, None, None]:
    raise again(error)
    yield


def _close(items: Generator[Any, None, None]) -> bool:
    """Close a generator; return whether that was possible: not while another thread is in it."""
    try:
        items.close()
    except ValueError:
        return False
    return True


def again(error: Any) -> RunAgentError:
    """Return a copy of an error to be raised once more, as each raising adds to the traceback."""
    copied: RunAgentError = copy.copy(error)
    copied.__cause__ = error.__cause__
    return copied


def broken_off(state: StreamState, reason: BaseException) -> StreamError:
    """Return the error for the steps after one that did not end as a stream ends."""
    return StreamError(
        f"The stream was broken off by {type(reason).__name__}, before its end was announced.",
        code="STREAM_BROKEN_OFF",
        text=state.text,
        request_id=state.request_id,
    )


class Source(Protocol):
    """The source of the items of an asynchronous stream."""

    parked: bool
    thrown: bool

    def place(self) -> Place:
        """Return the place of the generator that items come from."""

    def abandon(self) -> None:
        """Shut the connection at once, as the step that was cancelled is not to be continued."""

    async def aclose(self) -> None:
        """End the stream; a step under way in another task sees it end."""


class Place:
    """The place of the generator that the items of a stream come from.

    Another generator takes it when a step was cancelled. Whoever holds the place holds the stream.
    """

    __slots__ = ("__weakref__", "items", "source")

    def __init__(self, source: Source, items: Any) -> None:
        self.source = source
        self.items = items

    def __del__(self) -> None:
        if self.source.parked:
            self.source.abandon()


class AsyncStream(_Facts, AsyncStreamSlips, AsyncGenerator[T, None], Generic[T]):
    """An agent's answer as it comes, for `async for`. Nothing is sent before.

    >>> client = AsyncRunAgentClient("shout")  # an agent that answers in capitals
    >>> async with client.run_generic_stream({"query": "Hello you"}) as stream:
    ...     async for chunk in stream:
    ...         print(chunk)
    HELLO
    YOU
    >>> stream.text, stream.done
    ('HELLO YOU ', True)

    It ends when the server announces the end, or raises. After an error, every further step raises
    too, so that half an answer is never taken for a whole one. A stream that you close yourself
    just ends.

    Leaving the `async with` block closes the connection at once, and so does cancellation in an
    `async for` loop. Leaving the loop early in another way does so if nothing else holds the stream
    any more.

    A single step may be given up: after `asyncio.wait_for(anext(stream), 1)` has timed out, the
    next `anext(stream)` goes on where it was. Close the stream if you do not go on: it stays open
    as long as anything holds it. A generator that `chunks()` returned has ended then, as Python's
    generators have; the stream behind it goes on, by another `chunks()` too.
    """

    _loop = "async for"

    def __init__(self, source: Source, state: StreamState) -> None:
        """Wrap the source that does the work."""
        self._source = source
        self._state = state
        self._place = source.place()

    def __aiter__(self) -> AsyncStream[T]:
        return self

    def __anext__(self) -> Coroutine[Any, Any, T]:
        return self._place.items.__anext__()  # type: ignore[no-any-return]

    def asend(self, value: None) -> Coroutine[Any, Any, T]:  # noqa: ARG002 - as for `send`
        """Do the same as `anext`: a stream takes no values."""
        return self._place.items.__anext__()  # type: ignore[no-any-return]

    def athrow(self, *args: Any) -> Coroutine[Any, Any, T]:
        """Raise an exception where the stream waits, which closes it."""
        self._source.thrown = True
        return self._place.items.athrow(*args)  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        """Close the connection; may be called again, and from another task.

        The task that waits for a chunk meanwhile sees the stream end.

        Example:
            >>> stream = AsyncRunAgentClient("shout").run_generic_stream({"query": "Hello you"})
            >>> await anext(stream)
            'HELLO '
            >>> await stream.aclose()
            >>> [chunk async for chunk in stream]
            []
        """
        await self._source.aclose()

    async def chunks(self) -> AsyncGenerator[T, None]:
        """Return a generator of Python's own over the rest, for frameworks that ask for one.

        Closing it closes the stream. After an exception it has ended, as Python's generators have;
        the stream itself goes on raising.

        Example:
            >>> stream = AsyncRunAgentClient("shout").run_generic_stream({"query": "Hello you"})
            >>> [chunk async for chunk in stream.chunks()]
            ['HELLO ', 'YOU ']
        """
        try:
            async for item in self:
                yield item
        finally:
            if not self._source.parked:
                await self.aclose()

    async def accumulated(self) -> AsyncGenerator[str, None]:
        """Return a generator over the text so far, which is yielded whenever it has grown.

        It ends as the generator of `chunks` does.

        Example:
            >>> stream = AsyncRunAgentClient("shout").run_generic_stream({"query": "Hello you"})
            >>> [text async for text in stream.accumulated()]
            ['HELLO ', 'HELLO YOU ']
        """
        length = 0
        try:
            async for _ in self:
                text = self.text
                if len(text) > length:
                    length = len(text)
                    yield text
        finally:
            if not self._source.parked:
                await self.aclose()

    async def __aenter__(self) -> AsyncStream[T]:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


GENERATORS = frozenset({AsyncStream.chunks.__code__, AsyncStream.accumulated.__code__})
"""The code of the generators that take steps of a stream for somebody else."""
