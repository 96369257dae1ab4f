"""Operations of an event loop that go on when the task that waits for them is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Generic, TypeVar

import httpcore2

T = TypeVar("T")


class Lasting(Generic[T]):
    """An operation in a task of its own, for other tasks to wait for, one after the other."""

    def __init__(self, operation: Coroutine[Any, Any, T]) -> None:
        """Start the operation on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(operation)
        # It may fail when nobody wants to know any more.
        self._task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def wait(self) -> T:
        """Return the result of the operation, which goes on if this is cancelled.

        Raises:
            httpcore2.ReadError: The operation itself was cancelled, or is of another event loop.
            Exception: The exception of the operation.
        """
        await self._settle()
        if not self._task.done() or self._task.cancelled():
            raise httpcore2.ReadError("interrupted")
        return self._task.result()

    async def _settle(self) -> None:
        loop = asyncio.get_running_loop()
        if self._task.done() or loop is not self._loop:
            return
        woken = loop.create_future()

        def wake(_: object) -> None:
            if not woken.done():
                woken.set_result(None)

        self._task.add_done_callback(wake)
        try:
            await woken
        finally:
            self._task.remove_done_callback(wake)

    def abandon(self) -> None:
        """Cancel the operation."""
        self._task.cancel()

    async def cancel(self) -> None:
        """Cancel the operation, and wait until it has ended."""
        if asyncio.get_running_loop() is self._loop:
            self.abandon()
            await self._settle()
        else:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self.abandon)
