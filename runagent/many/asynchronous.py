"""A batch of the asynchronous client: tasks send, and the task that iterates decides."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from runagent.call import Attempt
from runagent.errors import RunAgentError
from runagent.many.batch import BatchBase, Plan, content
from runagent.many.executors import Workers
from runagent.many.rows import Row
from runagent.many.steps import Answered, Deliver, Event, GiveUp, Rest, Send

if TYPE_CHECKING:
    from typing_extensions import Self


class AsyncBatch(BatchBase):
    """Many inputs and their answers: an asynchronous iterator over the rows, as they finish.

    Requests are sent while the batch is iterated over, by `async for`, `results` or `aclose`.

    >>> batch = AsyncRunAgentClient("shout").map([{"query": "Good?"}, {"query": "Bad?"}])
    >>> sorted([row.output async for row in batch])
    ['BAD?', 'GOOD?']
    >>> batch.finished, batch.failures
    (2, 0)
    """

    def __init__(self, plan: Plan) -> None:
        """Open the journal; nothing is sent yet."""
        self._events: deque[Event] = deque()
        self._news: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._woken = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._workers = None if plan.remote is None else Workers(plan.remote, self._post_all)
        super().__init__(plan)

    def _post(self, event: Event) -> None:
        self._post_all((event,))

    def _post_all(self, events: Iterable[Event]) -> None:
        self._events.extend(events)
        if threading.get_ident() == self._thread and self._news is not None:
            self._news.set()
        elif self._loop is not None and self._news is not None and not self._woken:
            # Once for all events until the loop looks at them, as it costs a system call.
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._news.set)
            except RuntimeError:  # the loop is closed
                self._woken = False

    def __aiter__(self) -> Self:
        if isinstance(self._engine.reason, (KeyboardInterrupt, asyncio.CancelledError)):
            self._go_on()
        return self

    async def __anext__(self) -> Row:
        if self._ended:
            raise StopAsyncIteration
        self._busy = True
        try:
            row = await self._advance(delivers=True)
        finally:
            self._busy = False
        if row is not None:
            return row
        self._end()
        self._raise_reason()
        raise StopAsyncIteration

    async def _advance(self, *, delivers: bool) -> Row | None:
        """Carry out steps until one delivers a row; return `None` at the end."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._news = loop, asyncio.Event()
            self._thread = threading.get_ident()
            self._woken = False
        cancelled = 0
        outcome: Any = None
        while True:
            try:
                step = self._steps.send(outcome)
            except StopIteration:
                return None
            outcome = None
            if self._workers is not None and not isinstance(step, Send):
                self._workers.flush(stopped=self._engine.is_stopped)
            if isinstance(step, Deliver):
                if delivers:
                    return step.row
                self._engine.undelivered.append(step.row)
            elif isinstance(step, Send) and self._workers is not None:
                self._workers.send(step)
            elif isinstance(step, Send):
                self._tasks.add(loop.create_task(self._attempt(step)))
            elif isinstance(step, GiveUp):
                for task in self._tasks:
                    task.cancel()
                if self._workers is not None:
                    self._workers.give_up()
            else:
                try:
                    outcome = await self._wait(step)
                except asyncio.CancelledError as exc:
                    grace = {"grace": 0.0} if cancelled else {}
                    cancelled += 1
                    self._engine.stop(exc, **grace)
                    delivers = False

    async def _wait(self, step: Rest) -> list[Event]:
        assert self._news is not None
        if self._events or step.seconds <= 0:
            await asyncio.sleep(0)  # others have their turn, whatever comes
        else:
            # Cheaper than `wait_for`, which a busy batch would call for each row.
            alarm = asyncio.get_running_loop().call_later(step.seconds, self._news.set)
            try:
                await self._news.wait()
            finally:
                alarm.cancel()
        self._news.clear()
        self._woken = False
        events = []
        while self._events:
            events.append(self._events.popleft())
        return events

    async def _attempt(self, step: Send) -> None:
        task = step.task
        failure: BaseException | None = None
        try:
            attempt = await self._plan.attempt(content(task), task.key)
        except asyncio.CancelledError:
            attempt = Attempt(error=RunAgentError("The request was given up."))
        except BaseException as exc:  # noqa: BLE001 - raised in the task that iterates
            attempt, failure = Attempt(), exc
        self._tasks.discard(asyncio.current_task())
        self._post(Answered(task, step.ticket, attempt, failure))

    async def results(self) -> list[Row]:
        """Run the batch to its end, and return its rows in the order of the inputs.

        Raises:
            RunAgentError: A batch that ended early; the rows so far are kept.

        Example:
            >>> batch = AsyncRunAgentClient("shout").map([{"query": "Good?"}, {"query": "Bad?"}])
            >>> [row.output for row in await batch.results()]
            ['GOOD?', 'BAD?']
        """
        async for _ in self:
            pass
        return list(self.rows())

    async def retry_failed(self) -> AsyncBatch:
        """Ask the rows that failed again, under new idempotency keys, when iterated over.

        Returns:
            This batch, which now iterates over these rows.

        Example:
            >>> batch = AsyncRunAgentClient("shout").map([{"query": "Good?"}, {}])
            >>> [len(await batch.results()), batch.failures]
            [2, 1]
            >>> [row.id async for row in await batch.retry_failed()]  # it fails again
            [1]
        """
        await self.aclose()
        self._retry()
        return self

    async def aclose(self) -> None:
        """End the batch: requests under way have a moment to finish, and everything is kept.

        Example:
            >>> batch = AsyncRunAgentClient("shout").map({"query": str(n)} for n in range(1_000))
            >>> first = await anext(batch)
            >>> await batch.aclose()
            >>> batch.finished < 1_000
            True
        """
        if self._ended:
            return
        self._engine.stop()
        await self._advance(delivers=False)
        self._end()

    async def end_now(self) -> None:
        """End the batch without waiting for the requests under way.

        Example:
            >>> batch = AsyncRunAgentClient("shout").map([{"query": "Good?"}])
            >>> await batch.end_now()
            >>> [row async for row in batch]
            []
        """
        self._engine.stop(grace=0.0)
        await self.aclose()

    def _end(self) -> None:
        if self._workers is not None:
            self._workers.dismiss()
        super()._end()

    def _abandon(self) -> None:
        for task in self._tasks:
            with contextlib.suppress(RuntimeError):  # its loop is closed
                task.cancel()
        self._end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if not self.__dict__.get("_ended", True):
            if self._workers is not None:
                self._workers.dismiss()
            self._journal.close()
