"""The rate limits that a server states in the headers of its answers. No I/O."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from runagent.results import number
from runagent.retry import server_time

FIRST_DATE = 1e8
"""A reset of this many seconds or more is a time since the Unix epoch, not a time from now."""

LONGEST = 31 * 86_400.0
"""Seconds: a longer window, and a reset further away, are passed over."""

_FORMS = (
    "ratelimit-{}",
    "x-ratelimit-{}",
    "x-rate-limit-{}",
    "x-ratelimit-{}-requests",
    "anthropic-ratelimit-requests-{}",
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Quota:
    """A rate limit as the headers of one answer state it; `None` for each part that is missing.

    Attributes:
        limit: Requests in one window, or in a full bucket.
        remaining: Requests left.
        window: Seconds of a window.
        reset_after: Seconds until the next window begins, or until the bucket is full.
    """

    limit: float | None = None
    remaining: float | None = None
    window: float | None = None
    reset_after: float | None = None

    @property
    def pace(self) -> float:
        """Requests per second, `math.inf` if it is not stated."""
        return self.limit / self.window if self.limit and self.window else math.inf


NO_QUOTA = Quota()


def read(headers: Mapping[str, str], wall_clock: Callable[[], float]) -> Quota:
    """Return the tightest limit on requests that the headers of an answer state.

    Read are `RateLimit` and `RateLimit-Policy` in the present form of the IETF's draft and in its
    earlier ones, `X-RateLimit-*`, `X-RateLimit-*-Requests` and `Anthropic-RateLimit-Requests-*`.

    Args:
        headers: The headers, with names in lower case.
        wall_clock: Returns the seconds since the Unix epoch.
    """
    if not any("limit" in name for name in headers):
        return NO_QUOTA
    found = list(_structured(headers)) or list(_separate(headers, wall_clock))
    return min(found, key=lambda quota: quota.pace, default=NO_QUOTA)


def _structured(headers: Mapping[str, str]) -> Iterator[Quota]:
    """Read `RateLimit` and `RateLimit-Policy`."""
    states = dict(_items(headers.get("ratelimit", "")))
    policies = dict(_items(headers.get("ratelimit-policy", "")))
    if not states and "ratelimit-limit" in headers:
        return
    alone = next(iter(states.values())) if len(states) == 1 and len(policies) == 1 else {}
    for name in {**policies, **states}:
        policy, state = policies.get(name, {}), states.get(name, alone)
        quota = Quota(
            _positive(policy.get("q", policy.get("limit", state.get("limit")))),
            state.get("r", state.get("remaining")),
            _credible(policy.get("w")),
            _credible(state.get("t", state.get("reset"))),
        )
        if quota.limit is not None or quota.remaining is not None:
            yield quota


def _items(header: str) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield the name and the numbers of each item of a header.

    The items are `"name";q=100;w=60`, `100;w=60`, or together `limit=100, remaining=5, reset=9`.
    """
    together: dict[str, float] = {}
    for part in header.split(","):
        head, *parameters = (piece.strip() for piece in part.split(";"))
        numbers = dict(_numbers(parameters))
        if "=" in head:
            together.update(dict(_numbers([head])), **numbers)
        elif head:
            count = number(head)
            yield head.strip('"'), numbers if count is None else {"limit": count, **numbers}
    if together:
        yield "", together


def _numbers(parameters: list[str]) -> Iterator[tuple[str, float]]:
    for parameter in parameters:
        key, _, text = parameter.partition("=")
        value = number(text.strip().strip('"'))
        if value is not None and value >= 0:
            yield key.strip().lower(), value


def _separate(headers: Mapping[str, str], wall_clock: Callable[[], float]) -> Iterator[Quota]:
    """Read the headers that state the limit, the rest and the reset each by themselves."""
    for form in _FORMS:
        limit = headers.get(form.format("limit"))
        remaining = number(headers.get(form.format("remaining")))
        if limit is None and remaining is None:
            continue
        policies = dict(_items(headers.get("ratelimit-policy") or limit or ""))
        tightest = min(
            (
                Quota(_positive(p.get("limit", p.get("q"))), None, _credible(p.get("w")))
                for p in policies.values()
            ),
            key=lambda quota: quota.pace,
            default=NO_QUOTA,
        )
        first = number((limit or "").partition(",")[0].partition(";")[0])
        yield Quota(
            tightest.limit if tightest.window else _positive(first),
            remaining,
            tightest.window,
            _reset_after(headers, form, wall_clock),
        )
        return


def _reset_after(
    headers: Mapping[str, str], form: str, wall_clock: Callable[[], float]
) -> float | None:
    after = number(headers.get(form.format("reset-after")))
    if after is not None:
        return _credible(after)
    text = headers.get(form.format("reset"), "").strip()
    seconds = number(text)
    if seconds is None:
        seconds = _duration(text)
    if seconds is not None and seconds < FIRST_DATE:
        return _credible(seconds)
    moment = _moment(text) if seconds is None else seconds
    return None if moment is None else _credible(moment - server_time(headers, wall_clock))


def _duration(text: str) -> float | None:
    """Return the seconds of a duration such as `1m30s`, `None` if it is none."""
    parts = _DURATION.findall(text)
    if not parts or "".join(map("".join, parts)) != text:
        return None
    return sum(float(count) * _UNITS[unit] for count, unit in parts)


def _moment(text: str) -> float | None:
    """Return a date such as `2026-11-25T21:00:00Z` in seconds since the Unix epoch."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.timestamp()


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None


def _credible(seconds: float | None) -> float | None:
    return seconds if seconds is not None and 0 < seconds <= LONGEST else None
