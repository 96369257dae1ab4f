"""Runs an agent on each row of a table, for `--each`: in its cell, or in the background."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from runagent import RunAgentClient, ValidationError
from runagent.many import Batch, Frame
from runagent.progress import Progress, ProgressDisplay
from runagent.terminal_progress import terminal_display
from runagent.waitable_thread import WaitableThread
from runagent_jupyter import usage
from runagent_jupyter.each.batch_output import BatchOutput
from runagent_jupyter.each.first_rows import FirstRows
from runagent_jupyter.each.row_inputs import RowInputs
from runagent_jupyter.each.tables import KEY, KeyedRows, table_of
from runagent_jupyter.failure import shortly
from runagent_jupyter.interrupts import Interrupts, noted
from runagent_jupyter.magic_line.options import AskOptions
from runagent_jupyter.model_names import model_of
from runagent_jupyter.reply import Reply
from runagent_jupyter.shell import has_kernel, in_running_cell
from runagent_jupyter.templates.template import value_of

N = TypeVar("N", int, float)


@dataclass(frozen=True)
class Each:
    """A table with questions, before anything is sent.

    Attributes:
        options: The options of the magic.
        frame: The table.
        first: Its first rows, for the display.
        model: The type that answers are read into, `None` for none.
    """

    options: AskOptions
    frame: Frame
    first: FirstRows
    model: Any

    def start(self, client: RunAgentClient, display: ProgressDisplay) -> Batch:
        """Return the batch, of which nothing is sent yet."""
        options = self.options
        return client.map(
            self.frame.inputs,
            journal=None if options.journal is None else Path(options.journal).expanduser(),
            fresh=options.fresh,
            rate=options.rate,
            max_concurrency=options.max_concurrency,
            response_model=self.model,
            progress=display,
            entrypoint=options.entrypoint,
        )


def prepare(options: AskOptions, body: str, variables: MutableMapping[str, Any]) -> Each:
    """Make the questions of a table's rows, as far as that can be done before the first is sent.

    Args:
        options: The options of the magic; `--each`, `--input` and `--set` are not filled in yet.
        body: The cell's body, or the question on the line.
        variables: The variables of the notebook.

    Raises:
        ValidationError: Something else than a table, a column that is not there or would be
            replaced, a row without an id of its own, or a template that fails.
    """
    name = (options.each or "").strip().removeprefix("{{").removesuffix("}}").strip()
    table = table_of(_value(name, variables), name)
    model = model_of(options.model, variables) if options.model else None
    id_ = options.id or (KEY if isinstance(table, KeyedRows) else None)
    inputs = RowInputs(options, body, variables)
    try:
        frame = Frame(table, inputs.input_of, id_, options.outputs)
    except ValidationError as exc:
        exc.hint = exc.hint and exc.hint.replace("output=", "--output NAME")
        exc.message = exc.message.replace("The frame ", f"{name} ")
        raise
    inputs.check(frame.table)
    question = " ".join([body, *options.set, *options.input])
    return Each(options, frame, FirstRows(frame, frame.table.columns, id_, question), model)


def _value(name: str, variables: Mapping[str, Any]) -> Any:
    """Return the value of a variable, or of an expression such as `df.head(10)`."""
    if not name.isidentifier():
        return value_of(name, variables)
    if name not in variables:
        raise ValidationError(f"--each: there is no variable {name!r}.", code="USAGE")
    value = variables[name]
    return value.value if isinstance(value, Reply) else value


class EachRun:
    """A batch that is shown in a cell. It is the display of its own batch.

    Args:
        shell: The IPython shell.
        client: Asks the agent; it is closed at the end.
        each: The table with the questions.
        shows_rows: Whether the first rows are shown below the progress.

    Attributes:
        progress: How far it is.
        error: The exception that it ended with, `None` if there is none.
    """

    def __init__(self, shell: Any, client: RunAgentClient, each: Each, *, shows_rows: bool) -> None:
        self.agent_id = client.agent_id
        self.progress = Progress(state="done")
        self.error: Exception | None = None
        self._end: tuple[Any] | None = None  # the final answers
        self._client = client
        self._each = each
        self._display: ProgressDisplay | None = None
        self._interrupts = Interrupts()
        self._stopped = False
        self._before: Progress | None = None  # before failed rows were asked again
        try:
            self._batch = each.start(client, self)
        except BaseException:
            client.close()
            raise
        self._display = self._display_in(shell, shows_rows=shows_rows)

    def _display_in(self, shell: Any, *, shows_rows: bool) -> ProgressDisplay | None:
        options = self._each.options
        if options.quiet:
            return None
        if not has_kernel(shell):
            # In the background, it would write into the line that is being typed.
            return None if options.bg else terminal_display()
        table = self._each.first.html if shows_rows else lambda _: ""
        advice = "" if options.retry_failed else _how_to_retry(options.journal)
        return BatchOutput(shell, self.agent_id, table, background=options.bg, advice=advice)

    @property
    def answers(self) -> Any:
        """The table with the answers so far."""
        return self._each.frame.answered(self._batch.rows()) if self._end is None else self._end[0]

    def how_to_go_on(self) -> str:
        """Say what is kept of a batch that was interrupted, and how the rest is asked."""
        options, progress = self._each.options, self.progress
        of = "" if progress.total is None else f" of {progress.total:,}"
        kept = f"stopped: {progress.done:,}{of} rows are finished, and in {options.out or '_'}"
        if options.journal:
            return f"{kept}. Run this again to go on; {options.journal!r} keeps them."
        return f"{kept}. Running this again asks all rows anew; with --journal FILE it goes on."

    def run(self, at_end: Callable[[EachRun], None]) -> bool:
        """Run the batch to its end. An error is in `error` afterwards.

        Args:
            at_end: Called when it has ended, however it did.

        Returns:
            Whether the kernel was interrupted meanwhile.
        """
        with noted(at_most=2) as self._interrupts:
            try:
                self._take_rows()
                if self._each.options.retry_failed and self._batch.failures and not self._stopped:
                    self._before = self.progress
                    self._batch.retry_failed()
                    self._take_rows()
            except KeyboardInterrupt:  # while code of the user waited, such as a generator of rows
                self._stopped = True
            except Exception as exc:  # noqa: BLE001 - it is raised where the answers are handed over
                self.error = exc
            finally:
                self._batch.close()
                self._client.close()
            self._end = (self.answers,)
            usage.note_batch(self.agent_id, self.progress)
            try:
                if self._display is not None:
                    self._display.end(self.progress)
            finally:
                at_end(self)
        return self._interrupts.came

    def _take_rows(self) -> None:
        for row in self._batch:
            self._each.first.take(row)

    def stop(self) -> None:
        """Stop the batch, from any thread; its answers are kept."""
        self._stopped = True
        self._batch.stop()

    def show(self, progress: Progress) -> None:
        """Show the progress, and see whether the kernel was interrupted."""
        progress = self.progress = _added(self._before, progress)
        if self._interrupts.came or self._stopped:
            self._stopped = True
            self._batch.stop(now=self._interrupts.count > 1)
        if self._display is None:
            return
        try:
            self._display.show(progress)
        except Exception:  # noqa: BLE001 - the answers matter more than their display
            self._display = None

    def end(self, progress: Progress) -> None:
        """Note the final state, which is shown when all rows have been taken."""
        self.progress = _added(self._before, progress)


def _how_to_retry(journal: str | None) -> str:
    if journal is None:
        return "With --journal FILE, a second run with --retry-failed asks only those rows again."
    return "Run this with --retry-failed to ask those rows again."


def _added(before: Progress | None, retried: Progress) -> Progress:
    """Return the progress of a batch whose failed rows are asked again."""
    if before is None:
        return retried
    count = retried.total or 0
    usage = {**(before.usage or {})}
    for name, value in (retried.usage or {}).items():
        usage[name] = usage.get(name, 0) + value
    return replace(
        retried,
        done=before.done - count + retried.done,
        failed=before.failed - count + retried.failed,
        resumed=max(0, before.resumed - count),
        total=before.total,
        elapsed=before.elapsed + retried.elapsed,
        usage=usage,
        tokens=_sum(before.tokens, retried.tokens),
        cost=_sum(before.cost, retried.cost),
    )


def _sum(one: N | None, other: N | None) -> N | None:
    return other if one is None else one if other is None else one + other


class EachJob:
    """The handle of a batch that goes on in the background: `--each TABLE --bg --proc NAME`.

    >>> df = pd.DataFrame({"text": ["Good?", "Bad?"]})
    >>> job = %runagent shout --each df --bg --quiet {{text}}
    >>> list(job.wait()["output"])
    ['GOOD?', 'BAD?']

    Args:
        run: The batch.
        at_end: Called with it when it has ended.
    """

    def __init__(self, run: EachRun, at_end: Callable[[EachRun], None]) -> None:
        self._run = run
        self._thread = WaitableThread(
            functools.partial(in_running_cell, functools.partial(run.run, at_end)),
            f"runagent-{run.agent_id}",
        )
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether the batch has ended: it is complete, ended early or was stopped."""
        return self._thread.has_ended

    @property
    def progress(self) -> Progress:
        """How far the batch is."""
        return self._run.progress

    @property
    def answers(self) -> Any:
        """The table with the answers so far."""
        return self._run.answers

    def wait(self, timeout: float | None = None) -> Any:
        """Wait for the end of the batch.

        Args:
            timeout: Seconds; `None` for no limit.

        Returns:
            The table with the answers.

        Raises:
            TimeoutError: The batch has not ended by then; it goes on.
            RunAgentError: The batch ended early; `answers` has the answers so far.

        Example:
            >>> df = pd.DataFrame({"text": ["Good?", "Bad?"]})
            >>> job = %runagent shout --each df --bg --quiet {{text}}
            >>> list(job.wait(timeout=60)["status"])
            ['ok', 'ok']
        """
        if not self._thread.wait(timeout):
            raise TimeoutError(f"{self._run.agent_id} has not ended within {timeout} s.")
        if self._run.error is not None:
            raise shortly(self._run.error)
        return self.answers

    def stop(self) -> Any:
        """Stop the batch: requests under way have a moment to finish.

        Returns:
            The table with the answers so far.

        Example:
            >>> df = pd.DataFrame({"text": ["Good?", "Bad?"]})
            >>> job = %runagent shout --each df --bg --quiet {{text}}
            >>> len(job.stop())
            2
        """
        self._run.stop()
        self._thread.wait()
        return self.answers

    def __repr__(self) -> str:
        state = self.progress.state if self.done else "running"
        return f"<EachJob {self._run.agent_id!r}: {state}, {self.progress.done:,} rows finished>"
