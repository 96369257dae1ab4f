"""Many inputs: a few calls at a time, answers in order, progress."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence
from queue import SimpleQueue
from typing import TypeVar

from runagent.interrupt import BlockingIO, IOGroup

In = TypeVar("In")
Out = TypeVar("Out")

Progress = Callable[[int, int], object]
"""Called with the number of finished calls and the number of all calls."""


def run(
    function: Callable[[In, IOGroup[BlockingIO]], Out],
    inputs: Sequence[In],
    *,
    max_concurrency: int,
    return_exceptions: bool,
    on_progress: Progress | None,
) -> list[Out | Exception]:
    """Return the output of `function` for each input, in the order of the inputs.

    The function is called in threads, and `on_progress` in this one.

    Raises:
        Exception: The first exception of `function`, unless exceptions are to be returned. The
            calls under way are ended.
    """
    group: IOGroup[BlockingIO] = IOGroup()
    lock = threading.Lock()
    todo = iter(enumerate(inputs))
    finished: SimpleQueue[tuple[int, Out | BaseException]] = SimpleQueue()

    def work() -> None:
        while not group.ended:
            with lock:
                index, value = next(todo, (None, None))
            if index is None:
                return
            try:
                finished.put((index, function(value, group)))  # type: ignore[arg-type]
            except BaseException as exc:  # noqa: BLE001 - raised in the thread that waits
                finished.put((index, exc))
                if not return_exceptions:
                    return

    threads = [
        threading.Thread(target=work, name="runagent-batch", daemon=True)
        for _ in range(min(max_concurrency, len(inputs)))
    ]
    outputs: dict[int, Out | Exception] = {}
    try:
        for thread in threads:
            thread.start()
        while len(outputs) < len(inputs):
            index, output = finished.get()
            if isinstance(output, Exception) and return_exceptions:
                outputs[index] = output
            elif isinstance(output, BaseException):
                raise output
            else:
                outputs[index] = output
            if on_progress is not None:
                on_progress(len(outputs), len(inputs))
    finally:
        group.end()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    return [outputs[index] for index in range(len(inputs))]


async def run_async(
    function: Callable[[In], Awaitable[Out]],
    inputs: Sequence[In],
    *,
    max_concurrency: int,
    return_exceptions: bool,
    on_progress: Progress | None,
) -> list[Out | Exception]:
    """Return the output of `function` for each input, in the order of the inputs.

    The function is called in tasks.

    Raises:
        Exception: The first exception of `function`, unless exceptions are to be returned. The
            other tasks are cancelled.
    """
    import asyncio  # noqa: PLC0415 - importing the package stays cheap

    todo = iter(enumerate(inputs))
    outputs: dict[int, Out | Exception] = {}

    async def work() -> None:
        for index, value in todo:
            try:
                outputs[index] = await function(value)
            except Exception as exc:
                if not return_exceptions:
                    raise
                outputs[index] = exc
            if on_progress is not None:
                on_progress(len(outputs), len(inputs))

    tasks = [asyncio.ensure_future(work()) for _ in range(min(max_concurrency, len(inputs)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [outputs[index] for index in range(len(inputs))]
