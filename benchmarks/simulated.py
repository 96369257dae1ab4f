"""Servers with rate limits in virtual time, and a batch that meets them: no I/O, no real clock."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from runagent.many.pace import Pace, Ticket
from runagent.many.pace import Verdict as Word
from runagent.many.quota import Quota


@dataclass
class Verdict:
    accepted: bool
    quotas: tuple[Quota, ...] = ()
    retry_after: float | None = None


class Limit(Protocol):
    def ask(self, now: float) -> Verdict: ...
    def done(self) -> None: ...


class Sender(Protocol):
    """Decides when requests are sent, as `Pace` does."""

    def wait(self, now: float) -> float: ...
    def sent(self, now: float) -> Ticket: ...
    def answered(
        self,
        ticket: Ticket,
        now: float,
        verdict: Word,
        quotas: tuple[Quota, ...] = (),
        retry_after: float | None = None,
    ) -> None: ...


Style = str
"""How a limit speaks: "" not at all, "policy" as the IETF's headers do, "x" as X-RateLimit-* with
a reset in fractions of a second, "whole" in whole seconds; "retry" and "retry whole" only by
Retry-After."""


def _said(
    style: Style, limit: float, remaining: float, window: float, left: float
) -> tuple[Quota, ...]:
    if style == "policy":
        return (Quota(limit, remaining, window, left, f";w={window:g}"),)
    if style == "x":
        return (Quota(limit, remaining, None, left),)
    if style == "whole":
        return (Quota(limit, remaining, None, math.ceil(left)),)
    return ()


def _hint(style: Style, left: float) -> float | None:
    if style in ("retry whole", "whole"):
        return math.ceil(left)
    return left if style == "retry" else None


@dataclass
class FixedWindow:
    """So many requests in each window; the first window began `phase` windows ago."""

    limit: int
    window: float
    phase: float = 0.37
    style: Style = ""
    _current: int = -1
    _used: int = 0

    def ask(self, now: float) -> Verdict:
        current = math.floor(now / self.window + self.phase)
        if current != self._current:
            self._current, self._used = current, 0
        accepted = self._used < self.limit
        self._used += accepted
        left = (current + 1 - self.phase) * self.window - now
        said = _said(self.style, self.limit, self.limit - self._used, self.window, left)
        return Verdict(accepted, said, None if accepted else _hint(self.style, left))

    def done(self) -> None:
        pass


@dataclass
class Bucket:
    """A bucket of tokens that is refilled at a rate."""

    rate: float
    size: float
    style: Style = ""
    _tokens: float = math.inf
    _then: float = 0.0

    def ask(self, now: float) -> Verdict:
        self._tokens = min(self.size, self._tokens + (now - self._then) * self.rate)
        self._then = now
        accepted = self._tokens >= 1
        self._tokens -= accepted
        full = (self.size - self._tokens) / self.rate
        limit, window = (self.rate, 1.0) if self.style == "policy" else (self.size, 1.0)
        said = _said(self.style, limit, math.floor(self._tokens), window, full)
        hint = _hint(self.style, (1 - self._tokens) / self.rate)
        return Verdict(accepted, said, None if accepted else hint)

    def done(self) -> None:
        pass


@dataclass
class SlidingWindow:
    """So many requests in any stretch of time of this length."""

    limit: int
    window: float
    _taken: deque[float] = field(default_factory=deque)

    def ask(self, now: float) -> Verdict:
        while self._taken and self._taken[0] <= now - self.window:
            self._taken.popleft()
        accepted = len(self._taken) < self.limit
        if accepted:
            self._taken.append(now)
        return Verdict(accepted)

    def done(self) -> None:
        pass


@dataclass
class Concurrency:
    """So many requests at the same time."""

    limit: int
    _under_way: int = 0

    def ask(self, now: float) -> Verdict:  # noqa: ARG002 - as the others
        accepted = self._under_way < self.limit
        self._under_way += accepted
        return Verdict(accepted)

    def done(self) -> None:
        self._under_way -= 1


@dataclass
class Changing:
    """One limit up to a time, and another from then on."""

    first: Limit
    second: Limit
    at: float

    def ask(self, now: float) -> Verdict:
        return (self.first if now < self.at else self.second).ask(now)

    def done(self) -> None:
        pass


@dataclass
class Both:
    """Two limits at once, such as one for each second and one for each minute.

    The second does not count a request that the first has refused.
    """

    first: Limit
    second: Limit

    def ask(self, now: float) -> Verdict:
        verdict = self.first.ask(now)
        if not verdict.accepted:
            return verdict
        second = self.second.ask(now)
        # Only headers with names can state two limits.
        named = tuple(quota for quota in verdict.quotas if quota.name)
        return replace(second, quotas=named + second.quotas)

    def done(self) -> None:
        pass


@dataclass
class Outcome:
    """How a batch went.

    Attributes:
        ended: When the last answer came, in virtual seconds.
        sent: Requests.
        wasted: Requests that were refused.
    """

    ended: float
    sent: int
    wasted: int


def run(
    limit: Limit,
    rows: int,
    *,
    latency: float = 0.1,
    jitter: float = 0.3,
    agent: float = 0.0,
    seed: int = 1,
    prepare: Callable[[], Sender] | None = None,
    **options: Any,
) -> Outcome:
    """Send so many rows to a limit; a row that is refused is sent again.

    Args:
        limit: The limit.
        rows: Rows.
        latency: Seconds on the way there and back, without the agent.
        jitter: The part by which each way varies.
        agent: Seconds that the agent takes on average; it varies by half.
        seed: Of the random numbers.
        prepare: Makes the sender; by default it is a `Pace`.
        options: Arguments of the `Pace`.
    """
    chance = random.Random(seed)
    pace: Sender = Pace(0.0, **options) if prepare is None else prepare()
    order = itertools.count()
    events: list[tuple[float, int, str, Ticket, Verdict | None]] = []
    now, left, done, sent, last = 0.0, rows, 0, 0, 0.0

    def way() -> float:
        return latency / 2 * (1 + jitter * (2 * chance.random() - 1))

    while done < rows:
        while left and pace.wait(now) <= 1e-9:
            left, sent = left - 1, sent + 1
            heapq.heappush(events, (now + way(), next(order), "asked", pace.sent(now), None))
        due = now + pace.wait(now) if left else math.inf
        if not events and math.isinf(due):
            raise RuntimeError("nothing will ever happen again")
        if not events or due < events[0][0]:
            now = due
            continue
        now, _, kind, ticket, verdict = heapq.heappop(events)
        if verdict is None:
            verdict = limit.ask(now)
            work = agent * (0.5 + chance.random()) if verdict.accepted else 0.0
            heapq.heappush(events, (now + work, next(order), "ended", ticket, verdict))
        elif kind == "ended":
            if verdict.accepted:
                limit.done()
            heapq.heappush(events, (now + way(), next(order), "answered", ticket, verdict))
        else:
            word: Word = "accepted" if verdict.accepted else "limited"
            pace.answered(ticket, now, word, verdict.quotas, verdict.retry_after)
            if verdict.accepted:
                done, last = done + 1, now
            else:
                left += 1
    return Outcome(last, sent, sent - rows)
