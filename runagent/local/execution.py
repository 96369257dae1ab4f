"""Running an agent's function: in the event loop or in a thread, returning or yielding."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, Final

STREAMED: Final = object()
"""The result of `run` for a function that yielded instead of returning a value."""


class AgentError(Exception):
    """An exception that an agent raised, wrapped so that no task or event loop reacts to it.

    Attributes:
        cause: The agent's exception; may be a `SystemExit` or a `StopIteration`. Its traceback
            begins with the agent's own code.
    """

    def __init__(self, cause: BaseException) -> None:
        super().__init__(cause)
        traceback = cause.__traceback__
        while traceback and traceback.tb_frame.f_code.co_filename == __file__:
            traceback = traceback.tb_next
        self.cause = cause.with_traceback(traceback)


async def run(call: Callable[[], Any], emit: Callable[[Any], Awaitable[None]]) -> Any:
    """Call an agent's function, of any kind, and run it to its end.

    Synchronous code runs in one thread of its own, from the call to the last step of its iterator,
    so that it never blocks the loop and may use objects that are bound to one thread. An iterator
    takes its next step once the chunk before has been emitted. If the call is cancelled, its
    iterator is closed in its thread at the next step. A plain function cannot be stopped; its
    result is dropped.

    Args:
        call: The function with its arguments.
        emit: Awaited with each chunk that is yielded; may raise `AgentError`.

    Returns:
        The value the function returned, or `STREAMED` if it returned an iterator.

    Raises:
        AgentError: The function raised.
        asyncio.CancelledError: This task was cancelled, or the function raised this itself.
    """
    try:
        return await _run(call, emit)
    except (AgentError, asyncio.CancelledError):
        raise
    except BaseException as exc:  # sys.exit() in an agent must not end the server
        raise AgentError(exc) from exc


async def _run(call: Callable[[], Any], emit: Callable[[Any], Awaitable[None]]) -> Any:
    result = call() if _is_async(call) else await _in_thread(call, emit)
    while inspect.isawaitable(result):
        result = await result
    if hasattr(result, "__aiter__"):
        await _iterate(result, emit)
        return STREAMED
    if isinstance(result, Iterator):
        return await _in_thread(lambda: result, emit)
    return result


def _is_async(call: Callable[[], Any]) -> bool:
    function = getattr(call, "func", call)
    return any(
        inspect.iscoroutinefunction(f) or inspect.isasyncgenfunction(f)
        for f in (function, getattr(type(function), "__call__", None))  # noqa: B004 - it is inspected
    )


async def _iterate(iterable: Any, emit: Callable[[Any], Awaitable[None]]) -> None:
    iterator = iterable.__aiter__()
    try:
        async for chunk in iterator:
            await emit(chunk)
            # An agent that never waits must not block the others, or the news that its client left.
            await asyncio.sleep(0)
    finally:
        if hasattr(iterator, "aclose"):
            await iterator.aclose()


async def _in_thread(call: Callable[[], Any], emit: Callable[[Any], Awaitable[None]]) -> Any:
    loop = asyncio.get_running_loop()
    inbox: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
    emitted = threading.Semaphore(0)
    stopped = False

    def post(kind: str, value: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nobody waits for this
            loop.call_soon_threadsafe(inbox.put_nowait, (kind, value))

    def work() -> None:
        try:
            result = call()
            if isinstance(result, Iterator):
                iterate(result)
                result = STREAMED
            post("result", result)
        except BaseException as exc:  # noqa: BLE001 - raised again in the event loop
            post("failure", exc)

    def iterate(iterator: Iterator[Any]) -> None:
        try:
            for chunk in iterator:
                if not stopped:
                    post("chunk", chunk)
                    emitted.acquire()
                if stopped:
                    return
        finally:
            if hasattr(iterator, "close"):
                iterator.close()

    # Not a pool's thread: Python joins those at exit, and an agent may never end.
    threading.Thread(target=work, name="runagent-agent", daemon=True).start()
    try:
        while True:
            kind, value = await inbox.get()
            if kind == "result":
                return value
            if kind == "failure":
                raise AgentError(value) from value
            await emit(value)
            emitted.release()
    finally:
        stopped = True
        emitted.release()
