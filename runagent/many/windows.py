"""The pace that a server's rate-limit headers allow, from one answer to the next. No I/O."""

from __future__ import annotations

import math

from runagent.many.quota import Quota

LONG_WINDOW = 5.0
"""Seconds: in a shorter window, times in whole seconds are too coarse to wait for."""

QUOTA = 600.0
"""Seconds: a limit for a longer time is no pace. It may be used up at once, and then has an end."""

SHORTEST = 1.0
"""Seconds: a window whose length is not known yet is probably not shorter."""

PLENTY = 0.5
"""The part of a limit that always remains if the window is shorter than it seemed."""

USED = 0.45
"""The part of a limit that remains at most once enough was used to tell how long a window is."""

MARGIN = 0.2
"""Seconds: the rest of a window is shared out over at least as long."""

USUAL = (0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 86_400)
"""Seconds of the windows that servers have."""

EVEN = 1.05
"""The factor by which two measurements of the rate of a bucket may differ."""

ENOUGH = 8
"""Answers from which on the rate of a bucket may be known."""

CLOSE = 1.2
"""The factor between the bounds of the rate of a bucket from which on it is known."""

SPREAD = 2.0
"""Seconds over which what is left in a bucket is spread."""

NEAR = 0.15
"""The part by which the longest time to a reset that was seen may be shorter than a window."""


