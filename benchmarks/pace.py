"""`python -m benchmarks.pace [SECONDS]`: the pace of a batch against simulated limits, a table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.simulated import (
    Both,
    Bucket,
    Changing,
    Concurrency,
    FixedWindow,
    Limit,
    SlidingWindow,
    run,
)

STYLES = ("", "retry", "retry whole", "policy", "x", "whole", "rate")
PHASES = (0.0, 0.37, 0.8)

JITTER = {"window 50/s, 0.05 to 0.5 s away": 0.82, "bucket 50/s, 0.05 to 0.5 s away": 0.82}
"""The limits that are reached after a time that varies much, with the part by which it varies."""


def _window(rate: int, style: str, phase: float) -> Limit:
    return FixedWindow(rate, 1.0, phase, style)


def _bucket(rate: int, style: str, _: float) -> Limit:
    return Bucket(rate, rate, style)


def _two(per_second: int, per_minute: int, style: str, phase: float) -> Limit:
    return Both(_window(per_second, style, phase), FixedWindow(per_minute, 60.0, phase, style))


def _quota(per_second: int, style: str, phase: float) -> Limit:
    day = FixedWindow(100_000, 86_400.0, phase, style)
    return Both(_window(per_second, style, phase), day)


def _changing(first: int, second: int, at: float, style: str, phase: float) -> Limit:
    return Changing(_window(first, style, phase), _window(second, style, phase), at)


Case = tuple[str, float, float, float, Callable[[str, float], Limit]]


def cases(seconds: float) -> Iterator[Case]:
    """Yield the name, the rate, the latency, the agent's time and the maker of each limit."""
    for rate in (1, 5, 7, 10, 33, 50, 200, 500, 1000):
        for latency in (0.02, 0.1, 0.3, 1.0):
            name = f"{rate}/s, {latency:g} s away"
            yield f"window {name}", rate, latency, 0.0, partial(_window, rate)
            yield f"bucket {name}", rate, latency, 0.0, partial(_bucket, rate)
    yield "window 1000/min", 1000 / 60, 0.1, 0.0, lambda style, p: FixedWindow(1000, 60.0, p, style)
    yield "window 3000/min", 50, 0.1, 0.0, lambda style, p: FixedWindow(3000, 60.0, p, style)
    yield "window 500/10 s", 50, 0.1, 0.0, lambda style, p: FixedWindow(500, 10.0, p, style)
    yield "window 5000/s", 5000, 0.1, 0.0, lambda style, p: FixedWindow(5000, 1.0, p, style)
    yield "bucket 50/s of 5", 50, 0.1, 0.0, lambda style, _: Bucket(50, 5, style)
    yield "bucket 50/s of 500", 50, 0.1, 0.0, lambda style, _: Bucket(50, 500, style)
    yield "bucket 60/min of 10", 1, 0.1, 0.0, lambda style, _: Bucket(1, 10, style)
    yield "window 100/10 s", 10, 0.1, 0.0, lambda style, p: FixedWindow(100, 10.0, p, style)
    yield "window 35/0.7 s", 50, 0.1, 0.0, lambda style, p: FixedWindow(35, 0.7, p, style)
    yield "bucket 10/s of 1", 10, 0.1, 0.0, lambda style, _: Bucket(10, 1, style)
    yield "bucket 13/s of 26", 13, 0.1, 0.0, lambda style, _: Bucket(13, 26, style)
    yield "60/s and 3000/min", 50, 0.1, 0.0, partial(_two, 60, 3000)
    yield "100/s and 1500/min", 25, 0.1, 0.0, partial(_two, 100, 1500)
    yield "10/s and 100,000/day", 10, 0.1, 0.0, partial(_quota, 10)
    yield "first 50/s, then 100/s", 75, 0.1, 0.0, partial(_changing, 50, 100, seconds / 2)
    yield "first 100/s, then 30/s", 65, 0.1, 0.0, partial(_changing, 100, 30, seconds / 2)
    yield "sliding 50/s", 50, 0.1, 0.0, lambda *_: SlidingWindow(50, 1.0)
    yield "sliding 3000/min", 50, 0.1, 0.0, lambda *_: SlidingWindow(3000, 60.0)
    for name in JITTER:
        yield name, 50, 0.275, 0.0, partial(_bucket if "bucket" in name else _window, 50)
    yield "10 at a time", 10 / 0.3, 0.1, 0.2, lambda *_: Concurrency(10)
    yield "50 at a time", 50 / 0.6, 0.1, 0.5, lambda *_: Concurrency(50)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 40.0
    print(f"Runs of {seconds:g} s: the least share of the ideal time, and the most waste.\n")
    print("| limit | " + " | ".join(style or "silent" for style in STYLES) + " |")
    print("|---" * (len(STYLES) + 1) + "|")
    for name, rate, latency, agent, make in cases(seconds):
        rows = int(rate * seconds)
        if rows > 50_000 and seconds > 40:
            continue
        cells = []
        for style in STYLES:
            shares, wastes = [], []
            for seed, phase in enumerate(PHASES if rows < 20_000 else PHASES[1:2]):
                outcome = run(
                    make("" if style == "rate" else style, phase),
                    rows,
                    latency=latency,
                    agent=agent,
                    seed=seed,
                    max_concurrency=max(100, int(4 * rate * latency)),
                    rate=rate if style == "rate" else None,
                    jitter=JITTER.get(name, 0.3),
                )
                shares.append((seconds + latency + agent) / outcome.ended)
                wastes.append(outcome.wasted / rows)
            cells.append(f"{100 * min(shares):.0f} %, {100 * max(wastes):.1f} %")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
