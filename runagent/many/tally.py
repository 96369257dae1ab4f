"""Events counted by the time of each, for measuring how many there were between two times."""

from __future__ import annotations

from bisect import bisect_right

FINEST = 0.01
"""Seconds of a bin at first."""

MOST = 2000
"""Bins. If there are more, two neighbours become one."""

_TINY = 1e-9


class Tally:
    """Counts events in bins of time, and so in bounded memory."""

    def __init__(self, now: float) -> None:
        """Count from now on."""
        self._starts = [now]
        self._counts = [0]
        self._width = FINEST

    def add(self, at: float) -> None:
        """Count an event, which may be earlier than the last one."""
        if at < self._starts[-1] + self._width:
            self._counts[max(0, bisect_right(self._starts, at) - 1)] += 1
            return
        self._starts.append(at)
        self._counts.append(1)
        if len(self._starts) > MOST:
            odd = [*self._counts[1::2], 0]
            self._counts = [a + b for a, b in zip(self._counts[::2], odd, strict=False)]
            self._starts = self._starts[::2]
            self._width *= 2

    def between(self, begin: float, end: float) -> int:
        """Return how many events there were from `begin` to `end`."""
        first = bisect_right(self._starts, begin - _TINY)
        return sum(self._counts[first : bisect_right(self._starts, end)])

    def forget(self, before: float) -> None:
        """Forget the events before a time."""
        first = bisect_right(self._starts, before - _TINY)
        self._starts = self._starts[first:] or [before]
        self._counts = self._counts[first:] or [0]
        self._width = FINEST
