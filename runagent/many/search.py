"""The search for the pace that a server sustains, from its refusals alone. No I/O."""

from __future__ import annotations

import math
from bisect import bisect_right

FIRST_PACE = 20.0
FIRST_REQUESTS = 8
HEADROOM = 0.97
HOLD = 15.0
LONGEST_HOLD = 240.0
STEP = 0.02
SLOWEST = 1 / 3600
MEMORY = 10.0


class Tally:
    """Counts events by the time of each, in bins."""

    def __init__(self, now: float) -> None:
        self._starts = [now]
        self._counts = [0]
        self._width = 0.01

    def add(self, at: float) -> None:
        if at >= self._starts[-1] + self._width:
            self._starts.append(at)
            self._counts.append(1)
            if len(self._starts) > 2000:
                self._halve()
            return
        self._counts[max(0, bisect_right(self._starts, at) - 1)] += 1

    def _halve(self) -> None:
        self._counts = [a + b for a, b in zip(self._counts[::2], [*self._counts[1::2], 0], strict=False)]
        self._starts = self._starts[::2]
        self._width *= 2

    def between(self, begin: float, end: float) -> int:
        """Return how many events were at `begin` or later, and before `end`."""
        return sum(self._counts[bisect_right(self._starts, begin - 1e-9):bisect_right(self._starts, end)])

    def forget(self, before: float) -> None:
        i = bisect_right(self._starts, before - 1e-9)
        self._starts, self._counts = self._starts[i:] or [before], self._counts[i:] or [0]
        self._width = 0.01


class Search:
    def __init__(self, now: float, pace: float | None) -> None:
        self.refusals = 0
        self.ramping = pace is None
        self.pace = FIRST_PACE if pace is None else pace
        self._tally = Tally(now)
        self._anchor = now
        self._rounds: list[float] = [now]
        self._round = now
        self._sent = 0
        self._hold_until = now + HOLD
        self._steps = 0
        self._top = math.inf
        self._latency = 0.1
        self._last = -math.inf
        self._cycle = 0.0
        self._opened = now

    def sent(self) -> None:
        self._sent += 1

    def first_answer(self, latency: float) -> None:
        if self.ramping:
            first = max(FIRST_PACE, min(1 / max(latency, 0.001), 5 * FIRST_PACE))
            self.pace = min(first, FIRST_REQUESTS / max(latency, 0.001))

    def growth(self, latency: float) -> tuple[float, float]:
        """Return the factor and the seconds of a round."""
        tau = min(max(0.07, 7 * latency), 0.5 + 3 * latency)
        if self.pace < 100:
            tau *= 1.4
        length = max(0.1 if latency > 0.02 else 0.05, latency)
        return math.exp(min(length / tau, 0.7)), length

    def accepted(self, sent: float, now: float, latency: float) -> None:
        self._latency = latency
        self._tally.add(sent)
        factor, length = self.growth(latency)
        if not self.ramping:
            length = max(1.0, latency, self._cycle / 8)
        if sent < self._round or now - self._round < length:
            return
        busy = self._sent >= 0.8 * self.pace * (now - self._round) - 1
        self._round, self._sent = now, 0
        if not busy:
            return
        if self.ramping:
            self.pace *= factor
            self._rounds.append(now)
        elif self.pace < self._top:
            self.pace = min(self._top, self.pace + max(1.5 * STEP * self.pace, 0.3 * (self._top - self.pace)))
            if self.pace == self._top:
                self._hold_until = now + HOLD
        elif now >= self._hold_until:
            self._top = 0.0
            self.pace *= 1 + STEP * 1.5 ** max(0, self._steps - 6)
            self._steps += 1

    def stop(self, now: float) -> None:
        """The server states the limit."""
        self.ramping = False
        self.pace = math.inf

    def refused(self) -> None:
        self.refusals += 1
        if self.ramping:
            factor, _ = self.growth(self._latency)
            self.pace /= factor

    def _measure(self, begin: float, low: float, high: float) -> tuple[float, float, int]:
        number = self._tally.between(begin, high)
        span = (low + high) / 2 - begin
        if span <= 0:
            return 0.0, 0.0, 0
        return number / span, number / max(low - begin, 0.5 * span), number

    def settle(self, met: float, low: float, high: float, now: float, shut: float) -> None:
        """The limiter was met, and is open again since a moment between `low` and `high`."""
        if self.ramping:
            begins = [r for r in self._rounds if high - r >= max(2 * shut, 0.5)] or self._rounds[:1]
            found = max(self._measure(b, low, high) for b in begins)
        else:
            recent = high - max(20 * shut, 2.0, 5 * self._latency)
            begins = [self._anchor, recent] if recent > self._anchor else [self._anchor]
            found = max(self._measure(b, low, high) for b in begins)
        measured, top, number = found
        opened = (low + high) / 2
        if shut > 1.0:
            self._cycle = opened - self._opened
        self._opened = opened
        if number < 8:
            measured = max(measured, 0.8 * self.pace)
            top = max(top, measured)
        pace = HEADROOM * measured
        if met - self._last < 2.0 and not self.ramping:
            pace = min(pace, max(0.8 * self.pace, 0.85 * pace))
        if self.ramping:
            pace *= 0.62
        self._last = met
        if not self.ramping:
            top = min(top, self.pace)
        self.pace = max(SLOWEST, min(self.pace, pace))
        self._top = max(self.pace, min(HEADROOM * top, 2.5 * self.pace))
        if self.ramping or (opened - self._anchor > MEMORY and number >= 50):
            self._anchor = opened
            self._tally.forget(opened)
        self._hold_until = now + min(max(HOLD, opened - self._anchor, 2 * self._cycle), LONGEST_HOLD)
        self.ramping = False
        self._round, self._sent = now, 0
        self._steps = 0
