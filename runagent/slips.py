"""The messages for the usual slips: a blocking and an asynchronous client taken for each other."""

from __future__ import annotations

import dis
import sys
from functools import lru_cache
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE
from types import CodeType
from typing import Any, NoReturn


def _refuse(value: Any, problem: str) -> NoReturn:
    raise TypeError(f"{type(value).__name__}: {problem}")


class BlockingClientSlips:
    """The uses of a blocking client that belong to an asynchronous one."""

    async def __aenter__(self) -> NoReturn:
        _refuse(self, "write `with` instead of `async with`, or use AsyncRunAgentClient.")

    async def __aexit__(self, *exc_info: object) -> None:
        """Do nothing, as nothing was entered."""


class AsyncClientSlips:
    """The uses of an asynchronous client that belong to a blocking one."""

    def __enter__(self) -> NoReturn:
        _refuse(self, "write `async with` instead of `with`, or use RunAgentClient.")

    def __exit__(self, *exc_info: object) -> None:
        """Do nothing, as nothing was entered."""


class BlockingStreamSlips:
    """The uses of a blocking stream that belong to something else."""

    def __getitem__(self, index: object) -> NoReturn:
        _refuse(
            self, "chunks come one after the other; write `list(stream)[...]` to have them all."
        )

    async def __aenter__(self) -> NoReturn:
        _refuse(self, "write `with` instead of `async with`, or use AsyncRunAgentClient.")

    async def __aexit__(self, *exc_info: object) -> None:
        """Do nothing, as nothing was entered."""

    def __anext__(self) -> NoReturn:
        _refuse(self, "write `next(stream)` instead of `await anext(stream)`.")


class AsyncStreamSlips:
    """The uses of an asynchronous stream that belong to something else."""

    def __await__(self) -> NoReturn:
        _refuse(self, "write `async for chunk in stream` without `await` before the stream.")

    # Python iterates an object without `__iter__` by its indexes. With an `__iter__`, this would
    # look like an iterable to a program that asks.
    def __getitem__(self, index: object) -> NoReturn:
        _refuse(
            self,
            "write `async for chunk in stream` instead of `for`, and "
            "`[chunk async for chunk in stream]` to have all chunks.",
        )

    def __enter__(self) -> NoReturn:
        _refuse(self, "write `async with` instead of `with`.")

    def __exit__(self, *exc_info: object) -> None:
        """Do nothing, as nothing was entered."""

    def __next__(self) -> NoReturn:
        _refuse(self, "write `await anext(stream)` instead of `next(stream)`.")


_WAITS = {
    "GET_AWAITABLE": "leave out `await`",
    "GET_AITER": "write `for` instead of `async for`",
}


def check_not_awaited(client: Any, name: str) -> None:
    """Refuse a call of a blocking client whose result its caller awaits: `await client.run(...)`.

    The result is an ordinary dictionary, so that Python's own message would not help, and the call
    would have been made in vain by then.

    Raises:
        TypeError: The caller's next instruction awaits the result.
    """
    frame = sys._getframe(2)  # noqa: SLF001 - as `inspect` does
    if not frame.f_code.co_flags & (CO_COROUTINE | CO_ASYNC_GENERATOR):
        return
    following = _following(frame.f_code, frame.f_lasti)
    if following in _WAITS:
        raise TypeError(
            f"{type(client).__name__}.{name} blocks until its result is there: "
            f"{_WAITS[following]}, or use AsyncRunAgentClient."
        )


@lru_cache(maxsize=256)
def _following(code: CodeType, position: int) -> str:
    """Return the name of the instruction after the one at this position."""
    following = (found.opname for found in dis.get_instructions(code) if found.offset > position)
    return next((name for name in following if name != "CACHE"), "")
