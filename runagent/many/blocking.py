"""A batch of the blocking client: threads send, and the thread that iterates decides."""

from __future__ import annotations

import math
import signal
import threading
from collections import deque
from collections.abc import Iterable
from queue import SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, Any

from runagent.call import Attempt
from runagent.interrupt import BlockingIO, IOGroup
from runagent.many.batch import BatchBase, Plan, content
from runagent.many.executors import Workers
from runagent.many.rows import Row
from runagent.many.steps import Answered, Deliver, Event, GiveUp, Rest, Send

if TYPE_CHECKING:
    from typing_extensions import Self

SLICE = 0.05
"""Seconds after which a waiting main thread looks whether Ctrl-C was pressed."""


class _Inbox:
    """The events that have happened and were not handled yet."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._news = threading.Event()

    def post(self, event: Event) -> None:
        self._events.append(event)
        self._news.set()

    def post_all(self, events: Iterable[Event]) -> None:
        self._events.extend(events)
        self._news.set()

    def wait(self, seconds: float) -> list[Event]:
        """Return the events, after at most some seconds without one."""
        if not self._events and seconds > 0:
            self._news.wait(min(seconds, threading.TIMEOUT_MAX))
        self._news.clear()
        events = []
        while self._events:
            events.append(self._events.popleft())
        return events


class _Threads:
    """Threads that make attempts, as many as there are attempts at the same time."""

    def __init__(self, plan: Plan, inbox: _Inbox) -> None:
        self._plan = plan
        self._inbox = inbox
        # With the group of its time: a thread may take a step only after `give_up`.
        self._steps: SimpleQueue[tuple[Send, IOGroup[BlockingIO]] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._under_way = 0
        self.group: IOGroup[BlockingIO] = IOGroup()

    def send(self, step: Send) -> None:
        self._under_way += 1
        if self._under_way > len(self._threads):
            thread = threading.Thread(target=self._work, name="runagent-batch", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._steps.put((step, self.group))

    def flush(self, *, stopped: bool) -> None:
        """Do nothing: a request is sent at once."""

    def answered(self) -> None:
        self._under_way -= 1

    def give_up(self) -> None:
        """End the attempts under way."""
        self.group.end()
        self.group = IOGroup()

    def dismiss(self) -> None:
        """End the attempts under way and the threads, without waiting for them."""
        self.group.end()
        for _ in self._threads:
            self._steps.put(None)

    def end(self) -> None:
        self.dismiss()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        self._threads.clear()

    def _work(self) -> None:
        while (taken := self._steps.get()) is not None:
            step, group = taken
            task = step.task
            try:
                attempt = self._plan.attempt(content(task), task.key, group)
            except BaseException as exc:  # noqa: BLE001 - raised in the thread that iterates
                self._inbox.post(Answered(task, step.ticket, Attempt(), exc))
            else:
                self._inbox.post(Answered(task, step.ticket, attempt))


class _Interrupts:
    """Takes note of Ctrl-C while the batch decides, which no exception may break into."""

    def __init__(self) -> None:
        self.count = 0
        self._before: Any = None

    def __enter__(self) -> Self:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._noted)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    @property
    def active(self) -> bool:
        return self._before is not None

    def _noted(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 2:  # noqa: PLR2004 - the user's own code may be blocking
            signal.default_int_handler(number, frame)


class Batch(BatchBase):
    """Many inputs and their answers: an iterator over the rows, as they finish.

    Requests are sent while the batch is iterated over, by `for`, `results` or `close`.

    >>> batch = RunAgentClient("shout").map([{"query": "Good?"}, {"query": "Bad?"}])
    >>> sorted([row.output for row in batch])
    ['BAD?', 'GOOD?']
    >>> batch.finished, batch.failures
    (2, 0)
    """

    def __init__(self, plan: Plan) -> None:
        """Open the journal; nothing is sent yet."""
        self._inbox = _Inbox()
        self._workers = self._hired(plan)
        self._interrupts = _Interrupts()
        super().__init__(plan)

    def _hired(self, plan: Plan) -> _Threads | Workers:
        if plan.remote is not None:
            return Workers(plan.remote, self._inbox.post_all)
        return _Threads(plan, self._inbox)

    def _post(self, event: Event) -> None:
        self._inbox.post(event)

    def __iter__(self) -> Self:
        if isinstance(self._engine.reason, KeyboardInterrupt):
            self._go_on()
            self._workers = self._hired(self._plan)
        return self

    def __next__(self) -> Row:
        if self._ended:
            raise StopIteration
        self._busy = True
        try:
            with self._interrupts as interrupts:
                row = self._advance(interrupts, delivers=True)
        finally:
            self._busy = False
        if row is not None:
            return row
        self._finish()
        self._raise_reason()
        raise StopIteration

    def _advance(self, interrupts: _Interrupts, *, delivers: bool) -> Row | None:
        """Carry out steps until one delivers a row; return `None` at the end."""
        seen = interrupts.count
        outcome: Any = None
        while True:
            if interrupts.count > seen:
                grace = {} if seen == 0 else {"grace": 0.0}
                seen = interrupts.count
                self._engine.stop(KeyboardInterrupt(self._interrupted_message()), **grace)
                delivers = False
            try:
                step = self._steps.send(outcome)
            except StopIteration:
                return None
            outcome = None
            if not isinstance(step, Send):
                self._workers.flush(stopped=self._engine.is_stopped)
            if isinstance(step, Deliver):
                if delivers:
                    return step.row
                self._engine.undelivered.append(step.row)
            elif isinstance(step, Send):
                self._workers.send(step)
            elif isinstance(step, GiveUp):
                self._workers.give_up()
            else:
                outcome = self._wait(step, interrupts)

    def _wait(self, step: Rest, interrupts: _Interrupts) -> list[Event]:
        limit = SLICE if interrupts.active else math.inf
        events = self._inbox.wait(min(step.seconds, limit))
        for event in events:
            if isinstance(event, Answered):
                self._workers.answered()
        return events

    def _finish(self) -> None:
        self._workers.end()
        self._end()

    def results(self) -> list[Row]:
        """Run the batch to its end, and return its rows in the order of the inputs.

        Raises:
            RunAgentError: A batch that ended early; the rows so far are kept.

        Example:
            >>> batch = RunAgentClient("shout").map([{"query": "Good?"}, {"query": "Bad?"}])
            >>> [row.output for row in batch.results()]
            ['GOOD?', 'BAD?']
        """
        for _ in self:
            pass
        return list(self.rows())

    def retry_failed(self) -> Batch:
        """Ask the rows that failed again, under new idempotency keys, when iterated over.

        Returns:
            This batch, which now iterates over these rows.

        Example:
            >>> batch = RunAgentClient("shout").map([{"query": "Good?"}, {}])
            >>> [len(batch.results()), batch.failures]
            [2, 1]
            >>> [row.id for row in batch.retry_failed()]  # it fails again
            [1]
        """
        self.close()
        self._retry()
        self._workers = self._hired(self._plan)
        return self

    def close(self) -> None:
        """End the batch: requests under way have a moment to finish, and everything is kept.

        Example:
            >>> batch = RunAgentClient("shout").map({"query": str(n)} for n in range(1_000))
            >>> first = next(batch)
            >>> batch.close()
            >>> batch.finished < 1_000
            True
        """
        if self._ended:
            return
        self._engine.stop()
        with self._interrupts as interrupts:
            self._advance(interrupts, delivers=False)
        self._finish()

    def end_now(self) -> None:
        """End the batch without waiting for the requests under way.

        Example:
            >>> batch = RunAgentClient("shout").map([{"query": "Good?"}])
            >>> batch.end_now()
            >>> [row for row in batch]
            []
        """
        self._engine.stop(grace=0.0)
        self.close()

    def _abandon(self) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not self.__dict__.get("_ended", True):
            self._workers.dismiss()  # a finalizer may run in any thread, which must not wait
            self._journal.close()
