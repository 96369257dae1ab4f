"""Calls that are not streams: one after the other, many at once, from many threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack

from benchmarks import peers
from benchmarks.measure import AsyncRun, Cost, Limit, Run, Table, interleave, interleave_async
from benchmarks.server import running

LONGEST = 30.0
"""Seconds of CPU: a round of more calls at once is not begun if it may take longer."""

ENOUGH = 20.0
"""Seconds after which a candidate has no further rounds."""


def sequential(*, rounds: int, calls: int) -> Iterator[Table]:
    limits = [Limit("runagent", 1.15, "httpx2")]
    with running() as url, ExitStack() as stack:
        candidates: dict[str, Run] = {}
        for name, peer in peers.SYNC.items():
            invoke = stack.enter_context(peer(url))

            def run(invoke: peers.Invoke = invoke) -> float:
                began = time.perf_counter()
                for _ in range(calls):
                    invoke()
                return (time.perf_counter() - began) / calls * 1e6

            candidates[name] = run
        samples = interleave(candidates, rounds)
    yield Table("one call after the other, sync", "µs", samples, "httpx2", limits)
    yield Table(
        "one call after the other, async",
        "µs",
        asyncio.run(_sequential_async(rounds, calls)),
        "httpx2",
        limits,
    )


async def _sequential_async(rounds: int, calls: int) -> dict[str, list[float]]:
    with running() as url:
        async with AsyncExitStack() as stack:
            candidates: dict[str, AsyncRun] = {}
            for name, peer in peers.ASYNC.items():
                invoke = await stack.enter_async_context(peer(url))

                async def run(invoke: peers.AsyncInvoke = invoke) -> float:
                    began = time.perf_counter()
                    for _ in range(calls):
                        await invoke()
                    return (time.perf_counter() - began) / calls * 1e6

                candidates[name] = run
            return await interleave_async(candidates, rounds)


def concurrent(*, rounds: Mapping[int, int]) -> Iterator[Table]:
    """Many calls at once, each candidate with the connections it makes by itself.

    Args:
        rounds: The rounds, by the number of calls at once.
    """
    ours: list[float] = []
    candidates = dict(peers.ASYNC)
    first, *more = rounds
    for (size, count), following in zip(rounds.items(), [*more, 0], strict=True):
        with running() as url:
            samples = interleave(
                {
                    name: lambda peer=peer, size=size: asyncio.run(_gather(peer, url, size))  # type: ignore[misc]
                    for name, peer in candidates.items()
                },
                count,
                warm_up=int(size < 1000),
                most=ENOUGH,
            )
        passed, cpu = _tables(f"{size:,} calls at once", samples)
        ours.append(cpu.median("runagent"))
        for name in _too_slow(cpu, size, following):
            del candidates[name]
            passed.notes.append(f"{name} is left out of larger numbers: they would take minutes.")
        cpu.limits.append(Limit("runagent", 0.8, "httpx2"))
        if size == 1_000:
            cpu.limits.append(Limit("runagent", 0.25, "openai"))
        yield passed
        yield cpu
    before = f"one among {first:,}"
    yield Table(
        f"one of {more[-1]:,} calls at once, beside one of {first:,}: CPU time",
        "µs",
        {"runagent": ours[-1:], before: ours[:1]},
        before,
        [Limit("runagent", 1.5, before)],
    )


def _too_slow(cpu: Table, size: int, following: int) -> list[str]:
    """Return the peers for which a round of the number that comes next may take too long.

    Some pools look at all calls that wait, for each of them: their time grows by the square.
    """
    return [
        name
        for name in cpu.samples.keys() - {"runagent", "httpx2"}
        if cpu.median(name) / 1e6 * following**2 / size > LONGEST
    ]


async def _gather(peer: object, url: str, size: int) -> Cost:
    async with peer(url) as invoke:  # type: ignore[operator]
        began = Cost.now()
        await asyncio.gather(*(invoke() for _ in range(size)))
        return Cost.since(began, size)


def _tables(name: str, samples: Mapping[str, list[Cost]]) -> tuple[Table, Table]:
    """Return the time that passed, and CPU time, which a busy machine disturbs less."""
    passed = {key: [cost.passed for cost in costs] for key, costs in samples.items()}
    cpu = {key: [cost.cpu for cost in costs] for key, costs in samples.items()}
    unit = "µs per call"
    return Table(name, unit, passed, "httpx2"), Table(f"{name}: CPU time", unit, cpu, "httpx2")


def threads(*, rounds: int, workers: int, calls: int) -> Iterator[Table]:
    with running() as url, ExitStack() as stack:
        candidates: dict[str, Callable[[], Cost]] = {}
        for name, peer in peers.SYNC.items():
            invoke = stack.enter_context(peer(url))

            def work(invoke: peers.Invoke) -> None:
                for _ in range(calls):
                    invoke()

            def run(invoke: peers.Invoke = invoke) -> Cost:
                with ThreadPoolExecutor(workers) as pool:
                    began = Cost.now()
                    list(pool.map(work, [invoke] * workers))
                    return Cost.since(began, calls * workers)

            candidates[name] = run
        samples = interleave(candidates, rounds)
    passed, cpu = _tables(f"{workers} threads, {calls} calls each, one client", samples)
    cpu.limits.append(Limit("runagent", 1.0, "httpx2"))
    yield passed
    yield cpu
