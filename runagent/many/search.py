"""The search for the pace that a server sustains, from its refusals alone. No I/O."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from runagent.many.tally import Tally

FIRST_PACE = 20.0
"""Requests per second at the start, if an answer takes 0.05 s or longer; up to 100 otherwise."""

FIRST_REQUESTS = 8
"""Requests that may be under way before the first answer."""

HEADROOM = 0.98
"""The part of a measured pace that is used, because the times of arrival vary."""

HOLD = 15.0
"""Seconds after a refusal before a faster pace is tried, at least."""

LONGEST_HOLD = 120.0
"""Seconds after a refusal before a faster pace is tried, at most."""

WORTH = 90
"""Seconds before a faster pace is tried, for each second that the last refusal has lost."""

STEP = 0.02
"""The growth of the pace in one step, when a faster one is tried."""

STEPS = 8
"""Steps of the same size. Each one after them is a fifth larger than the one before."""

LARGEST_STEP = 0.1
"""The growth of the pace in one step, at most."""

APPROACH = 0.3
"""The part of the way to the pace that a measurement allows which is gone in one step."""

FIRST_CAUTION = 0.62
"""The part of the first measurement that is used: it may include a burst that was saved up."""

SOON = 2.0
"""Seconds within which a second refusal shows that the pace is still too fast."""

CAUTION = 0.8
"""The factor of the pace after such a refusal."""

COSTLY = 0.5
"""Seconds lost by a refusal from which a slow approach to the limit is better than another one."""

AFTERMATH = 1.0
"""Seconds in which the requests from before a refusal may still use up the limit."""

FEW = 8
"""Accepted requests from which a pace cannot be measured."""

MEMORY = 10.0
"""Seconds after which a measurement begins anew, if it has `ENOUGH` requests."""

ENOUGH = 50
"""Accepted requests that make a good measurement."""

SLOWEST = 1 / 3600
"""Requests per second: the pace never falls below one request in an hour."""

BUSY = 0.8
"""The part of the pace that must have been used for it to grow."""


@dataclass(frozen=True, order=True)
class _Measurement:
    pace: float
    highest: float
    number: int


class Search:
    """Finds a pace: it grows fast until the first refusal, and rarely afterwards.

    The pace after a refusal is the one that the server was seen to sustain: the requests that it
    accepted from one opening of its limit to the next, by the time between them. That is right for
    windows of any length and for buckets. It does not grow while something else is the limit.

    Attributes:
        pace: Requests per second.
        ramping: Whether there was no refusal yet.
    """

    def __init__(self, now: float, pace: float | None) -> None:
        """Start with a pace that is known, or with `None` to find it."""
        self.pace = FIRST_PACE if pace is None else pace
        self.ramping = pace is None
        self._latency = 0.1
        self._tally = Tally(now)
        self._history = Tally(now)
        self._long_opened = now
        self._measured_since = now
        self._rounds = deque([now], maxlen=200)
        self._round = now
        self._sent = 0
        self._allowed = math.inf
        self._hold_until = now + HOLD
        self._steps = 0
        self._met = -math.inf
        self._opened = self._resumed = now
        self._cycle = self._lost = 0.0
        self._is_repeated = False

    def stop(self) -> None:
        """End the search, as the server states its limit."""
        self.ramping = False
        self.pace = math.inf

    def sent(self) -> None:
        """Take note of a request."""
        self._sent += 1

    def first_answer(self, latency: float) -> None:
        """Take note of the seconds that the first answer took."""
        if self.ramping:
            latency = max(latency, 0.001)
            first = max(FIRST_PACE, min(1 / latency, 5 * FIRST_PACE))
            self.pace = min(first, FIRST_REQUESTS / latency)

    def _growth(self) -> tuple[float, float]:
        """Return the factor of the pace in a round at the start, and the seconds of a round.

        Requests are wasted in proportion to the growth while an answer is under way, so a server
        that answers fast is tried faster.
        """
        latency = self._latency
        constant = min(max(0.07, 7 * latency), 0.5 + 3 * latency)
        if self.pace < 5 * FIRST_PACE:
            constant *= 1.4
        length = max(0.1 if latency > 0.02 else 0.05, latency)  # noqa: PLR2004
        return math.exp(min(length / constant, 0.7)), length

    def accepted(self, sent: float, now: float, latency: float) -> None:
        """Take note of a request that was accepted, sent at that time."""
        self._latency = latency
        self._tally.add(sent)
        self._history.add(sent)
        if sent < self._round:
            return
        factor, length = self._growth()
        if not self.ramping:
            length = max(1.0, latency, self._cycle / 8)
        if now - self._round < length:
            return
        is_busy = self._sent >= BUSY * self.pace * (now - self._round) - 1
        self._round, self._sent = now, 0
        if not is_busy:
            return
        if self.ramping:
            self.pace *= factor
            self._rounds.append(now)
        elif self.pace < self._allowed:
            step = max(1.5 * STEP * self.pace, APPROACH * (self._allowed - self.pace))
            if self._lost >= COSTLY:
                step = min(step, LARGEST_STEP * self.pace)
            self.pace = min(self._allowed, self.pace + step)
            if self.pace == self._allowed:
                self._hold_until = max(self._hold_until, now + HOLD)
        elif now >= self._hold_until:
            self._allowed = 0.0
            self.pace *= 1 + min(STEP * 1.2 ** max(0, self._steps - STEPS), LARGEST_STEP)
            self._steps += 1

    def refused(self) -> None:
        """Take note that the limit was met."""
        if self.ramping:
            self.pace *= FIRST_CAUTION / self._growth()[0]

    def settle(
        self, met: float, low: float, high: float, now: float, shut: float, cost: float
    ) -> None:
        """Set the pace after the limit was met, now that requests are accepted again.

        Args:
            met: When the first request that was refused had been sent.
            low: The earliest time at which the limit may have opened again.
            high: The latest.
            now: The time.
            shut: Seconds that the limit was probably met.
            cost: Seconds in which nothing was sent because of it. Those count that came after
                the opening.
        """
        if low <= self._resumed and not self.ramping:
            return  # these requests were sent before the pace was lowered
        found = self._measure(met, low, high, shut)
        opened = (low + high) / 2
        lost = min(cost, now - opened)
        if shut > 1:
            self._cycle = opened - self._opened  # windows that are long
            self._long_opened = opened
        self._opened = opened
        pace, highest = self._lowered(found, met, low, lost)
        self._is_repeated = not self.ramping and low - self._resumed < AFTERMATH
        self._met = met
        self.pace = max(SLOWEST, min(self.pace, pace))
        self._allowed = max(self.pace, min(HEADROOM * highest, 2.5 * self.pace))
        span = opened - self._measured_since
        if self.ramping or (span > MEMORY and found.number >= ENOUGH):
            # A hint in whole seconds leaves open when that was, and too slow a pace costs more
            # than one that is too fast.
            self._measured_since = max(opened, now - self._latency) if lost >= 1 else opened
            self._tally.forget(self._measured_since)
            span = 0.0
        # A pace from the start is a guess, which is worth the price of another refusal.
        hold = max(HOLD, span, 2 * self._cycle, 0.0 if self.ramping else WORTH * lost)
        self._hold_until = now + min(hold, LONGEST_HOLD)
        self.ramping = False
        self._round, self._sent, self._steps = now, 0, 0
        self._resumed, self._lost = now, lost

    def _lowered(
        self, found: _Measurement, met: float, low: float, lost: float
    ) -> tuple[float, float]:
        """Return the pace after a refusal, and the pace to which it may grow at once."""
        measured, highest = found.pace, found.highest
        if found.number < FEW:
            # A few requests say little.
            measured = max(measured * (1 + 1 / max(found.number, 1)), 0.4 * self.pace)
            highest = max(highest, measured)
        pace = HEADROOM * measured
        if self.ramping:
            return FIRST_CAUTION * pace, highest
        if lost >= COSTLY:
            if met - self._resumed < SOON:
                # Going down step by step would cost too much: go below the limit, then approach it.
                return CAUTION * self.pace, 0.95 * self.pace
        elif low - self._resumed < AFTERMATH and not self._is_repeated:
            return 0.9 * self.pace, self._allowed
        if met - self._met < SOON:
            pace = min(pace, max(CAUTION * self.pace, 0.85 * pace))
        return pace, min(highest, self.pace)

    def _measure(self, met: float, low: float, high: float, shut: float) -> _Measurement:
        """Measure the pace that was sustained, in the best of several spans."""
        if self.ramping:  # most of the time it was slower than the server allows
            begins = [r for r in self._rounds if high - r >= max(2 * shut, 0.5)]
            begins = begins or [self._rounds[0]]
            return max(self._between_openings(self._tally, begin, low, high) for begin in begins)
        found = self._between_openings(self._tally, self._measured_since, low, high)
        if shut > 1:  # another limit, for longer, may have been refusing requests in between
            found = max(found, self._between_openings(self._history, self._long_opened, low, high))
        # Where windows are short, the last requests before the refusal are a measure as well, and
        # a better one if the pace was lower before.
        recent = max(self._resumed, met - max(2.0, 4 * self._latency))
        if met - recent >= 0.5 and shut <= 0.5 + self._latency:  # noqa: PLR2004
            number = self._tally.between(recent, met)
            pace = number / (met - recent)
            found = max(found, _Measurement(pace, pace, number))
        return found

    def _between_openings(
        self, tally: Tally, begin: float, low: float, high: float
    ) -> _Measurement:
        number = tally.between(begin, high)
        span = (low + high) / 2 - begin
        if span <= 0:
            return _Measurement(0.0, 0.0, 0)
        return _Measurement(number / span, number / max(low - begin, 0.5 * span), number)
