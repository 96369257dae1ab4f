"""Executors of several kinds, and what travels to their workers."""

from __future__ import annotations

import multiprocessing
import pickle
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from typing import Any

import psutil

KEY = "a-key-that-stays-at-home-7f3a"


def loky_pool(workers: int = 2) -> Executor:
    from loky import ProcessPoolExecutor as LokyPool

    pool: Executor = LokyPool(workers)
    return pool


class Agent:
    """An agent behind a server that honours keys; it counts how often each input is executed."""

    def __init__(self) -> None:
        self.executed: Counter[int] = Counter()
        self.before: Callable[[int], object] = lambda _: None

    def __call__(self, i: int) -> int:
        self.executed[i] += 1
        self.before(i)
        return 2 * i


POOLS: dict[str, Callable[[], Executor]] = {
    "threads": lambda: ThreadPoolExecutor(2),
    "spawn": lambda: ProcessPoolExecutor(2, multiprocessing.get_context("spawn")),
    "fork": lambda: ProcessPoolExecutor(2, multiprocessing.get_context("fork")),
    "loky": loky_pool,
}


class Recorder(Executor):
    """Passes tasks on to another executor, and keeps what was submitted and what came back.

    Attributes:
        tasks: The tasks, pickled.
        replies: The results, pickled.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.tasks: list[bytes] = []
        self.replies: list[bytes] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.tasks.append(pickle.dumps((fn, args, kwargs)))
        future = self._executor.submit(fn, *args, **kwargs)
        future.add_done_callback(self._took)
        return future

    def _took(self, future: Future[Any]) -> None:
        if not future.cancelled() and future.exception() is None:
            self.replies.append(pickle.dumps(future.result()))


class Closing(Executor):
    """Closes while it takes its last task of rows, which is lost without a word.

    Args:
        executor: What carries the others out.
        last: The number of that task.
    """

    def __init__(self, executor: Executor, last: int) -> None:
        self._executor = executor
        self._left = last

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if not self._left:
            raise RuntimeError("closed")
        if keys_in(args[0]):
            self._left -= 1
        return self._executor.submit(fn, *args, **kwargs) if self._left else Future()


def keys_in(task: bytes) -> list[str]:
    """Return the idempotency keys of the rows of a task."""
    return [key.decode() for key in re.findall(rb"row-[0-9a-f]{32}", task)]


def connections_of_workers(port: int) -> Counter[int]:
    """Return how many connections each process that this one has started has to a port here."""
    found: Counter[int] = Counter()
    for process in psutil.Process().children(recursive=True):
        for connection in process.net_connections("tcp4"):
            if connection.raddr and connection.raddr.port == port:
                found[process.pid] += 1
    return found


class Loser(Executor):
    """Loses each task with a certain input, as if that ended its worker; threads do the others.

    Attributes:
        lost: The keys of each task that was lost.
        done: The keys of each other task.
    """

    def __init__(self, input_: bytes, threads: ThreadPoolExecutor) -> None:
        self.lost: list[list[str]] = []
        self.done: list[list[str]] = []
        self._input = input_
        self._threads = threads

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self._input not in args[0]:
            self.done.append(keys_in(args[0]))
            return self._threads.submit(fn, *args, **kwargs)
        self.lost.append(keys_in(args[0]))
        future: Future[Any] = Future()
        future.set_exception(BrokenExecutor("the worker ended"))
        return future


class Canceller(Executor):
    """Cancels the first tasks that it is given, as somebody else may; has others done by threads."""

    def __init__(self, count: int, threads: ThreadPoolExecutor) -> None:
        self.count = count
        self.keys: list[str] = []
        self._threads = threads

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.keys += keys_in(args[0])
        self.count -= 1
        if self.count < 0:
            return self._threads.submit(fn, *args, **kwargs)
        future: Future[Any] = Future()
        future.cancel()
        return future


def pretend_other_version() -> None:
    """Make a worker believe that it has another version of the package."""
    from runagent import worker

    vars(worker)["__version__"] = "0.0.1"
