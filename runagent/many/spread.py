"""How the rows that are due are spread over tasks of an executor. No I/O."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

FIRST_TASKS = 16
"""Tasks that may be under way before the first one has ended."""

FEWEST_TASKS = 2
"""Tasks that may be under way at the least, so that a worker need not wait for the driver."""

AT_ONCE = 0.25
"""A task has found a worker at once if it waited for less than this part of its time there."""

LONG = 0.5
"""A task has waited too long for a worker if it waited for more than this part of that time."""

SPARE = 1.1
"""The tasks that may be under way, for each of them that has a worker."""

GROWTH = 0.1
"""Further tasks for one that found a worker at once, when another one has just had to wait."""

FASTER = 1.05
"""The factor of this growth from one such task to the next, up to a growth of 1."""

STRAGGLER = 3.0
"""How many times longer than the mean of its task a row takes that holds the others up."""


class Spread:
    """Decides how many tasks may be under way, from the times of those before.

    A task costs more than a request. So only as many tasks are under way as find a worker at once,
    and the rows that are due beyond that go together, in the next tasks. Where the rows are slow
    and there are enough workers, each row has a task of its own. Where a few processes or a busy
    scheduler would keep tasks waiting, the rows share tasks instead of waiting.

    Attributes:
        limit: Tasks that may be under way.
        most_rows: Rows in a task, at most; if it is 1, as many tasks as rows may be under way.
    """

    def __init__(self, most_rows: int) -> None:
        """Start with a few tasks."""
        self.most_rows = most_rows
        self.limit = float(FIRST_TASKS)
        self._growth = 1.0
        self._lowered = -math.inf

    def rows(self, due: int, under_way: Collection[int]) -> int:
        """Return how many of the rows that are due go together in the next task, 0 for none yet.

        Args:
            due: The rows that are due.
            under_way: The tasks under way, each as the number of its rows.
        """
        if self.most_rows == 1:
            return min(due, 1)
        free = int(self.limit) - len(under_way)
        if free <= 0:
            return 0
        fair = math.ceil((due + sum(under_way)) / int(self.limit))
        return min(math.ceil(due / free), fair, self.most_rows)

    def ended(self, submitted: float, now: float, under_way: int, times: Sequence[float]) -> None:
        """Take note of a task that a worker has carried out.

        Args:
            submitted: When it was submitted.
            now: The time, on the same clock.
            under_way: The tasks that were under way then, this one among them.
            times: The seconds that each of its rows took in the worker.
        """
        longest, mean = max(times), sum(times) / len(times)
        total = max(now - submitted, longest)
        outside, inside = total - longest, longest - mean  # the waits, for a worker and for others
        if outside < inside and longest > STRAGGLER * mean:
            self.limit += 1
        elif outside < AT_ONCE * longest:
            if len(times) > 1:  # otherwise there is no need for more tasks
                self.limit += self._growth
                self._growth = min(FASTER * self._growth, 1.0)
        elif outside > max(LONG * longest, inside) and submitted >= self._lowered:
            # The others under way were before it in the queue, so this many of them had a worker.
            served = under_way * longest / total
            if SPARE * served < self.limit:
                self.limit = max(FEWEST_TASKS, SPARE * served)
                self._growth, self._lowered = GROWTH, now
