"""When to try again, and how long to wait."""

from __future__ import annotations

import random
from dataclasses import dataclass

from runagent.errors import RunAgentError

MAX_DELAY = 60.0
"""Seconds: what exponential backoff grows to. A server may ask for more."""

RETRYABLE_STATUS = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often a request is sent again, and after how long.

    Attributes:
        max_retries: Attempts after the first.
        delay: Seconds before the first retry, at most.
        backoff: Factor from one retry's delay to the next.
    """

    max_retries: int
    delay: float
    backoff: float

    def next_delay(self, error: RunAgentError, attempts: int, remaining: float) -> float | None:
        """Return the seconds to wait before the next attempt, `None` if there must be none.

        The wait is what the server asked for, or else random between zero and a ceiling that
        grows exponentially ("full jitter"), so that many clients do not come back together.

        Args:
            error: What the last attempt ended with; it was safe to retry.
            attempts: Attempts made so far.
            remaining: Seconds the call has left.
        """
        if attempts > self.max_retries:
            return None
        if error.retry_after is not None:
            delay = error.retry_after
        else:
            try:
                ceiling = min(MAX_DELAY, self.delay * self.backoff ** (attempts - 1))
            except OverflowError:
                ceiling = MAX_DELAY
            delay = random.uniform(0, ceiling)  # noqa: S311 - jitter, not a secret
        return delay if delay < remaining else None