class Windows:
    """Follows the limit that a server states.

    The length of a window is stated, or else it is the longest time to a reset that was seen in
    one whole window. The reset of a bucket is the time until it is full. So it is a bucket if what
    was used, by the time to the reset, is always the same: the rate at which it is filled.

    Attributes:
        limit: Requests in a window or a bucket, `None` if not known.
        window: Seconds of a window, `None` if not known.
        room: Requests that the server will take, `None` if it does not say.
        ends: When the window ends, `None` if the server does not say.
    """

    def __init__(self) -> None:
        """Start with nothing known."""
        self.limit: float | None = None
        self.window: float | None = None
        self.room: float | None = None
        self.ends: float | None = None
        self._lag = 0.0
        self._slowest, self._fastest, self._measured = 0.0, math.inf, 0
        self._stated = False
        self._longest = 0.0
        self._most = math.inf
        self._since = math.inf
        self._least = self._soonest = math.inf
        self._answers = 0
        self._shrunk = self._sure = False

    def _begin(self, limit: float) -> None:
        """Begin anew with another limit, at first with the length of the windows before."""
        before, window, longest = self.limit, self.window, self._longest
        is_bucket = self.is_bucket
        self.__init__()  # type: ignore[misc] # everything else belongs to the old limit
        self.limit = limit
        if before and window:
            self.window = window * limit / before if is_bucket else window
            self._longest = longest

    def answered(self, quota: Quota, now: float, under_way: int, took: float) -> None:
        """Take note of the headers of an answer.

        Args:
            quota: The limit as the headers state it.
            now: The time.
            under_way: Requests that are still under way.
            took: Seconds that the answer took.
        """
        if quota.limit is not None and quota.limit != self.limit:
            self._begin(quota.limit)
        if quota.reset_after is not None:
            self.ends = now + _unrounded(quota.reset_after)
            self._lag = 0.0 if quota.reset_after == int(quota.reset_after) else took
        self._answers += 1
        if quota.remaining is not None:
            left = math.inf if quota.reset_after is None else _unrounded(quota.reset_after)
            # Of those that are longer under way than the window lasts, the later ones reach the
            # server in the next window.
            self.room = quota.remaining - under_way * (1.0 if took <= left else left / took)
            self._least = min(self._least, quota.remaining)
        if quota.remaining is not None and quota.reset_after is not None and self.limit:
            used = self.limit - quota.remaining
            if used >= 1:
                self._find_bucket(self.limit, used, quota.reset_after)
        if quota.window is not None:
            self.window, self._stated = quota.window, True
        elif quota.reset_after is not None and self.limit and not (self._stated or self.is_bucket):
            self._find_window(self.limit, quota.reset_after, now)

    def _find_bucket(self, limit: float, used: float, reset_after: float) -> None:
        """Narrow the bounds of the rate that a bucket would have; what is left is rounded down."""
        was_bucket = self.is_bucket
        self._measured += 1
        self._slowest = max(self._slowest, (used - 1) / reset_after)
        least = reset_after - 1 if reset_after == int(reset_after) else reset_after
        if least > 0:
            self._fastest = min(self._fastest, used / least)
        if was_bucket and not self.is_bucket and not self._stated:
            self.window = None  # it only seemed to be one, or it is filled at another rate now
            self._slowest, self._fastest, self._measured = 0.0, math.inf, 0
        elif self.is_bucket:
            self.window = 2 * limit / (self._slowest + self._fastest)

    @property
    def _may_be_bucket(self) -> bool:
        return self._slowest <= EVEN * self._fastest

    @property
    def is_bucket(self) -> bool:
        """Whether the limit is that of a bucket whose rate is known."""
        return (
            not self._stated
            and self._may_be_bucket
            and self._fastest <= CLOSE * self._slowest
            and self._measured >= ENOUGH
        )

    def _find_window(self, limit: float, reset_after: float, now: float) -> None:
        reset_after = min(reset_after, self._most)
        self._soonest = min(self._soonest, reset_after)
        if reset_after > self._longest * (1 + NEAR):
            self._since, self._least, self._soonest = now, limit, reset_after
            if self.window is not None:
                self.window = _usual(reset_after)
        self._longest = max(self._longest, reset_after)
        if self.window is not None and self._lag:
            self.window = max(self.window, _usual(self._longest))
        if now - self._since < 1.2 * self._longest + self._lag:
            return
        if self.window is None:
            # Whole seconds tell nothing about a shorter window. That it is one shows below.
            is_sure = not self._lag or not self._may_be_bucket
            if is_sure or self._least <= max(1.0, USED * limit):
                self.window = _usual(self._longest)
        elif (
            self._least > PLENTY * limit
            and self._soonest > PLENTY * self._longest
            and self._answers > limit
            and not self._sure
        ):
            # Whole seconds, or a clock that differs, made it look longer than it is.
            self.window = self._longest = self._most = max(self.window / 2, USUAL[0])
            self._shrunk = True
        self._since, self._least, self._soonest = now, limit, reset_after
        self._answers = 0

    def refused(self) -> None:
        """Take note of a refusal, which shows that the window is not shorter than it seemed."""
        if self.window is None or self._sure:
            return
        self._sure = True
        if self._shrunk:
            self.window = self._longest = self._most = 2 * self.window

    def pace(self, now: float) -> float:
        """Return the requests per second that are allowed on end, `math.inf` if not known."""
        if not self.limit or self._is_quota(now):
            return math.inf
        if self.is_bucket and self.window:
            return self.limit / self.window + max(self.room or 0.0, 0.0) / SPREAD
        rest = math.inf
        # A request that is sent now reaches the server a whole way there and back later than the
        # one whose answer stated the rest, perhaps in the next window.
        lag = 0.0 if self._may_be_bucket else self._lag
        if self.room is not None and self.ends is not None and self.ends - lag > now:
            rest = max(self.room, 0.5) / max(self.ends - lag - now, MARGIN)
        if self.window is None:
            return rest  # of a window that began before the batch did
        pace = self.limit / self.window
        if self.window >= LONG_WINDOW and rest < math.inf:
            pace = max(pace, rest)  # some is left over, from a slow start or a pause
        return pace

    def _is_quota(self, now: float) -> bool:
        """Return whether the limit is for a time so long that it is no pace."""
        if self.window is not None:
            return self.window > QUOTA
        return self.ends is not None and self.ends - now > QUOTA

    def plausible(self, now: float) -> float:
        """Return the pace that is plausible while the length of the window is not known."""
        if not self.limit or not self._lag or self._is_quota(now):
            return 0.0
        return self.limit / SHORTEST

    @property
    def is_known(self) -> bool:
        """Whether the pace of the server is known."""
        return bool(self.limit and self.window and self.window <= QUOTA)

    def full_until(self, now: float) -> float:
        """Return when requests are welcome again in a window that is used up, `now` at once."""
        if self.room is None or self.room > 0 or self.ends is None or self.is_bucket:
            return now
        if self.window is None:
            is_long = self._is_quota(now) and not self._may_be_bucket
        else:
            is_long = self.window >= LONG_WINDOW
        return max(now, self.ends) if is_long else now


def _unrounded(seconds: float) -> float:
    """Return a time as it probably was before it was rounded up to a whole second."""
    return seconds - 0.5 if seconds == int(seconds) and seconds < LONG_WINDOW else seconds


def _usual(seconds: float) -> float:
    """Return the length of the window whose longest time to its reset was seen."""
    return next((usual for usual in USUAL if 0 <= usual - seconds <= NEAR * usual), seconds)
