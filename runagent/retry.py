"""Whether a request is sent again, and when: statuses, hints of the server, backoff."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from runagent.errors import RunAgentError
from runagent.results import RateLimit, number

MAX_DELAY = 60.0
"""Seconds: the limit of exponential backoff. A server may ask for more."""

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

    def next_delay(
        self, error: RunAgentError, attempts: int, remaining: float, *, undelivered: bool
    ) -> float | None:
        """Return the seconds to wait before the next attempt, `None` if there must be none.

        The wait is the one the server asked for, or else random between zero and a ceiling that
        grows exponentially ("full jitter"), so that many clients do not come back together.

        Args:
            error: The error that ended the last attempt.
            attempts: Attempts made so far.
            remaining: Seconds the call has left.
            undelivered: Whether the server certainly did not read the last attempt's request.
        """
        if attempts > self.max_retries or not (undelivered or is_retryable(error)):
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


def is_retryable(error: RunAgentError) -> bool:
    """Whether the server's answer allows that the same request is sent again."""
    # An agent that ran and raised would do so again.
    return error.status_code in RETRYABLE_STATUS and error.code != "AGENT_ERROR"


def retry_after(
    headers: Mapping[str, str], problem: Mapping[str, Any], *, limited: bool
) -> float | None:
    """Return the seconds a server asks to wait, zero or more, `None` if it does not say.

    `Retry-After` counts first (seconds or a date), then the body's `retry_after`, then, where a
    rate limit was met, `X-RateLimit-Reset-After` and `X-RateLimit-Reset`.

    Args:
        headers: The headers of the answer, with names in lower case.
        problem: The error in the body of the answer.
        limited: Whether the answer says that a rate limit was met.
    """
    header = headers.get("retry-after")
    details = problem.get("details")
    candidates = [number(header), _seconds_until(header), number(problem.get("retry_after"))]
    if isinstance(details, dict):
        candidates.append(number(details.get("retry_after")))
    if limited:
        limit = RateLimit.from_headers(headers)
        candidates.append(limit.reset_after)
        candidates.append(None if limit.reset is None else limit.reset - time.time())
    return next((max(0.0, seconds) for seconds in candidates if seconds is not None), None)


def _seconds_until(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date or "").timestamp() - time.time()
    except (TypeError, ValueError, OverflowError):
        return None
