"""The load of this process: whether it could make use of more requests at a time. No I/O."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

thread_time: Callable[[], float] = getattr(time, "thread_time", time.process_time)
"""Returns the seconds that this thread has computed; in a browser, the process is one thread."""

SPAN = 0.02
"""Seconds between two looks, at least."""

FULL = 0.9
"""The part of the time in which a process computes that has no time for more requests."""

WAITED = 1.5
"""Times as long as the fastest answer that an answer takes which has waited in this process."""

FEWEST = 8
"""Requests at a time that are never too many."""

GROWTH = 1.2
"""The growth of the number from one look to the next, once there is time again."""


class Load:
    """How many requests at a time keep this process busy: more of them only wait in it.

    Each of them would have a connection of its own, and its answer would come later.

    Attributes:
        most: Requests at a time that are useful, `math.inf` while there is no limit to be seen.
    """

    def __init__(self, now: float, cpu_clock: Callable[[], float]) -> None:
        """Begin to look.

        Args:
            now: The time.
            cpu_clock: Returns the seconds that the batch has computed.
        """
        self.most = math.inf
        self._cpu_clock = cpu_clock
        self._fastest = math.inf
        self._looked = now
        self._cpu = cpu_clock()

    def answered(self, now: float, took: float, latency: float, under_way: int) -> None:
        """Take note of an answer.

        Args:
            now: The time.
            took: The seconds that it took.
            latency: The seconds that the last answers took on average.
            under_way: The requests that are still under way.
        """
        self._fastest = min(self._fastest, took)
        if now - self._looked < SPAN:
            return
        cpu = self._cpu_clock()
        computed = cpu - self._cpu >= FULL * (now - self._looked)
        self._looked, self._cpu = now, cpu
        if computed and latency >= WAITED * self._fastest:
            self.most = max(FEWEST, min(self.most, under_way))
        else:
            self.most *= GROWTH
