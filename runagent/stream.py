"""The iterators over streams that users get: chunks as they come, and facts about the stream."""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Generic, TypeVar

from runagent.results import StreamEvent, number

T = TypeVar("T")

_TOGETHER = 1_000
"""The number of chunks whose texts are joined into one string."""


class StreamState:
    """The facts that a stream has told so far.

    Attributes:
        usage: Token counts by name.
        execution_time: Seconds the agent took.
        request_id: The server's id of the request.
        done: Whether the server announced the end.
        failed: The event by which the server announced a failure.
    """

    def __init__(self) -> None:
        """Start with none."""
        # Replaced in one step, so that another thread that reads the text sees each piece once.
        self._held: tuple[tuple[str, ...], list[str]] = ((), [])
        self.usage: dict[str, Any] = {}
        self.execution_time: float | None = None
        self.request_id: str | None = None
        self.done = False
        self.failed: StreamEvent | None = None

    @property
    def text(self) -> str:
        """The text received so far."""
        parts, recent = self._held
        return "".join((*parts, *recent))

    def take(self, event: StreamEvent) -> None:
        """Take note of an event."""
        if event.text is not None:
            parts, recent = self._held
            recent.append(event.text)
            if len(recent) >= _TOGETHER:  # a string for each chunk would take far more memory
                self._held = ((*parts, "".join(recent)), [])
        elif event.kind == "start" and self.request_id is None:
            facts = event.value if isinstance(event.value, dict) else {}
            found = facts.get("request_id", facts.get("invocation_id"))
            self.request_id = None if found is None else str(found)
        elif event.kind == "done":
            self.done = True
            facts = event.value if isinstance(event.value, dict) else {}
            usage = facts.get("usage")
            self.usage = usage if isinstance(usage, dict) else {}
            self.execution_time = number(facts.get("execution_time"))


class _Facts:
    """The facts about a stream, which both kinds of streams show."""

    _state: StreamState

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
    def request_id(self) -> str | None:
        """The server's id of this request, once it has answered, if it sent one."""
        return self._state.request_id

    @property
    def done(self) -> bool:
        """Whether the server has announced the end."""
        return self._state.done

    def __repr__(self) -> str:
        state = "done" if self.done else "open"
        return f"<{type(self).__name__}: {state}, {len(self.text)} characters>"


class Stream(_Facts, Generator[T, None, None], Generic[T]):
    """An agent's answer as it comes. Iterate over it once; nothing is sent before.

    It ends when the server announces the end, or raises. Leaving the `with` block closes the
    connection at once. So does leaving the loop early, by an exception too, if nothing else holds
    the stream any more.

        with client.run_generic_stream({"query": "Tell a story"}) as stream:
            for chunk in stream:
                print(chunk, end="")
        print(stream.usage)
    """

    def __init__(
        self, items: Generator[T, None, None], state: StreamState, interrupt: Callable[[], None]
    ) -> None:
        """Wrap the generator that does the work."""
        self._items = items
        self._state = state
        self._interrupt = interrupt
        # At exit, too: a generator left to the interpreter's last moments finds half of it gone.
        weakref.finalize(self, _close, items)

    def __iter__(self) -> Stream[T]:
        return self

    def __next__(self) -> T:
        return next(self._items)

    def send(self, value: None) -> T:
        """Do the same as `next`: a stream takes no values."""
        return self._items.send(value)

    def throw(self, *args: Any) -> T:
        """Raise an exception where the stream waits, which closes it."""
        return self._items.throw(*args)

    def close(self) -> None:
        """Close the connection; may be called again, and from another thread.

        The thread that waits for a chunk meanwhile sees the stream end.
        """
        if not _close(self._items):
            self._interrupt()

    def __enter__(self) -> Stream[T]:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _close(items: Generator[Any, None, None]) -> bool:
    """Close a generator; return whether that was possible: not while another thread is in it."""
    try:
        items.close()
    except ValueError:
        return False
    return True


class AsyncStream(_Facts, AsyncGenerator[T, None], Generic[T]):
    """An agent's answer as it comes, for `async for`. Nothing is sent before.

    It ends when the server announces the end, or raises. Cancellation, and leaving the `async with`
    block, close the connection at once. So does leaving the loop early, by an exception too, if
    nothing else holds the stream any more.
    """

    def __init__(self, items: AsyncGenerator[T, None], state: StreamState) -> None:
        """Wrap the generator that does the work."""
        self._items = items
        self._state = state

    def __aiter__(self) -> AsyncStream[T]:
        return self

    def __anext__(self) -> Coroutine[Any, Any, T]:
        return self._items.__anext__()

    def asend(self, value: None) -> Coroutine[Any, Any, T]:
        """Do the same as `anext`: a stream takes no values."""
        return self._items.asend(value)

    def athrow(self, *args: Any) -> Coroutine[Any, Any, T]:
        """Raise an exception where the stream waits, which closes it."""
        return self._items.athrow(*args)

    async def aclose(self) -> None:
        """Close the connection; may be called again."""
        await self._items.aclose()

    async def __aenter__(self) -> AsyncStream[T]:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
