"""The rate limits that a server states in the headers of its answers. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

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
        name: Tells it from the other limits of the same server.
    """

    limit: float | None = None
    remaining: float | None = None
    window: float | None = None
    reset_after: float | None = None
    name: str = ""


MOST = 20
"""Items of a header that are read, and limits that are followed; no server states as many."""


@dataclass(frozen=True, slots=True)
class _Item:
    """One item of a header: its name, its numbers, and whether it is about requests."""

    name: str
    numbers: dict[str, float]
    counts_requests: bool = True

    def get(self, *names: str) -> float | None:
        return next((self.numbers[name] for name in names if name in self.numbers), None)


_NOTHING = _Item("", {})


def read(headers: Mapping[str, str], wall_clock: Callable[[], float]) -> tuple[Quota, ...]:
    """Return the limits on requests that the headers of an answer state.

    Read are `RateLimit` and `RateLimit-Policy` in the present form of the IETF's draft and in its
    earlier ones, `X-RateLimit-*`, `X-RateLimit-*-Requests` and `Anthropic-RateLimit-Requests-*`.

    Args:
        headers: The headers, with names in lower case.
        wall_clock: Returns the seconds since the Unix epoch.
    """
    if not any("limit" in name for name in headers):
        return ()
    states = list(_items(headers.get("ratelimit", "")))
    policies = list(_items(headers.get("ratelimit-policy", "")))
    if not states and (separate := _separate(headers, wall_clock)) is not None:
        states = [separate]
        if not policies:
            limits = _items(headers.get("ratelimit-limit", ""))
            policies = [limit for limit in limits if "w" in limit.numbers]
    found = _quotas(states, policies)
    return tuple(q for q in found if q.limit is not None or q.remaining is not None)


def _quotas(states: list[_Item], policies: list[_Item]) -> Iterator[Quota]:
    """Yield the limits, each from its policy and from what is left of it."""
    are_single = len(states) == len(policies) == 1
    for policy in policies:
        state = next((s for s in states if are_single or _is_of(s, policy)), _NOTHING)
        if state is not _NOTHING:
            states.remove(state)
        if policy.counts_requests:
            limit = policy.get("q", "limit") or state.get("limit")
            yield _quota(policy.name, limit, _credible(policy.get("w")), state)
    for state in states:
        if state.counts_requests:
            yield _quota(state.name, state.get("limit"), None, state)


def _is_of(state: _Item, policy: _Item) -> bool:
    if state.name:
        return state.name == policy.name
    return state.get("limit") == policy.get("q", "limit")


def _quota(name: str, limit: float | None, window: float | None, state: _Item) -> Quota:
    left, reset_after = state.get("r", "remaining"), _credible(state.get("t", "reset"))
    name = f"{name};w={window:g}" if window else name
    return Quota(_positive(limit), left, window, reset_after, name)


def _items(header: str) -> Iterator[_Item]:
    """Yield the items of a header.

    The items are `"name";q=100;w=60`, `100;w=60`, or together `limit=100, remaining=5, reset=9`.
    """
    together: dict[str, float] = {}
    for part in header.split(",", MOST)[:MOST]:
        head, *parameters = (piece.strip() for piece in part.split(";"))
        numbers = dict(_numbers(parameters))
        if "=" in head:
            together.update(dict(_numbers([head])), **numbers)
        elif head:
            count = number(head)
            units = [p.partition("=")[2].strip('"') for p in parameters if p.startswith("qu=")]
            if count is None:
                yield _Item(head.strip('"'), numbers, units in ([], ["requests"]))
            else:
                yield _Item("", {"limit": count, **numbers})
    if together:
        yield _Item("", together)


def _numbers(parameters: list[str]) -> Iterator[tuple[str, float]]:
    for parameter in parameters:
        key, _, text = parameter.partition("=")
        value = number(text.strip().strip('"'))
        if value is not None and value >= 0:
            yield key.strip().lower(), value


def _separate(headers: Mapping[str, str], wall_clock: Callable[[], float]) -> _Item | None:
    """Read the headers that state the limit, the rest and the reset each by themselves."""
    for form in _FORMS:
        limit = headers.get(form.format("limit"))
        remaining = number(headers.get(form.format("remaining")))
        if limit is None and remaining is None:
            continue
        facts = {
            "limit": number((limit or "").partition(",")[0].partition(";")[0]),
            "remaining": remaining,
            "reset": _reset_after(headers, form, wall_clock),
        }
        return _Item("", {name: fact for name, fact in facts.items() if fact is not None})
    return None


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
    """Return a date, as in HTTP or as `2026-11-25T21:00:00Z`, in seconds since the Unix epoch."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.timestamp()


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None


def _credible(seconds: float | None) -> float | None:
    return seconds if seconds is not None and 0 < seconds <= LONGEST else None
