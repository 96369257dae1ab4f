"""`python -m benchmarks.bounds [SECONDS]`: the best pace under limits that are not stated, a table.

It is the pace of a sender that has little to learn. It begins at `FIRST` requests a second, the
lowest of the limits, grows at a constant rate until a refusal has come back, and is then told the
limit. Its growth, and the part of the limit that it uses afterwards, are the best for that very
limit, of those that waste `MOST_WASTE` at most. A batch has to find all of this, so it can hardly
be faster than that without wasting more.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.simulated import Bucket, FixedWindow, Limit, run
from runagent.many.pace import Ticket, Verdict

FIRST = 5.0
MOST_WASTE = 0.015
PHASES = (0.09, 0.42, 0.76)
GROWTHS = (0.3, 0.6, 1.2, 2.5, 4.0, 6.0, 9.0, 14.0)
"""Seconds in which the pace becomes e times as fast."""

LONGEST = 20_000
"""Requests of a run; longer ones are left out."""

PARTS = (0.85, 0.9, 0.94, 0.97, 1.0)
KINDS: dict[str, Callable[[int, float], Limit]] = {
    "window": lambda rate, phase: FixedWindow(rate, 1.0, phase),
    "bucket": lambda rate, _: Bucket(rate, rate),
}


class Informed:
    """Grows from `FIRST` until the first refusal, and then keeps to what it is told."""

    def __init__(self, growth: float, told: float) -> None:
        self._growth = growth
        self._told = told
        self._is_told = False
        self._next = 0.0

    def wait(self, now: float) -> float:
        return max(0.0, self._next - now)

    def sent(self, now: float) -> Ticket:
        grown = FIRST * math.exp(min(now / self._growth, 50.0))
        self._next = max(self._next, now) + 1 / (self._told if self._is_told else grown)
        return Ticket(now, 0)

    def answered(self, _ticket: Ticket, _now: float, verdict: Verdict, *_: object) -> None:
        self._is_told = self._is_told or verdict == "limited"


@dataclass(frozen=True, order=True)
class Result:
    """The means over the phases: the share of the ideal time, and the share that was refused."""

    share: float
    waste: float

    def __str__(self) -> str:
        return f"{100 * self.share:.0f} %, {100 * self.waste:.1f} %"


def result(kind: str, rate: int, latency: float, seconds: float, **options: Any) -> Result:
    rows = int(rate * seconds)
    outcomes = [
        run(KINDS[kind](rate, phase), rows, latency=latency, seed=seed, **options)
        for seed, phase in enumerate(PHASES)
    ]
    share = sum((seconds + latency) / outcome.ended for outcome in outcomes)
    wasted = sum(outcome.wasted / rows for outcome in outcomes)
    return Result(share / len(PHASES), wasted / len(PHASES))


def best(kind: str, rate: int, latency: float, seconds: float) -> Result:
    """Return the best result that wastes little enough, or else the one that wastes least."""
    results = [
        result(kind, rate, latency, seconds, prepare=partial(Informed, growth, part * rate))
        for growth, part in itertools.product(GROWTHS, PARTS)
    ]
    allowed = [each for each in results if each.waste <= MOST_WASTE]
    return max(allowed) if allowed else min(results, key=lambda each: each.waste)


def lines(seconds: float) -> Iterator[str]:
    yield "| limit | this batch | the best |"
    yield "|---|---|---|"
    rates = [rate for rate in (5, 10, 50, 200, 500) if rate * seconds <= LONGEST]
    for kind, rate, latency in itertools.product(KINDS, rates, (0.02, 0.3, 1.0)):
        most = max(100, int(4 * rate * latency))
        found = result(kind, rate, latency, seconds, max_concurrency=most)
        bound = best(kind, rate, latency, seconds)
        yield f"| {kind} {rate}/s, {latency:g} s away | {found} | {bound} |"


def main() -> None:
    for line in lines(float(sys.argv[1]) if len(sys.argv) > 1 else 40.0):
        print(line, flush=True)


if __name__ == "__main__":
    main()
