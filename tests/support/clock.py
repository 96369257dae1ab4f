"""Every number of seconds that tests wait for, pass on or assert, stretched to fit a slow machine."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable

STRETCH_VARIABLE = "RUNAGENT_TEST_STRETCH"
"""Names the factor in the environment: by hand, or for the processes that a run starts."""

_STEPS = 400_000
_REFERENCE = 0.03
"""Seconds that `_work` took on the machine that the figures below were chosen on, when idle."""

_ROUNDS = 10


def _work() -> int:
    total = 0
    for i in range(_STEPS):
        total += i * i % 7
    return total


def _measured() -> float:
    """Return how many times slower than the reference this machine is now, at least 1."""
    began = time.perf_counter()
    for _ in range(_ROUNDS):
        _work()
    return max(1.0, (time.perf_counter() - began) / (_ROUNDS * _REFERENCE))


def _stretch() -> float:
    """Return the factor of this run, measured once and left in the environment for its workers."""
    text = os.environ.get(STRETCH_VARIABLE)
    if text is None:
        text = os.environ[STRETCH_VARIABLE] = f"{_measured():.2f}"
    factor = float(text)
    if not 1 <= factor <= 1000:
        raise ValueError(f"{STRETCH_VARIABLE}={text!r} is not a number from 1 to 1000")
    return factor


STRETCH = _stretch()


def stretched(seconds: float) -> float:
    """Return seconds of an idle machine as the time that this machine needs for the same work."""
    return seconds * STRETCH


PATIENCE = math.ceil(stretched(600))
"""Ends what hangs, and nothing else. No test that passes waits for it."""

SOON = PATIENCE / 2
"""The most that something may take which, if it failed, would take `PATIENCE` or for ever."""

FOR_EVER = 100 * PATIENCE
"""The time that something takes which must be ended by something else."""

TIMEOUT = stretched(0.7)
"""A timeout that is to pass: many times the work a call does before nothing but time ends it."""

LONG_TIMEOUT = stretched(3)
"""A timeout that is to pass after something has come: longer than the pauses of a busy machine."""

MOMENT = 0.3
"""Leaves time for something that must not happen. Nothing that must happen is waited for so."""

TICK = 0.01
"""The pause between two steps, or two looks at something that no event tells of."""


def milliseconds(seconds: float) -> float:
    """Return `seconds` as Playwright counts them."""
    return seconds * 1000


def until(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds.

    Raises:
        AssertionError: It does not hold within `PATIENCE`.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the condition still does not hold"
        time.sleep(TICK)
