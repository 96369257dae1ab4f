"""A batch as users have it: the part that is the same for both clients."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from runagent.encode import to_json
from runagent.errors import RunAgentError, ValidationError
from runagent.many.engine import Engine
from runagent.many.journal import Journal, MemoryJournal
from runagent.many.journal_file import FileJournal
from runagent.many.pace import Pace
from runagent.many.reading import ReadAnswer, read
from runagent.many.rows import Entry, Row, Task
from runagent.many.steps import Event
from runagent.many.watching import watched
from runagent.progress import ProgressDisplay
from runagent.retry import RetryPolicy

logger = logging.getLogger("runagent")

Source = Executor | Callable[[], Executor]
"""An executor, or a function that makes one."""


class Tasks(Protocol):
    """Makes the arguments of the tasks."""

    @property
    def most_rows(self) -> int:
        """Rows of one task, at most."""

    def arguments(self, rows: list[tuple[bytes, str]]) -> tuple[Any, ...]:
        """Return the arguments of the function that workers call, for inputs and their keys."""

    def give_up(self) -> None:
        """End the attempts under way in threads of this process."""


@dataclass(frozen=True)
class Remote:
    """Where a batch has its requests sent.

    Attributes:
        source: An executor, or a function that makes one; that one belongs to the batch.
        function: The function that workers call; it returns a name, seconds and the outcome of
            each row, as `runagent.worker.attempts` does.
        tasks: Makes its arguments.
        ships: Whether the arguments hold secrets.
    """

    source: Source
    function: Callable[..., Any]
    tasks: Tasks
    ships: bool


@dataclass(frozen=True)
class Plan:
    """Everything that a batch is made from.

    Attributes:
        inputs: The inputs, or pairs of an id and an input.
        encode: Returns an input as JSON; it is called with the input and its name in messages.
        attempt: Makes one attempt: called with the encoded input and the idempotency key, and
            further arguments of the pump's own.
        closed: Returns the error for a client that was closed, `None` while it is open.
        policy: How often a row is tried.
        belongs: What a journal belongs to: the agent, the server and the options.
        max_concurrency: Requests under way at the same time, at most.
        rate: Requests per second, `None` to find the pace.
        per_call: Rows in one request.
        journal: The file of the journal, as `journal_path` returns it, `None` for one in memory.
        fresh: Whether all rows are to be asked again.
        output: Makes the output of a row from an answer.
        read_answer: Returns an output as an instance of the user's model, `None` for no model.
        display: Shows the progress, `None` for nothing.
        ends_at_error: Whether the first row that fails ends the batch.
        name: The name of the argument in messages.
        reports: Whether it is logged at the end how many rows failed.
        remote: Where the requests are sent, `None` for this process.
        batch_id: The part of idempotency keys that names the batch, `None` for a random one.
    """

    inputs: Iterable[Any]
    encode: Callable[[Any, str], bytes]
    attempt: Callable[..., Any]
    closed: Callable[[], RunAgentError | None]
    policy: RetryPolicy
    belongs: dict[str, Any]
    max_concurrency: int
    rate: float | None = None
    per_call: int = 1
    journal: Path | None = None
    fresh: bool = False
    output: Callable[[Any], Any] = lambda result: result.value
    read_answer: ReadAnswer | None = None
    display: ProgressDisplay | None = None
    ends_at_error: bool = False
    name: str = "inputs"
    reports: bool = True
    remote: Remote | None = None
    batch_id: str | None = None


@dataclass(frozen=True)
class Advice:
    """Sentences on what can be done next, for those who iterate over a batch in Python.

    Attributes:
        failed: With the rows that failed.
        stopped: After an interrupt, without a journal.
    """

    failed: str = "failed() returns them, retry_failed() asks them again."
    stopped: str = "Iterate over it again to go on."


def entries(plan: Plan) -> Iterator[Entry]:
    """Yield the rows of a plan, each read from the inputs when it is asked for."""
    for position, item in enumerate(plan.inputs):
        id_, value = position, item
        if isinstance(item, tuple) and len(item) == 2:  # noqa: PLR2004 - an id and an input
            id_, value = item
        name = f"{plan.name}[{position}]"
        entry = Entry(position, id_, "", value)
        try:
            entry.name = str(position) if id_ is position else _name_of(id_, name)
            if isinstance(value, ValidationError):  # of the code that was to make the input
                entry.input = None
                raise value
            entry.encoded = plan.encode(value, name)
        except ValidationError as exc:
            entry.error = exc
            # Not its id, under which a journal may have a good answer of an earlier run.
            entry.name = f'"{name}"'
        yield entry


def _name_of(id_: Any, name: str) -> str:
    encoded = to_json(id_, f"the id of {name}").decode()
    if encoded[:1] in "[{" or encoded in ("null", "true", "false"):
        raise ValidationError(
            f"The id of {name} is of type {type(id_).__name__}; an id is text or a number.",
            code="INVALID_INPUT",
        )
    return encoded


def content(task: Task) -> bytes:
    """Return the input of a request: that of its row, or a list of all."""
    if len(task.entries) == 1:
        return task.entries[0].encoded
    return b'{"inputs":[' + b",".join(entry.encoded for entry in task.entries) + b"]}"


_open: weakref.WeakValueDictionary[str, BatchBase] = weakref.WeakValueDictionary()


class BatchBase:
    """The part of a batch that is the same for both clients.

    Attributes:
        finished: Rows with an answer or an error, those of earlier runs among them.
        failures: Rows with an error.
        advice: The advice in messages about how it ended.
    """

    def __init__(self, plan: Plan) -> None:
        """Open the journal; nothing is sent yet."""
        self.advice = Advice()
        self._plan = plan
        self._busy = False
        self._ended = True  # until the journal is open
        self._raised = False
        if plan.journal is None:
            self._journal: MemoryJournal | FileJournal = MemoryJournal()
        else:
            self._let_go_of(plan.journal)
            self._journal = FileJournal(plan.journal, plan.belongs, fresh=plan.fresh)
            _open[str(plan.journal)] = self
        if plan.batch_id is not None:
            self._journal.batch = f"{plan.belongs.get('agent')} {plan.batch_id}"
        total = None
        with suppress(Exception):  # of the user's own class, or it has no length
            total = len(plan.inputs)  # type: ignore[arg-type]
        self._begin(entries(plan), total)

    def _let_go_of(self, path: Path) -> None:
        """End an earlier batch of this process that was left with the same journal."""
        other = _open.get(str(path))
        if other is not None and not other._busy:  # noqa: SLF001 - its own class
            other._abandon()  # noqa: SLF001

    def _begin(self, rows: Iterator[Entry], total: int | None) -> None:
        plan = self._plan
        self._total = total
        journal: Journal = self._journal
        self._engine = Engine(
            rows,
            journal,
            Pace(
                time.monotonic(),
                rate=plan.rate,
                max_concurrency=plan.max_concurrency,
                remembered=journal.pace,
            ),
            plan.policy,
            per_call=plan.per_call,
            output=plan.output,
            read=self._read,
            ends_at_error=plan.ends_at_error,
            post=self._post,
            closed=plan.closed,
        )
        self._start()

    def _start(self) -> None:
        display = self._plan.display
        steps = self._engine.steps()
        self._steps = steps if display is None else watched(self._engine, display, self._total)
        self._ended = self._raised = False

    def _read(self, row: Row) -> Row:
        return read(row, self._plan.read_answer)

    def _post(self, event: Event) -> None:
        raise NotImplementedError

    def _abandon(self) -> None:
        raise NotImplementedError

    @property
    def finished(self) -> int:
        """Rows with an answer or an error, those of earlier runs among them."""
        return self._engine.finished

    @property
    def failures(self) -> int:
        """Rows with an error."""
        return self._engine.failed

    def __repr__(self) -> str:
        agent = self._plan.belongs.get("agent")
        return f"<{type(self).__name__} of {agent!r}: {self.finished:,} rows finished>"

    def failed(self) -> list[Row]:
        """Return the rows that failed so far, in the order of the inputs.

        Example:
            >>> batch = RunAgentClient("shout").map([("r1", {"query": "Good?"}), ("r2", {})])
            >>> rows = batch.results()
            >>> [(row.id, row.error.code) for row in batch.failed()]
            [('r2', 'MISSING_REQUIRED_FIELD')]
        """
        return list(map(self._read, self._journal.rows(failed=True)))

    def rows(self) -> Iterator[Row]:
        """Return the rows that are finished so far, in the order of the inputs.

        Example:
            >>> batch = RunAgentClient("shout").map([{"query": "Good?"}, {"query": "Bad?"}])
            >>> row = next(batch)
            >>> row in list(batch.rows())
            True
        """
        return map(self._read, self._journal.rows())

    def stop(self, *, now: bool = False) -> None:
        """Have the batch end soon, from any thread.

        No more rows are sent; those under way have a moment to finish. The loop over the batch
        then ends as if it were complete, and everything is kept.

        Args:
            now: Whether not to wait for the rows under way.

        Example:
            >>> batch = RunAgentClient("shout").map({"query": str(n)} for n in range(1_000))
            >>> for row in batch:
            ...     batch.stop()
            >>> batch.finished < 1_000
            True
        """
        if now:
            self._engine.stop(grace=0.0)
        elif not self._engine.is_stopped:
            self._engine.stop()

    def to_frame(self, *, partial: bool = False) -> Any:
        """Return the rows as a DataFrame of pandas, in the order of the inputs.

        Args:
            partial: Whether the rows finished so far are enough; a batch that has not ended is
                refused otherwise.

        Returns:
            A DataFrame with the columns `id`, `input`, `output`, `error`, `attempts` and `elapsed`.

        Raises:
            ValidationError: A batch that has not ended, unless `partial`.
            ImportError: No pandas.

        Example:
            >>> batch = RunAgentClient("shout").map([("r1", {"query": "Good?"})])
            >>> rows = batch.results()
            >>> batch.to_frame()[["id", "output"]]
               id output
            0  r1  GOOD?
        """
        if not (partial or self._ended):
            raise ValidationError(
                f"The batch has not ended: {self.finished:,} rows are finished.",
                code="BATCH_NOT_ENDED",
                hint="Iterate over it first, call results(), or pass partial=True.",
            )
        import pandas as pd  # noqa: PLC0415 - optional

        names = ("id", "input", "output", "error", "attempts", "elapsed")
        rows = list(self.rows())
        return pd.DataFrame({name: [getattr(row, name) for row in rows] for name in names})

    def _retry(self) -> None:
        """Begin again with the rows that failed, under other idempotency keys."""
        failed = self._journal.retried()
        if isinstance(self._journal, FileJournal):
            self._journal.reopen()
        self._begin(iter(failed), len(failed))

    def _go_on(self) -> None:
        """Go on after an interrupt."""
        if self._ended and isinstance(self._journal, FileJournal):
            self._journal.reopen()
        self._engine.resume()
        self._start()

    def _raise_reason(self) -> None:
        """Raise the exception that the batch ended with, if there is one, once."""
        reason = self._engine.reason
        if reason is not None and not self._raised:
            self._raised = True
            raise reason

    def _end(self) -> None:
        """Let go of the journal, and say how many rows failed and why."""
        if self._ended:
            return
        self._ended = True
        found = self._engine.pace.found
        if found is not None:
            self._journal.remember(found)
        self._journal.close()
        if self._engine.failed and self._engine.reason is None and self._plan.reports:
            logger.warning("%s", self._summary())

    def _summary(self) -> str:
        reasons = self._engine.sums.errors()
        lines = [
            f"{self._engine.failed:,} of {self.finished:,} rows failed. {self.advice.failed}",
            *(f"{count:,} x {text}" for text, count in reasons[:2]),
        ]
        if len(reasons) > len(lines) - 1:
            rest = sum(count for _, count in reasons[2:])
            lines[-1] += f" (and {rest:,} {'other' if rest == 1 else 'others'})"
        return "\n".join(lines)

    def _interrupted_message(self) -> str:
        kept = f"{self.finished:,} rows are finished and kept"
        if self._plan.journal is None:
            return f"The batch was stopped: {kept}. {self.advice.stopped}"
        return (
            f"The batch was stopped: {kept} in {str(self._plan.journal)!r}. "
            "Run the same again to go on."
        )
