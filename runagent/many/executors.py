"""Requests of a batch that the workers of an executor send, with `submit` and futures alone."""

from __future__ import annotations

import asyncio
import concurrent.futures
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

from runagent.call import Attempt
from runagent.errors import RunAgentError, ValidationError
from runagent.many import failures
from runagent.many.batch import Remote, Source, content
from runagent.many.spread import Spread
from runagent.many.steps import Answered, Send
from runagent.warn import warn_user

Future = concurrent.futures.Future[Any]
_Outcome = tuple[Attempt, "BaseException | None"]

MOST_BREAKS = 3
"""Executors that break one after the other, without an answer in between, before a batch ends."""

QUIET = 30.0
"""Seconds without news of any task until the executor is asked to take one more."""

_NOTHING = pickle.dumps(None)
"""A task without rows."""

MOST_NAMES = 20
"""Workers that are named in a message, at most."""

MOST_BYTES = 1_000_000
"""Bytes of inputs from which no further row joins a task."""

_NAMING = """(
    __import__("pickle").loads(call)
    if all(map(__import__("importlib.util").util.find_spec, ("runagent", "runagent.worker")))
    else (
        f'{__import__("socket").gethostname()}, process {__import__("os").getpid()}', 0.0, []
    )
)"""
"""Makes a call in a worker that may have no runagent; then only its name comes back."""

_UNUSABLE = (ImportError, AttributeError, TypeError, RuntimeError, pickle.PickleError)
"""Errors of a worker, or of an engine, that every other row would have too."""


class _Call:
    """A function and its arguments; unpickling it makes the call.

    Engines unpickle their messages where an error ends a worker that does not have the package. So
    a task is nothing but bytes, and the call is made, or fails, when the task is run.
    """

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._parts = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._parts


@dataclass(eq=False, slots=True)
class _Group:
    """The rows of one task.

    Attributes:
        steps: The steps that asked for them.
        names: Whether the task names its worker if that has no runagent.
        submitted: When it was submitted.
        under_way: The tasks that were under way then, this one among them.
    """

    steps: list[Send]
    names: bool
    submitted: float
    under_way: int


