"""A request to an agent that runs beside the kernel, fills an answer in and notes how it ended."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

from runagent import AsyncStream, StreamEvent
from runagent_jupyter import usage
from runagent_jupyter.answer import Answer
from runagent_jupyter.failure import as_agent_error

REST = 0.06
"""Seconds to rest after a wait for an event, so that many small events are handled together."""

BEFORE_REST = 10
"""Events that are read without a rest, so that a short answer is not delayed."""

_MANY = 100
"""Events between two waits that are a flood. In a flood there is no rest: many events are handled
together anyway, and a server whose events nobody reads has to rest too."""

_MUCH = 4_096
"""Characters of text between two waits that are a flood."""

_FLOOD = 0.5
"""Seconds without a flood after which there are rests again."""

_WAITED = 0.0005
"""Seconds between two events from which on the reader has waited for the second."""


class Request:
    """A request that runs on an event loop in another thread.

    Args:
        work: Makes the coroutine that asks the agent and fills the answer in.
        answer: The answer.
        loop: The event loop.
        agent_id: The agent whose usage the call is counted to.
        at_start: Called on the loop before the work begins.
        at_end: Called on the loop after the answer has noted how it ended.

    Attributes:
        answer: The answer.
        ended: Is done when the request has ended and `at_end` has returned.
    """

    def __init__(
        self,
        work: Callable[[], Coroutine[Any, Any, None]],
        answer: Answer,
        loop: asyncio.AbstractEventLoop,
        *,
        agent_id: str = "",
        at_start: Callable[[Request], None] = lambda _: None,
        at_end: Callable[[Request], None] = lambda _: None,
    ) -> None:
        self.answer = answer
        self.ended: Future[None] = Future()
        self._work = work
        self._loop = loop
        self._agent_id = agent_id
        self._at_start = at_start
        self._at_end = at_end
        self._began = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, from any thread."""
        self._loop.call_soon_threadsafe(self._start)

    def stop(self) -> None:
        """Stop a request that was started, from any thread; its answer keeps the events so far."""
        self._loop.call_soon_threadsafe(self._cancel)

    def _start(self) -> None:
        self._at_start(self)
        self._began = time.monotonic()
        self._task = self._loop.create_task(self._work())
        # A task that is cancelled before its first step runs none of its code, so the end is here.
        self._task.add_done_callback(self._end)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _end(self, task: asyncio.Task[None]) -> None:
        stopped = task.cancelled()
        error = None if stopped else task.exception()
        try:
            self.answer.end(
                elapsed=time.monotonic() - self._began,
                error=None if error is None else as_agent_error(error),
                stopped=stopped,
            )
            usage.note(self._agent_id, self.answer)
            self._at_end(self)
        finally:
            self.ended.set_result(None)


async def read_stream(
    stream: AsyncStream[StreamEvent], answer: Answer, take: Callable[[StreamEvent], None]
) -> None:
    """Read a stream to its end, and copy what the server says about the answer.

    Args:
        stream: The stream.
        answer: The answer; it gets the facts about it.
        take: Called with each event; it adds the event to the answer.

    Raises:
        RunAgentError: The stream failed.
    """
    events = answer.events
    count, characters = len(events), events.characters  # at the last wait
    asked = time.monotonic()
    flood = -math.inf  # the time of the last one
    try:
        async with stream:
            async for event in stream:
                now = time.monotonic()
                take(event)
                if now - asked > _WAITED:
                    if len(events) - count > _MANY or events.characters - characters > _MUCH:
                        flood = now
                    elif len(events) > BEFORE_REST and now - flood > _FLOOD:
                        await asyncio.sleep(REST)
                    count, characters = len(events), events.characters
                asked = time.monotonic()
    finally:
        answer.take_facts(stream)
