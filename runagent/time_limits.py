"""Time limits of operations of an event loop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import anyio

_EARLY = 0.001
"""Seconds by which a timer of a browser may come too early."""

_LONGEST = 2_000_000
"""Seconds. A browser ends a longer timer at once, so none is set for a longer time."""


def move_on_after(seconds: float) -> AbstractContextManager[anyio.CancelScope]:
    """Return a context manager that cancels its block after `seconds`, as anyio's does.

    anyio sets another timer if one comes too early, as those of a browser do. The event loop of
    Pyodide refuses it if its time has come meanwhile, and the block would never be cancelled.
    """
    if sys.platform == "emscripten":
        return _move_on_by_timer(seconds)
    return anyio.move_on_after(seconds)


@contextmanager
def _move_on_by_timer(seconds: float) -> Iterator[anyio.CancelScope]:
    with anyio.CancelScope() as scope:
        if seconds > _LONGEST:
            yield scope
            return
        timer = asyncio.get_running_loop().call_later(max(seconds, 0) + _EARLY, scope.cancel)
        try:
            yield scope
        finally:
            timer.cancel()
