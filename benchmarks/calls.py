"""Calls that are not streams: one after the other, many at once, from many threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack

from benchmarks import peers
from benchmarks.measure import AsyncRun, Limit, Run, Table, interleave, interleave_async
from benchmarks.server import running

TOO_SLOW = 10_000
"""µs per call, from which on a candidate is not asked for more of them at once."""


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


def concurrent(*, rounds: int, sizes: tuple[int, ...]) -> Iterator[Table]:
    """Many calls at once, each candidate with the connections it makes by itself."""
    ours: list[float] = []
    candidates = dict(peers.ASYNC)
    for size in sizes:
        with running() as url:
            samples = interleave(
                {
                    name: lambda peer=peer, size=size: asyncio.run(_gather(peer, url, size))  # type: ignore[misc]
                    for name, peer in candidates.items()
                },
                rounds,
                warm_up=int(size < 1000),
            )
        table = Table(f"{size:,} calls at once", "µs per call", samples, "httpx2")
        ours.append(table.median("runagent"))
        others = candidates.keys() - {"runagent", "httpx2"}
        for name in [name for name in others if table.median(name) > TOO_SLOW]:
            del candidates[name]  # its pool looks at all that wait, for each of them
            table.notes.append(f"{name} is left out of larger numbers: they would take minutes.")
        if size == sizes[-1]:
            table.limits.append(Limit("runagent", 0.25, "openai"))
        if len(ours) > 1:
            growth = ours[-1] / ours[0]
            table.notes.append(
                f"runagent: a call costs {growth:.2f} x what it costs among {sizes[0]:,} "
                "(at most 1.5)."
            )
        yield table


async def _gather(peer: object, url: str, size: int) -> float:
    async with peer(url) as invoke:  # type: ignore[operator]
        began = time.perf_counter()
        await asyncio.gather(*(invoke() for _ in range(size)))
        return (time.perf_counter() - began) / size * 1e6


def threads(*, rounds: int, workers: int, calls: int) -> Iterator[Table]:
    with running() as url, ExitStack() as stack:
        candidates: dict[str, Run] = {}
        for name, peer in peers.SYNC.items():
            invoke = stack.enter_context(peer(url))

            def work(invoke: peers.Invoke) -> None:
                for _ in range(calls):
                    invoke()

            def run(invoke: peers.Invoke = invoke) -> float:
                with ThreadPoolExecutor(workers) as pool:
                    began = time.perf_counter()
                    list(pool.map(work, [invoke] * workers))
                    return (time.perf_counter() - began) / calls / workers * 1e6

            candidates[name] = run
        samples = interleave(candidates, rounds)
    yield Table(
        f"{workers} threads, {calls} calls each, one client",
        "µs per call",
        samples,
        "httpx2",
        [Limit("runagent", 1 / 0.9, "httpx2")],
    )
