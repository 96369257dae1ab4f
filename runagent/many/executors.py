"""Requests of a batch that the workers of an executor send, with `submit` and futures alone."""

from __future__ import annotations

import asyncio
import concurrent.futures
import pickle
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, cast

from runagent.call import Attempt
from runagent.errors import RunAgentError, ValidationError
from runagent.many import failures
from runagent.many.batch import Remote, Source, content
from runagent.many.steps import Answered, Send
from runagent.warn import warn_user

Future = concurrent.futures.Future[Any]

MOST_BREAKS = 3
"""Executors that break one after the other, without an answer in between, before a batch ends."""

MOST_NAMES = 20
"""Workers that are named in a message, at most."""

_NAMING = """(
    __import__("pickle").loads(call)
    if all(map(__import__("importlib.util").util.find_spec, ("runagent", "runagent.worker")))
    else (__import__("socket").gethostname(), 0.0, None, __import__("os").getpid())
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


class Workers:
    """Has an executor make attempts, and posts their outcomes, in any thread."""

    def __init__(self, remote: Remote, post: Callable[[Answered], object]) -> None:
        """Use the executor; one that has to be made is made for the first request."""
        self._remote = remote
        self._post = post
        self._is_own = not isinstance(remote.source, Executor)
        self._executor: Executor | None = None
        self._under_way: dict[Future, tuple[Send, bool]] = {}  # and whether it names its worker
        self._names: dict[str, None] = {}
        self._breaks = 0
        self._asks_names = False
        if not self._is_own:
            self._use(cast("Executor", remote.source))

    def _use(self, executor: Executor) -> None:
        if self._remote.ships and self._executor is None:
            warn_unless_encrypted(executor)
        self._executor = executor

    def send(self, step: Send) -> None:
        """Submit the attempt of a step."""
        task = step.task
        arguments = self._remote.tasks.arguments(content(task), task.key)
        call = pickle.dumps(_Call(self._remote.function, arguments))
        try:
            future = self._submit(call)
        except Exception as exc:  # noqa: BLE001 - of the executor; raised at the end of the batch
            error: Exception = exc
            if not isinstance(exc, ValidationError):
                names = list(self._names)
                error = failures.executor_broken(self._kind, exc, names, own=self._is_own)
            self._post(Answered(task, step.ticket, Attempt(), error))
            return
        self._under_way[future] = step, self._asks_names
        future.add_done_callback(self._done)

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
        step, named = self._under_way.pop(future, (None, False))
        if step is None:
            return  # it was given up
        attempt, failure = self._outcome(step, future, named=named)
        self._post(Answered(step.task, step.ticket, attempt, failure))

    def _outcome(
        self, step: Send, future: Future, *, named: bool
    ) -> tuple[Attempt, BaseException | None]:
        exc: BaseException | None
        try:
            exc = future.exception()
        except (concurrent.futures.CancelledError, asyncio.CancelledError) as cancelled:
            exc = cancelled
        if isinstance(exc, ImportError) and not named:
            self._asks_names = True  # and the row is sent again
        elif isinstance(exc, _UNUSABLE) and not isinstance(exc, concurrent.futures.BrokenExecutor):
            return Attempt(), failures.worker_unusable(self._kind, exc)
        if exc is not None:  # engines have exceptions of their own for a worker that is lost
            lost = failures.worker_lost(self._kind, exc, list(self._names))
            return Attempt(error=lost, again=True), None
        try:
            name, seconds, attempt, problem = future.result()
        except (TypeError, ValueError) as strange:  # the reply of another version
            return Attempt(), failures.worker_unusable(self._kind, strange)
        self._breaks = 0
        if len(self._names) < MOST_NAMES:
            self._names[name] = None
        if attempt is None and not isinstance(problem, RunAgentError):
            return Attempt(), failures.no_package(f"{name}, process {problem}")
        if attempt is None:
            return Attempt(), problem
        # Until then it waited for a worker, which says nothing about the server.
        step.ticket.sent = max(step.ticket.sent, time.monotonic() - seconds)
        return attempt, None

    def answered(self) -> None:
        """Do nothing: a future that is done is forgotten by itself."""

    def give_up(self) -> None:
        """Give up the attempts under way, and post that each of them was."""
        for step in self._forget():
            given_up = Attempt(error=RunAgentError("The request was given up."))
            self._post(Answered(step.task, step.ticket, given_up))

    def _forget(self) -> list[Send]:
        steps = []
        for future in list(self._under_way):
            step, _ = self._under_way.pop(future, (None, False))
            if step is not None:
                steps.append(step)
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
