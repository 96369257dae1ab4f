"""Whether a request is sent again, and when: statuses, hints of the server, backoff."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Any

from runagent.errors import RunAgentError
from runagent.results import RateLimit, number

MAX_DELAY = 60.0
"""Seconds: the limit of exponential backoff. A server may ask for more."""

MIN_HINT = 0.1
"""Seconds: a server that asks for a shorter wait leaves its length to the client's backoff."""

MAX_HINT = 31 * 86_400.0
"""Seconds: the longest wait a server may ask for. The quotas of a month end within it; anything
longer is a time in another unit."""

CLOCKS_AGREE = 2.0
"""Seconds: the most by which a server's `Date`, in whole seconds, differs from a right clock."""

RETRYABLE_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
"""Statuses after which the same request may succeed, and may be sent again.

- Nobody ran the agent: 408 (the request came too slowly), 425 (too early), 429 and 529 (too much
  to do), 503, and of a proxy 521 to 523 (it reached no server).
- 409: the server will not run the agent as things stand. One that honours the idempotency key says
  so while an earlier attempt of the same call is still under way.
- 500, 502, 504, and of a proxy 520 and 524: the agent may have run, with its response lost. All
  attempts carry the same idempotency key, by which a server can tell that they are one call.

A timeout of this client is no such response: nobody has given up on the request, so the agent may
be at work, and a second request would make it work twice.
"""


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
        self,
        error: RunAgentError,
        attempts: int,
        remaining: float,
        *,
        undelivered: bool,
        wanted: bool | None = None,
    ) -> float | None:
        """Return the seconds to wait before the next attempt, `None` if there must be none.

        The wait is the one the server asked for, or else random between zero and a ceiling that
        grows exponentially ("full jitter"), so that many clients do not come back together.

        Args:
            error: The error that ended the last attempt.
            attempts: Attempts made so far.
            remaining: Seconds the call has left.
            undelivered: Whether the server certainly did not read the last attempt's request.
            wanted: Whether the server says that the request is to be sent again, `None` if it
                leaves that to the client.
        """
        again = may_repeat(error, undelivered=undelivered, wanted=wanted)
        if attempts > self.max_retries or not again:
            return None
        delay = error.retry_after
        if delay is None or delay < MIN_HINT:
            try:
                ceiling = min(MAX_DELAY, self.delay * self.backoff ** (attempts - 1))
            except OverflowError:
                ceiling = MAX_DELAY
            jittered = random.uniform(0, ceiling)  # noqa: S311 - jitter, not a secret
            delay = max(delay or 0.0, jittered)
        return delay if delay < remaining else None


def may_repeat(error: RunAgentError, *, undelivered: bool, wanted: bool | None) -> bool:
    """Whether the same request may be sent again; the arguments are those of `next_delay`."""
    return undelivered or is_retryable(error) if wanted is None else wanted


def is_retryable(error: RunAgentError) -> bool:
    """Whether the server's response allows that the same request is sent again."""
    # An agent that ran and raised would do so again.
    return error.status_code in RETRYABLE_STATUS and error.code != "AGENT_ERROR"


def wanted(status: int, headers: Mapping[str, str]) -> bool | None:
    """Return whether a server says that a request it refused is to be sent again.

    `X-Should-Retry` says so, which some servers of models and the proxies before them send. It
    counts more than the status, as the server knows whether the agent ran.

    Args:
        status: The status of the response. A redirect is never followed, so it is final.
        headers: The headers of the response, with names in lower case.

    Returns:
        The server's word, `None` if it says nothing.
    """
    if status < 400:  # noqa: PLR2004
        return None
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def retry_after(
    headers: Mapping[str, str], problem: Mapping[str, Any], *, limited: bool
) -> float | None:
    """Return the seconds a server asks to wait, zero or more, `None` if it does not say.

    `Retry-After-Ms` counts first (milliseconds), then `Retry-After` (seconds or a date), then the
    body's `retry_after`, then, where a rate limit was met, `X-RateLimit-Reset-After` and
    `X-RateLimit-Reset`. A hint that makes no sense is passed over: a time that is over, a negative
    number, and more than `MAX_HINT`, as a time in milliseconds would be.

    Args:
        headers: The headers of the response, with names in lower case.
        problem: The error in the body of the response.
        limited: Whether the response says that a rate limit was met.
    """
    return next(
        (found for found in map(sensible, _hints(headers, problem, limited)) if found is not None),
        None,
    )


def sensible(seconds: float | None) -> float | None:
    """Return the seconds a server asks to wait if they make sense, `None` if not."""
    return seconds if seconds is not None and 0 <= seconds <= MAX_HINT else None


def _hints(
    headers: Mapping[str, str], problem: Mapping[str, Any], limited: bool
) -> Iterator[float | None]:
    milliseconds = number(headers.get("retry-after-ms"))
    yield None if milliseconds is None else milliseconds / 1000
    header = headers.get("retry-after")
    yield number(header)
    yield _seconds_until(header, headers)
    yield number(problem.get("retry_after"))
    details = problem.get("details")
    if isinstance(details, dict):
        yield number(details.get("retry_after"))
    if limited:
        limit = RateLimit.from_headers(headers)
        yield limit.reset_after
        yield None if limit.reset is None else limit.reset - server_time(headers)


def server_time(headers: Mapping[str, str], wall_clock: Callable[[], float] = time.time) -> float:
    """Return the time of the server that sent these headers, in seconds since the Unix epoch.

    It is this machine's time, unless the server's `Date` says that one of the two clocks is wrong:
    then a time that the server names is to be compared with its own clock.

    Args:
        headers: The headers of the response, with names in lower case.
        wall_clock: Returns this machine's time.
    """
    now, date = wall_clock(), _moment(headers.get("date"))
    return now if date is None or abs(now - date) <= CLOCKS_AGREE else date


def _seconds_until(date: str | None, headers: Mapping[str, str]) -> float | None:
    moment = _moment(date)
    return None if moment is None else moment - server_time(headers)


def _moment(date: str | None) -> float | None:
    try:
        moment = parsedate_to_datetime(date or "")
        if moment.tzinfo is None:  # HTTP's dates are in UTC, also where they do not say so
            moment = moment.replace(tzinfo=timezone.utc)
        return moment.timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
