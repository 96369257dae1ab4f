"""The order of events in a batch: every decision of both clients, and no I/O.

The engine is a generator, as a flow is: it yields the next step, and is sent its outcome. The
pumps in `blocking` and `asynchronous` carry out the steps.
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any

from runagent.call import Attempt
from runagent.errors import RunAgentError
from runagent.many import failures, outcomes, quota
from runagent.many.journal import Journal, Then
from runagent.many.pace import Pace, Ticket
from runagent.many.reading import as_kept
from runagent.many.rows import Entry, Row, Task, key_of
from runagent.many.steps import Answered, Deliver, Event, GiveUp, Kept, Marked, Rest, Send, Step
from runagent.many.sums import Sums
from runagent.results import RunResult
from runagent.retry import MAX_DELAY, RetryPolicy

GRACE = 1.5
"""Seconds in which requests under way may end after an interrupt."""

LOOK = 0.1
"""Seconds between two looks whether the client was closed, at most."""

MOMENT = 0.05
"""Seconds: for a shorter wait, no row overtakes another."""

AHEAD = 0.1
"""Seconds of rows that are read and marked before they are due."""

MOST_AHEAD = 200
"""Rows that are read ahead, at most."""

IN_A_ROW = 16
"""Rows that are delivered before others have their turn, at most."""

EXPLAINED = 20
"""Errors of rows that keep the frames in which an agent of this process failed."""

SAMPLE = 100
"""Finished rows after which a batch ends of which half has failed."""

LONGEST_OUTAGE = 600.0
"""Seconds after which a batch ends whose server has not come back."""

LONGEST_LIMIT = 3600.0
"""Seconds that a batch waits for a rate limit to end, at most."""


class Engine:
    """Runs one batch.

    Attributes:
        pace: When requests are sent.
        finished: Rows with an answer or an error, those of earlier runs among them.
        failed: Rows with an error.
        resumed: Rows that an earlier run had finished.
        sums: The sums over the rows.
        reason: Why the batch ends early, `None` if it does not.
        undelivered: Rows that nobody took, as the batch was being ended.
    """

    def __init__(
        self,
        entries: Iterator[Entry],
        journal: Journal,
        pace: Pace,
        policy: RetryPolicy,
        *,
        per_call: int = 1,
        output: Callable[[RunResult], Any] = lambda result: result.value,
        read: Callable[[Row], Row] = lambda row: row,
        ends_at_error: bool = False,
        post: Callable[[Event], object],
        closed: Callable[[], RunAgentError | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Run these rows.

        Args:
            entries: The rows; each is read shortly before it is sent.
            journal: The journal, which is not closed.
            pace: When requests are sent.
            policy: How often a row is tried, and how long it waits in between.
            per_call: Rows in one request.
            output: Makes the output of a row from an answer.
            read: Returns a row as its user sees it; the journal keeps its output as it came.
            ends_at_error: Whether the first row that fails ends the batch.
            post: Hands an event to the pump, in any thread.
            closed: Returns the error for a client that was closed, `None` while it is open.
            clock: Returns the time in seconds, on any monotonic clock.
            wall_clock: Returns the seconds since the Unix epoch.
        """
        self.pace = pace
        self.finished = self.failed = self.resumed = 0
        self.reason: BaseException | None = None
        self._entries = entries
        self._journal = journal
        self._policy = policy
        self._per_call = per_call
        self._output = output
        self._read = read
        self._ends_at_error = ends_at_error
        self._post = self._handle if journal.is_immediate else post
        self._closed = closed
        self._clock = clock
        self._wall_clock = wall_clock
        self._exhausted = False
        self._group: list[Entry] = []
        self._ready: deque[Task] = deque()
        self._later: list[tuple[float, int, Task]] = []
        self._order = itertools.count()
        self._delivery: deque[Row] = deque()
        self.undelivered: list[Row] = []
        self._under_way: set[Task] = set()
        self._marking = self._keeping = 0
        self._stopped_at: float | None = None
        self._gave_up = False
        self.sums = Sums()

    # From outside

    def stop(self, reason: BaseException | None = None, grace: float = GRACE) -> None:
        """Send no more, and give up after `grace` seconds on the requests under way.

        Args:
            reason: The exception that the batch ends with, if it has none yet.
            grace: Seconds.
        """
        if self.reason is None:
            self.reason = reason
        until = self._clock() + grace
        self._stopped_at = until if self._stopped_at is None else min(until, self._stopped_at)

    def resume(self) -> None:
        """Go on after an interrupt with the rows that are left."""
        self.reason = self._stopped_at = None
        self._gave_up = False
        self._delivery.extendleft(reversed(self.undelivered))
        self.undelivered.clear()

    @property
    def is_stopped(self) -> bool:
        """Whether nothing more is sent."""
        return self._stopped_at is not None

    @property
    def is_complete(self) -> bool:
        """Whether every row is finished."""
        return (
            self._exhausted
            and not (self._group or self._ready or self._later or self._under_way)
            and not (self._marking or self._keeping)
        )

    # The order of events

    def steps(self) -> Generator[Step, Any, None]:
        """Yield the steps until every row is finished, or the batch has ended early."""
        delivered = 0
        while True:
            now = self._clock()
            self._check_patience(now)
            if self._stopped_at is None and (closed := self._closed()) is not None:
                self.stop(closed, 0.0)
            if self._stopped_at is None:
                self._read_rows(now)
            while (task := self._due(now)) is not None:
                self._under_way.add(task)
                if task.began is None:
                    task.began = now
                yield Send(task, self.pace.sent(now))
            if self._delivery:
                yield Deliver(self._delivery.popleft())
                delivered += 1
                if self._delivery and delivered % IN_A_ROW:
                    continue
                seconds = 0.0
            elif self.is_complete or (self._stopped_at is not None and self._is_quiet):
                return
            else:
                if self._stopped_at is not None and now >= self._stopped_at and not self._gave_up:
                    self._gave_up = True
                    yield GiveUp()
                if self._waits_for_journal(now):
                    self._journal.hurry()
                seconds = self._rest(now)
            for event in (yield Rest(min(seconds, LOOK))) or ():
                self._handle(event)

    @property
    def _is_quiet(self) -> bool:
        return not (self._under_way or self._marking or self._keeping)

    def _rest(self, now: float) -> float:
        """Return the seconds until there is something to do, if nothing happens before."""
        if self._stopped_at is not None:
            return math.inf if self._gave_up else max(0.0, self._stopped_at - now)
        waits = []
        if self._later:
            waits.append(max(0.0, self._later[0][0] - now))
        if not self._keeps_enough and (self._ready or not (self._exhausted or self._marking)):
            waits.append(self.pace.wait(now))
        return min(waits, default=math.inf)

    @property
    def _keeps_enough(self) -> bool:
        """Whether as many answers are not on the disk yet as may be lost by a kill."""
        return self._keeping >= self.pace.max_concurrency * self._per_call

    def _waits_for_journal(self, now: float) -> bool:
        """Return whether nothing goes on before the journal has written something."""
        if self._keeping and (self._keeps_enough or not self._under_way):
            return True
        return bool(self._marking and not self._ready and self.pace.wait(now) <= 0)

    def _due(self, now: float) -> Task | None:
        if self._stopped_at is not None or len(self._delivery) > 2 * self.pace.max_concurrency:
            return None
        if self._keeps_enough:
            return None
        while self._later and self._later[0][0] <= now:
            self._ready.appendleft(heapq.heappop(self._later)[2])
        if not self._ready or self.pace.wait(now) > 0:
            return None
        return self._ready.popleft()

    # Rows on their way in

    def _read_rows(self, now: float) -> None:
        """Read the rows that are soon due, and have them marked."""
        pace = min(self.pace.pace(now), 1e6)
        ahead = min(MOST_AHEAD, self.pace.max_concurrency, 1 + int(AHEAD * pace / self._per_call))
        # A journal in memory marks at once, so that nothing has to be read ahead of it.
        while (
            not self._exhausted
            and len(self._ready) + self._marking < ahead
            and len(self._delivery) <= 2 * self.pace.max_concurrency
            and not self._keeps_enough
            and self.pace.wait(now) <= AHEAD
        ):
            try:
                entry = next(self._entries)
                self._take(entry)
            except StopIteration:
                self._exhausted = True
            except Exception as exc:  # noqa: BLE001 - of the user's own code; raised at the end
                self._exhausted = True
                self.stop(exc)
                return
            full = len(self._group) >= self._per_call or self._exhausted
            if self._group and full:
                self._mark(self._group)
                self._group = []

    def _take(self, entry: Entry) -> None:
        known = self._journal.find(entry)
        if entry.error is not None:
            self._journal.mark([entry], lambda _: None)
            self._keep(entry, Row(entry.id, entry.input, error=entry.error))
            return
        if known is None:
            self._group.append(entry)
            return
        row = self._read(known)
        if (row.error is None) is not (known.error is None):
            self._journal.keep(entry, as_kept(row, known.output), lambda _: None)
        self.resumed += 1
        self._count(row, resumed=True)
        self._delivery.append(row)

    def _mark(self, entries: list[Entry]) -> None:
        task = Task(entries, key_of(self._journal.batch, self._journal.generation, entries))
        self._marking += 1

        def marked(failure: BaseException | None) -> None:
            self._post(Marked(task, failure))

        self._journal.mark(entries, marked)

    # Events

    def _handle(self, event: Event) -> None:
        if event.failure is not None:
            self.stop(event.failure)
        if isinstance(event, Answered):
            self._answered(event.task, event.ticket, event.attempt)
            return
        if isinstance(event, Marked):
            self._marking -= 1
            self._ready.append(event.task)
        else:
            self._keeping -= 1
            self._finish(event.row)

    def _answered(self, task: Task, ticket: Ticket, attempt: Attempt) -> None:
        now = self._clock()
        self._under_way.discard(task)
        error = attempt.error
        if (error is None and attempt.result is None) or (error is not None and self._gave_up):
            self.pace.dropped()
            self._ready.appendleft(task)  # it has no outcome of its own
            return
        if error is not None and outcomes.lost_its_worker(attempt):
            self._lost_worker(task, error, now)
            return
        verdict = outcomes.verdict(attempt)
        self.pace.answered(
            ticket,
            now,
            verdict,
            quota.read(attempt.headers, self._wall_clock) if attempt.headers else (),
            None if error is None else error.retry_after,
        )
        if error is None:
            task.attempts += 1
            self._answer(task, attempt, now)
        elif outcomes.is_senseless(error):
            task.attempts += 1
            if error.code == "CLIENT_CLOSED":
                self.stop(error)
            else:
                self.stop(failures.senseless(error, self.finished))
                self._fail(task, error, now)
        elif verdict == "limited":
            self._ready.appendleft(task)
        elif verdict == "unavailable":
            self._put_back(task, error, now)
        else:
            self._try_again(task, attempt, error, now)

    def _lost_worker(self, task: Task, error: RunAgentError, now: float) -> None:
        self.pace.dropped()
        task.attempts += 1
        task.workers_lost += 1
        if task.workers_lost >= outcomes.MOST_LOST:
            self._fail(task, error, now)
        else:
            self._postpone(task, self._policy.delay, now)

    def _put_back(self, task: Task, error: RunAgentError, now: float) -> None:
        """Send the row again in a moment; the gate decides when, if the server is away."""
        self._postpone(
            task, self._policy.next_delay(error, 0, math.inf, undelivered=True) or 0.0, now
        )
        self._check_start(error, now)

    def _postpone(self, task: Task, delay: float, now: float) -> None:
        """Send a row again after a time, in which others are sent, unless it is very short."""
        if delay < MOMENT:
            self._ready.appendleft(task)
        else:
            heapq.heappush(self._later, (now + delay, next(self._order), task))

    def _try_again(self, task: Task, attempt: Attempt, error: RunAgentError, now: float) -> None:
        task.attempts += 1
        again = attempt.again
        if outcomes.was_lost(attempt) and not task.lost:
            # The same key tells a server that honours it that this is the same request.
            again = task.lost = True
        delay = self._policy.next_delay(
            error, task.attempts, math.inf, undelivered=again, wanted=again
        )
        if delay is None:
            self._fail(task, error, now)
        else:
            self._postpone(task, delay, now)

    def _answer(self, task: Task, attempt: Attempt, now: float) -> None:
        result = attempt.result
        assert result is not None
        output = self._output(result)
        if self._per_call == 1:
            outputs = [output]
        else:
            found = failures.list_of(output)
            if found is None or len(found) != len(task.entries):
                self._fail(task, failures.not_a_list(len(task.entries)), now)
                return
            outputs = found
        elapsed = now - (task.began or now)
        usage = result.usage if result.cost is None else {"cost": result.cost, **result.usage}
        for entry, each in zip(task.entries, outputs, strict=True):
            row = Row(entry.id, entry.input, each, None, task.attempts, usage, elapsed)
            self._keep(entry, self._read(row), each)

    def _fail(self, task: Task, error: RunAgentError, now: float) -> None:
        error.attempts = task.attempts
        if self.failed > EXPLAINED:
            error.__traceback__ = error.__cause__ = None  # its frames hold much of the agent's
        if self._ends_at_error:
            self.stop(grace=0.0)
        elapsed = now - (task.began or now)
        for entry in task.entries:
            self._keep(entry, Row(entry.id, entry.input, None, error, task.attempts, {}, elapsed))

    def _keep(self, entry: Entry, row: Row, answer: Any = None) -> None:
        self._keeping += 1

        def kept(failure: BaseException | None) -> None:
            self._post(Kept(row, failure))

        then: Then = kept
        self._journal.keep(entry, as_kept(row, answer), then)

    def _finish(self, row: Row) -> None:
        self._count(row)
        self._delivery.append(row)
        run = self.finished - self.resumed
        if run == SAMPLE and 2 * self.failed >= SAMPLE and row.error is not None:
            self.stop(failures.too_many(self.failed, run, row.error))

    def _count(self, row: Row, *, resumed: bool = False) -> None:
        self.finished += 1
        self.failed += row.error is not None
        self.sums.count(row, resumed=resumed)

    # An end when going on is senseless

    def _check_start(self, error: RunAgentError, now: float) -> None:
        """End a batch whose server was never there, after as long as a call would try."""
        if self.pace.accepted or self.pace.closed_for != "unavailable":
            return
        policy = self._policy
        longest = sum(
            min(MAX_DELAY, policy.delay * policy.backoff**i) for i in range(policy.max_retries)
        )
        if now - self.pace.closed_since >= longest:
            self.stop(error, 0.0)

    def _check_patience(self, now: float) -> None:
        if self._stopped_at is not None or (reason := self.pace.waits_for(now)) is None:
            return
        closed = 0.0 if self.pace.closed_for is None else now - self.pace.closed_since
        if reason == "unavailable":
            if closed > LONGEST_OUTAGE:
                self.stop(failures.gone(closed), 0.0)
            return
        wait = self.pace.opens_at(now) - now
        if closed + wait > LONGEST_LIMIT:
            self.stop(failures.limited_for_long(closed + wait))
