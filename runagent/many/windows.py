"""The pace that a server's rate-limit headers allow, from one answer to the next. No I/O."""

from __future__ import annotations

import math

from runagent.many.quota import Quota

LONG_WINDOW = 5.0
"""Seconds: in a shorter window, times in whole seconds are too coarse to wait for."""

PLENTY = 0.5
"""The part of a limit that always remains if the window is shorter than it seemed."""

USED = 0.45
"""The part of a limit that remains at most once enough was used to tell how long a window is."""

MARGIN = 0.2
"""Seconds: the rest of a window is shared out over at least as long."""

USUAL = (0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 86_400)
"""Seconds of the windows that servers have."""

NEAR = 0.15
"""The part by which the longest time to a reset that was seen may be shorter than a window."""


class Windows:
    """Follows the limit that a server states.

    The length of a window is stated, or else it is the longest time to a reset that was seen in
    one whole window. The reset of a bucket is the time until it is full, which is as good: when the
    bucket is empty, it is the time in which its limit flows in.

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
        self._stated = False
        self._longest = 0.0
        self._most = math.inf
        self._since = math.inf
        self._least = self._soonest = math.inf
        self._answers = 0
        self._shrunk = self._sure = False

    def answered(self, quota: Quota, now: float, under_way: int) -> None:
        """Take note of the headers of an answer, behind which requests are still under way."""
        if quota.limit is not None and quota.limit != self.limit:
            self.__init__()  # type: ignore[misc] # everything else belongs to the old limit
            self.limit = quota.limit
        if quota.reset_after is not None:
            self.ends = now + _unrounded(quota.reset_after)
        self._answers += 1
        if quota.remaining is not None:
            self.room = quota.remaining - under_way
            self._least = min(self._least, quota.remaining)
        if quota.window is not None:
            self.window, self._stated = quota.window, True
        elif quota.reset_after is not None and self.limit and not self._stated:
            self._find_window(self.limit, quota.reset_after, now)

    def _find_window(self, limit: float, reset_after: float, now: float) -> None:
        reset_after = min(reset_after, self._most)
        self._soonest = min(self._soonest, reset_after)
        if reset_after > self._longest * (1 + NEAR):
            self._since, self._least, self._soonest = now, limit, reset_after
            if self.window is not None:
                self.window = _usual(reset_after)
        self._longest = max(self._longest, reset_after)
        if now - self._since < 1.2 * self._longest:
            return
        if self.window is None:
            if self._least <= max(1.0, USED * limit):
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
        if not self.limit:
            return math.inf
        rest = math.inf
        if self.room is not None and self.ends is not None and self.ends > now:
            rest = max(self.room, 0.5) / max(self.ends - now, MARGIN)
        if self.window is None:
            return rest  # of a window that began before the batch did
        pace = self.limit / self.window
        if self.window >= LONG_WINDOW and rest < math.inf:
            pace = max(pace, rest)  # some is left over, from a slow start or a pause
        return pace

    @property
    def is_known(self) -> bool:
        """Whether the pace of the server is known."""
        return bool(self.limit and self.window)

    def full_until(self, now: float) -> float:
        """Return when requests are welcome again in a window that is used up, `now` at once."""
        if self.window is None or self.window < LONG_WINDOW:
            return now
        if self.room is None or self.room > 0 or self.ends is None:
            return now
        return max(now, self.ends)


def _unrounded(seconds: float) -> float:
    """Return a time as it probably was before it was rounded up to a whole second."""
    return seconds - 0.5 if seconds == int(seconds) and seconds < LONG_WINDOW else seconds


def _usual(seconds: float) -> float:
    """Return the length of the window whose longest time to its reset was seen."""
    return next((usual for usual in USUAL if 0 <= usual - seconds <= NEAR * usual), seconds)
