"""All limits that a server states at once, such as one for each second and one for each day."""

from __future__ import annotations

import math
from collections.abc import Iterable

from runagent.many.quota import MOST, Quota
from runagent.many.windows import Windows

FORGOTTEN = 10.0
"""Seconds after which a limit no longer holds that the answers do not state any more."""


class Limits:
    """Follows the limits that a server states. The lowest pace of them is the one to keep to."""

    def __init__(self) -> None:
        """Start with none."""
        self._windows: dict[str, Windows] = {}
        self._stated: dict[str, float] = {}

    def answered(self, quotas: Iterable[Quota], now: float, under_way: int, took: float) -> None:
        """Take note of the headers of an answer, as `Windows` does for each of the limits."""
        for quota in quotas:
            self._windows.setdefault(quota.name, Windows()).answered(quota, now, under_way, took)
            self._stated.pop(quota.name, None)
            self._stated[quota.name] = now  # the last one is behind all others
        old = [name for name, then in self._stated.items() if now - then > FORGOTTEN]
        for name in {*old, *list(self._stated)[:-MOST]}:
            del self._windows[name], self._stated[name]

    def sent(self) -> None:
        """Take note of a request, which uses some of all limits."""
        for windows in self._windows.values():
            if windows.room is not None:
                windows.room -= 1

    def refused(self) -> None:
        """Take note of a refusal."""
        for windows in self._windows.values():
            windows.refused()

    def pace(self, now: float) -> float:
        """Return the requests per second that are allowed on end, `math.inf` if not known."""
        # Most servers state none, and a batch asks several times for each row.
        if not self._windows:
            return math.inf
        return min(each.pace(now) for each in self._windows.values())

    def plausible(self, now: float) -> float:
        """Return the pace that is plausible while it is not known."""
        if not self._windows:
            return 0.0
        return min(each.plausible(now) for each in self._windows.values())

    @property
    def is_known(self) -> bool:
        """Whether the pace of the server is known."""
        return any(each.is_known for each in self._windows.values())

    def full_until(self, now: float) -> float:
        """Return when requests are welcome again after a limit is used up, `now` at once."""
        if not self._windows:
            return now
        return max(each.full_until(now) for each in self._windows.values())
