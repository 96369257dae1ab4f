"""How long to rest after painting, so that painting takes a small share of the time."""

from __future__ import annotations

import time

SHARE = 0.02
"""The share of the time that painting may take."""

LONGEST_REST = 1.0
"""Seconds after which painting goes on, however much work it is."""


def rest_after(worked: float) -> float:
    """Compute the rest after a painting that has just ended.

    Args:
        worked: The thread's CPU time, as `time.thread_time` gives it, at the painting's beginning.

    Returns:
        Seconds to wait before the next painting.
    """
    return min((time.thread_time() - worked) / SHARE, LONGEST_REST)