class Workers:
    """Has an executor make attempts, and posts their outcomes, in any thread.

    Rows are gathered until `flush`, and then spread over tasks. A task ends with its slowest row.
    """

    def __init__(self, remote: Remote, post: Callable[[Iterable[Answered]], object]) -> None:
        """Use the executor; one that has to be made is made for the first request."""
        self._remote = remote
        self._post = post
        self._is_own = not isinstance(remote.source, Executor)
        self._executor: Executor | None = None
        self._due: deque[Send] = deque()
        self._under_way: dict[Future, _Group] = {}
        self._ended: deque[tuple[_Group, float, list[float]]] = deque()
        self._names: dict[str, None] = {}
        self._breaks = 0
        self._asks_names = False
        self._news = time.monotonic()
        self._probe: Future | None = None
        self._spread = Spread(remote.tasks.most_rows)
        if not self._is_own:
            self._use(cast("Executor", remote.source))

    def _use(self, executor: Executor) -> None:
        if self._remote.ships and self._executor is None:
            warn_unless_encrypted(executor)
        if isinstance(executor, ThreadPoolExecutor):
            self._spread.most_rows = 1  # its tasks cost little, and each of its threads is for one
        self._executor = executor

    def send(self, step: Send) -> None:
        """Have the attempt of a step made, with the next `flush` or a later one."""
        self._due.append(step)

    def flush(self, *, stopped: bool) -> None:
        """Submit the rows that are due, but for those that wait until a task has ended.

        Args:
            stopped: Whether nothing more is sent; then they are posted as not sent.
        """
        while self._ended:
            group, now, times = self._ended.popleft()
            self._spread.ended(group.submitted, now, group.under_way, times)
        if stopped and self._due:
            self._post([Answered(step.task, step.ticket, Attempt()) for step in self._due])
            self._due.clear()
        self._check_executor()
        if not self._due:
            return
        under_way = [len(group.steps) for group in list(self._under_way.values())]
        while most := self._spread.rows(len(self._due), under_way):
            steps = self._taken(most)
            under_way.append(len(steps))
            self._submit_group(steps)

    def _check_executor(self) -> None:
        """Cancel the tasks that have not begun if the executor takes no more of them.

        An executor that ends may take a task whose future never ends, as Dask's client does while
        it closes. A task that runs goes on to its end.
        """
        now = time.monotonic()
        if not self._under_way or self._executor is None or now - self._news < QUIET:
            return
        self._news = now
        if self._probe is not None and not self._probe.done():
            return
        try:
            self._probe = self._executor.submit(pickle.loads, _NOTHING)
        except Exception:  # noqa: BLE001 - of the executor; it is met again when rows are sent again
            for future in list(self._under_way):
                future.cancel()

    def _taken(self, most: int) -> list[Send]:
        """Take the rows of one task from those that are due."""
        steps = [self._due.popleft()]
        size = len(content(steps[0].task))
        # A row that has lost a worker goes alone: it may be the reason, and the others would be
        # lost with it again.
        while (
            len(steps) < most
            and self._due
            and not (steps[-1].task.workers_lost or self._due[0].task.workers_lost)
            and size < MOST_BYTES
        ):
            steps.append(self._due.popleft())
            size += len(content(steps[-1].task))
        return steps

    def _submit_group(self, steps: list[Send]) -> None:
        rows = [(content(step.task), step.task.key) for step in steps]
        call = pickle.dumps(_Call(self._remote.function, self._remote.tasks.arguments(rows)))
        group = _Group(steps, self._asks_names, time.monotonic(), len(self._under_way) + 1)
        try:
            future = self._submit(call)
        except Exception as exc:  # noqa: BLE001 - of the executor; raised at the end of the batch
            error: Exception = exc
            if not isinstance(exc, ValidationError):
                names = list(self._names)
                error = failures.executor_broken(self._kind, exc, names, own=self._is_own)
            self._answer(group, [(Attempt(), error)] * len(steps))
            return
        self._news = time.monotonic()
        self._under_way[future] = group
        future.add_done_callback(self._done)

    def _answer(self, group: _Group, outcomes: Iterable[_Outcome]) -> None:
        # All at once: rows that end together are followed by rows that go together.
        self._post(
            [
                Answered(step.task, step.ticket, attempt, failure)
                for step, (attempt, failure) in zip(group.steps, outcomes, strict=True)
            ]
        )

    def _submit(self, call: bytes) -> Future:
        while True:
            if self._executor is None:
                self._use(_made(cast("Callable[[], Executor]", self._remote.source)))
            executor = cast("Executor", self._executor)
            try:
                if self._asks_names:
                    return executor.submit(eval, _NAMING, {"call": call})
                return executor.submit(pickle.loads, call)
            except RuntimeError:  # it broke, or was shut down
                self._breaks += 1
                if not self._is_own or self._breaks >= MOST_BREAKS:
                    raise
                self._shut_down()

    @property
    def _kind(self) -> str:
        return "executor=" if self._executor is None else type(self._executor).__name__

    def _done(self, future: Future) -> None:
        self._news = time.monotonic()
        group = self._under_way.pop(future, None)
        if group is not None:  # otherwise it was given up
            self._answer(group, self._outcomes(group, future))

    def _outcomes(self, group: _Group, future: Future) -> list[_Outcome]:
        exc: BaseException | None
        try:
            exc = future.exception()
        except (concurrent.futures.CancelledError, asyncio.CancelledError) as cancelled:
            exc = cancelled
        count = len(group.steps)
        if isinstance(exc, ImportError) and not group.names:
            self._asks_names = True  # and the rows are sent again
        elif isinstance(exc, _UNUSABLE) and not isinstance(exc, concurrent.futures.BrokenExecutor):
            return [(Attempt(), failures.worker_unusable(self._kind, exc))] * count
        if exc is not None:  # engines have exceptions of their own for a worker that is lost
            names = list(self._names)
            return [
                (Attempt(error=failures.worker_lost(self._kind, exc, names), again=True), None)
                for _ in group.steps
            ]
        try:
            name, seconds, replies = future.result()
            outcomes = [(attempt, problem) for _, attempt, problem in replies]
        except (TypeError, ValueError) as strange:  # the reply of another version
            return [(Attempt(), failures.worker_unusable(self._kind, strange))] * count
        self._breaks = 0
        if len(self._names) < MOST_NAMES:
            self._names[name] = None
        if not outcomes:
            return [(Attempt(), failures.no_package(name))] * count
        now = time.monotonic()
        self._ended.append((group, now, [took for took, _, _ in replies]))
        for step in group.steps:
            # Until then it waited for a worker, which says nothing about the server.
            step.ticket.sent = max(step.ticket.sent, now - seconds)
        return [(attempt or Attempt(), problem) for attempt, problem in outcomes]

    def answered(self) -> None:
        """Do nothing: a future that is done is forgotten by itself."""

    def give_up(self) -> None:
        """Give up the attempts under way, and post that each of them was."""
        steps = [*self._forget(), *self._due]
        self._due.clear()
        given_up = Attempt(error=RunAgentError("The request was given up."))
        self._post([Answered(step.task, step.ticket, given_up) for step in steps])

    def _forget(self) -> list[Send]:
        steps = []
        for future in list(self._under_way):
            group = self._under_way.pop(future, None)
            if group is not None:
                steps += group.steps
                future.cancel()
        self._remote.tasks.give_up()
        return steps

    def dismiss(self) -> None:
        """Give up the attempts under way, without waiting for them."""
        self._forget()
        self._shut_down()

    end = dismiss

    def _shut_down(self) -> None:
        if self._is_own and self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None


