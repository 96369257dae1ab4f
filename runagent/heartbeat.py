"""Wakes the event loops of waiting calls now and then, so that they notice an interrupt.

The handler of a signal can only ask a loop to do something soon. A loop that waits for the network
does not notice that before anything else happens. A Jupyter kernel interrupts an `await` in a cell
in this way, so the answer would go on, and cost, for as long as it takes.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

INTERVAL = 0.1
"""Seconds between two beats."""

_calls: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.WeakSet[object]] = (
    weakref.WeakKeyDictionary()
)
"""The calls under way on each loop that beats."""


def begin(loop: asyncio.AbstractEventLoop, call: object) -> None:
    """Have the running loop beat until the call ends. Loops of other threads get no signals."""
    if threading.current_thread() is not threading.main_thread():
        return
    calls = _calls.get(loop)
    if calls is None:
        calls = _calls[loop] = weakref.WeakSet()
        loop.call_later(INTERVAL, _beat, loop)
    calls.add(call)


def end(loop: asyncio.AbstractEventLoop, call: object) -> None:
    """Take note that a call has ended."""
    calls = _calls.get(loop)
    if calls is not None:
        calls.discard(call)


def _beat(loop: asyncio.AbstractEventLoop) -> None:
    if _calls.get(loop):
        loop.call_later(INTERVAL, _beat, loop)
    else:
        _calls.pop(loop, None)
