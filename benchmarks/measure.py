"""How things are measured: interleaved rounds, medians, quartiles, memory of a process."""

from __future__ import annotations

import gc
import math
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

T = TypeVar("T")

Run = Callable[[], float]
"""Does the work once; returns what it cost."""

AsyncRun = Callable[[], Awaitable[float]]
"""Does it on the running event loop."""


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """Return the lower and the upper quartile."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


@dataclass(frozen=True)
class Limit:
    """A limit for `subject`: at most `factor` times what `peer` takes.

    Attributes:
        subject: The candidate it is asked of.
        factor: The largest ratio allowed; the largest value allowed if there is no peer.
        peer: The candidate it is compared with.
        extra: Added to what the peer takes, in the table's unit.
    """

    subject: str
    factor: float
    peer: str | None = None
    extra: float = 0.0


@dataclass
class Table:
    """One comparison.

    Attributes:
        name: The thing that is compared.
        unit: The unit of the samples.
        samples: What each round cost, by candidate.
        baseline: The candidate that ratios are given to.
        limits: The limits that this project has to meet.
        notes: Sentences below the table.
    """

    name: str
    unit: str
    samples: dict[str, list[float]]
    baseline: str
    limits: list[Limit] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def median(self, candidate: str) -> float:
        return statistics.median(self.samples[candidate])

    def quartiles(self, candidate: str) -> tuple[float, float]:
        return quartiles(self.samples[candidate])

    def verdicts(self) -> list[tuple[str, bool]]:
        """Return each limit in words with what was measured, and whether it is met."""
        found = []
        for limit in self.limits:
            if limit.subject not in self.samples or (
                limit.peer is not None and limit.peer not in self.samples
            ):
                continue
            value = self.median(limit.subject)
            if limit.peer is None:
                text = f"{value:.3g} {self.unit} (at most {limit.factor:g} {self.unit})"
                met = value <= limit.factor
            elif limit.extra:
                over = value - self.median(limit.peer)
                text = f"{over:.3g} {self.unit} over {limit.peer} (at most {limit.extra:g})"
                met = over <= limit.extra
            else:
                ratio = value / self.median(limit.peer)
                text = f"{ratio:.3g} x {limit.peer} (at most {limit.factor:.3g})"
                met = ratio <= limit.factor
            found.append((f"{limit.subject}: {text}", met))
        return found


@dataclass(frozen=True)
class Bound:
    """A bound for one value of a sheet.

    Attributes:
        subject: The candidate it is asked of.
        column: The column of the value.
        value: The largest value allowed, or the least.
        is_least: Whether it is the least.
    """

    subject: str
    column: str
    value: float
    is_least: bool = False


@dataclass
class Sheet:
    """One comparison in several respects, each measured once.

    Attributes:
        name: The thing that is compared.
        columns: The respects.
        values: The value in each column, by candidate.
        bounds: The bounds that this project has to meet.
        notes: Sentences below the table.
    """

    name: str
    columns: Sequence[str]
    values: dict[str, list[float]]
    bounds: list[Bound] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def verdicts(self) -> list[tuple[str, bool]]:
        """Return each bound in words with what was measured, and whether it is met."""
        found = []
        for bound in self.bounds:
            value = self.values[bound.subject][self.columns.index(bound.column)]
            word = "at least" if bound.is_least else "at most"
            met = value >= bound.value if bound.is_least else value <= bound.value
            text = f"{bound.subject}: {value:.3g} {bound.column} ({word} {bound.value:g})"
            found.append((text, met))
        return found


class Cost(NamedTuple):
    """The cost of some work, in µs for each call of it.

    Attributes:
        passed: The time that passed.
        cpu: The time that this process had a processor for, with all its threads.
    """

    passed: float
    cpu: float

    @classmethod
    def since(cls, began: Cost, calls: int) -> Cost:
        """Return what each of so many calls has cost since `now` returned `began`."""
        return cls(*((end - start) / calls for end, start in zip(cls.now(), began, strict=True)))

    @classmethod
    def now(cls) -> Cost:
        """Return the clocks, in µs."""
        return cls(time.perf_counter() * 1e6, time.process_time() * 1e6)


def interleave(
    candidates: Mapping[str, Callable[[], T]],
    rounds: int,
    warm_up: int = 1,
    most: float = math.inf,
) -> dict[str, list[T]]:
    """Run all candidates in turn, `rounds` times; the order turns by one each round.

    Args:
        candidates: The work, by the names of those who do it.
        rounds: How often each does it.
        warm_up: How often each does it before, without being measured.
        most: Seconds; who has taken longer in all, and was measured once, has no more rounds.
    """
    samples: dict[str, list[T]] = {name: [] for name in candidates}
    took = dict.fromkeys(candidates, 0.0)
    for name, counts in _turns(list(candidates), rounds, warm_up):
        if samples[name] and took[name] > most:
            continue
        began = time.perf_counter()
        cost = candidates[name]()
        took[name] += time.perf_counter() - began
        if counts:
            samples[name].append(cost)
    return samples


async def interleave_async(
    candidates: Mapping[str, AsyncRun], rounds: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Do what `interleave` does, on one event loop."""
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    for name, counts in _turns(list(candidates), rounds, warm_up):
        cost = await candidates[name]()
        if counts:
            samples[name].append(cost)
    return samples


def _turns(names: Sequence[str], rounds: int, warm_up: int) -> Iterator[tuple[str, bool]]:
    """Yield whose turn it is, and whether that counts; the order turns by one each round."""
    for number in range(-warm_up, rounds):
        start = number % len(names)
        for name in [*names[start:], *names[:start]]:
            gc.collect()
            yield name, number >= 0


def peak_memory() -> float:
    """Return the most memory this process has held so far, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage() of a new process starts with what its parent held
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