def _made(make: Callable[[], Executor]) -> Executor:
    executor = make()
    if not isinstance(executor, Executor):
        raise _no_executor(f"The function executor= returned an object of type {_name(executor)}")
    return executor


def check_executor(executor: Any) -> Source:
    """Return the executor, or the function that makes one.

    Raises:
        ValidationError: Something else.
    """
    is_maker = callable(executor) and not hasattr(executor, "submit")
    if isinstance(executor, Executor) or is_maker:
        return cast("Source", executor)
    hint = "Pass a concurrent.futures.Executor, or a function that makes one."
    if hasattr(executor, "get_executor"):
        hint = "Pass client.get_executor(pure=False, retries=0), Dask's executor."
    raise _no_executor(f"executor= is of type {_name(executor)}", hint)


def _no_executor(problem: str, hint: str | None = None) -> ValidationError:
    return ValidationError(f"{problem}, which is no executor.", code="INVALID_INPUT", hint=hint)


def _name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def check_credentials(credentials: Any, executor: Any) -> bool:
    """Return whether secrets are to be sent to the workers.

    Raises:
        ValidationError: Anything but `None` and `"ship"`; `"ship"` without an executor.
    """
    if credentials is None:
        return False
    if credentials != "ship":
        raise ValidationError(
            'credentials= is neither None nor "ship".',
            code="INVALID_INPUT",
            hint='Pass credentials="ship" to send the API key to the workers of the executor.',
        )
    if executor is None:
        raise ValidationError(
            "credentials= is about the workers of an executor, and there is none.",
            code="INVALID_INPUT",
            hint="Pass executor= too, or leave out credentials=.",
        )
    return True


def warn_unless_encrypted(executor: Executor) -> None:
    """Warn if secrets may leave this machine unencrypted on their way to the workers."""
    on_this_machine = isinstance(
        executor,
        (concurrent.futures.ThreadPoolExecutor, concurrent.futures.ProcessPoolExecutor),
    ) or "loky" in type(executor).__module__.split(".")
    dask = getattr(getattr(executor, "_client", None), "scheduler", None)
    if on_this_machine or str(getattr(dask, "address", "")).startswith(("tls://", "inproc://")):
        return
    warn_user(
        f'credentials="ship" sends the API key to the workers of {type(executor).__name__}, and '
        "that connection is not known to be encrypted. Set RUNAGENT_API_KEY where the workers "
        "run instead, or have the executor use TLS."
    )
