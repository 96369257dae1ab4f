"""Many inputs against limited servers: time, waste, failures and CPU, beside the usual ways."""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import child
from benchmarks.limited import counts, running
from benchmarks.measure import Bound, Limit, Sheet, Table
from benchmarks.peers import installed

CONCURRENCY = 64
TIMEOUT = 60.0

Candidate = Callable[[str, int, float], Coroutine[Any, Any, int]]
"""Sends so many rows to a server whose rate is known; returns how many of them failed."""


async def _map(url: str, rows: int, **options: Any) -> int:
    import runagent

    async with runagent.AsyncRunAgentClient("a", "key", url, TIMEOUT) as client:
        return sum([row.error is not None async for row in client.map(_inputs(rows), **options)])


def _inputs(rows: int) -> Iterator[dict[str, int]]:
    return ({"i": i} for i in range(rows))


async def runagent_map(url: str, rows: int, _: float) -> int:
    return await _map(url, rows)


async def runagent_rate(url: str, rows: int, rate: float) -> int:
    return await _map(url, rows, rate=rate)


async def _gather(one: Callable[[int], Awaitable[object]], rows: int) -> int:
    free = asyncio.Semaphore(CONCURRENCY)

    async def guarded(i: int) -> None:
        async with free:
            await one(i)

    outcomes = await asyncio.gather(*map(guarded, range(rows)), return_exceptions=True)
    return sum(isinstance(outcome, BaseException) for outcome in outcomes)


async def gather_run_generic(url: str, rows: int, _: float) -> int:
    import runagent

    async with runagent.AsyncRunAgentClient("a", "key", url, TIMEOUT) as client:
        return await _gather(lambda i: client.run_generic({"i": i}), rows)


async def gather_httpx2(url: str, rows: int, _: float) -> int:
    import httpx2

    async with httpx2.AsyncClient(timeout=TIMEOUT) as client:

        async def one(i: int) -> None:
            (await client.post(f"{url}/v1/agents/a/invoke", json={"i": i})).raise_for_status()

        return await _gather(one, rows)


async def openai_semaphore(url: str, rows: int, _: float) -> int:
    import openai

    async with openai.AsyncOpenAI(api_key="key", base_url=url, timeout=TIMEOUT) as client:

        async def one(i: int) -> None:
            message: Any = {"role": "user", "content": str(i)}
            await client.chat.completions.create(model="m", messages=[message])

        return await _gather(one, rows)


async def litellm_semaphore(url: str, rows: int, _: float) -> int:
    import litellm

    async def one(i: int) -> None:
        message = {"role": "user", "content": str(i)}
        await litellm.acompletion(
            "openai/m", [message], api_key="key", api_base=url, num_retries=2, timeout=TIMEOUT
        )

    return await _gather(one, rows)


CANDIDATES: dict[str, Candidate] = {
    "runagent": runagent_map,
    "runagent, rate=": runagent_rate,
    "gather httpx2": gather_httpx2,
    "openai, semaphore": openai_semaphore,
    "litellm, semaphore": litellm_semaphore,
}

PACKAGES = {"openai, semaphore": "openai", "litellm, semaphore": "litellm"}
"""The packages that candidates need and that may be missing."""


@dataclass(frozen=True)
class _Case:
    name: str
    kind: str
    style: str
    candidate: str
    share: float
    wasted: float


def cases(*, quick: bool) -> list[_Case]:
    """Return the limits, with the share of the ideal time and the waste to reach, in percent."""
    ours, share = "runagent", 80 if quick else 85
    found = [
        _Case("fixed windows, silent", "window", "", ours, share, 1.5),
        _Case("fixed windows, Retry-After", "window", "retry", ours, share, 1.5),
        _Case("fixed windows, RateLimit headers", "window", "policy", ours, 95, 1),
        _Case("fixed windows, X-RateLimit headers", "window", "x", ours, 95, 1),
        _Case("fixed windows, rate=", "window", "", "runagent, rate=", 95, 1),
        _Case("a bucket, silent", "bucket", "", ours, share, 1.5),
        _Case("a bucket, Retry-After", "bucket", "retry", ours, share, 1.5),
    ]
    return found[::3] if quick else found


COLUMNS = (
    "% of the ideal pace",
    "% refused",
    "rows failed",
    "requests per row",
    "ms of CPU per row",
    "MB at most",
)


def limited(*, quick: bool, rate: float = 50.0, seconds: float = 40.0) -> Iterator[Sheet]:
    """Compare batches against servers with limits, which also fail now and then.

    The candidates run at the same time, each in a process and against a server of its own.
    """
    rows = int(rate * seconds)
    missing = [name for name, package in PACKAGES.items() if not installed(package)]
    for case in cases(quick=quick):
        names = [case.candidate, *(n for n in CANDIDATES if not n.startswith("runagent"))]
        names = [name for name in names if name not in missing]
        with ThreadPoolExecutor(len(names)) as pool:
            measured = pool.map(partial(_measured, case=case, rows=rows, rate=rate), names)
        yield Sheet(
            f"{rows:,} rows at {rate:g}/s: {case.name}",
            COLUMNS,
            dict(zip(names, measured, strict=True)),
            [
                Bound(case.candidate, COLUMNS[0], case.share, is_least=True),
                Bound(case.candidate, COLUMNS[1], case.wasted),
                Bound(case.candidate, COLUMNS[2], 0),
            ],
            [f"Left out is {name!r}: `{PACKAGES[name]}` is not installed." for name in missing],
        )


def _measured(name: str, case: _Case, rows: int, rate: float) -> list[float]:
    with running(case.kind, rate, case.style, faults=True) as url:
        found = child.run("batch", name, url, str(rows), str(rate))
        seen = counts(url)
    # Requests that the server broke off used up its limit too.
    ideal = (seen.asked - seen.limited) / rate
    return [
        100 * ideal / found["took"],
        100 * seen.limited / rows,
        found["lost"],
        seen.asked / rows,
        1000 * found["cpu"] / rows,
        found["peak"],
    ]


def run(name: str, url: str, rows: str, rate: str) -> dict[str, float]:
    """Run one candidate in this process; return the seconds it took, and the rows it lost."""
    logging.getLogger("runagent").setLevel(logging.ERROR)
    if name in PACKAGES:
        importlib.import_module(PACKAGES[name])
    began, cpu = time.perf_counter(), time.process_time()
    lost = asyncio.run(CANDIDATES[name](url, int(rows), float(rate)))
    return {
        "took": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "lost": float(lost),
    }


def unlimited(*, rounds: int, rows: int) -> Iterator[Table]:
    """Compare the CPU time of batches that no limit slows down."""
    candidates: dict[str, Candidate] = {
        "runagent": runagent_map,
        "gather run_generic": gather_run_generic,
        "gather httpx2": gather_httpx2,
    }
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    with running("none", latency=0.01) as url:
        for number in range(rounds + 1):
            for name, candidate in candidates.items():
                began = time.process_time()
                asyncio.run(candidate(url, rows, 0.0))
                if number:  # the first round loads the modules
                    samples[name].append((time.process_time() - began) / rows * 1e6)
    limits = [Limit("runagent", 1.1, "gather run_generic")]
    yield Table(f"{rows:,} rows without a limit: CPU", "µs per row", samples, "runagent", limits)


def journal(*, rounds: int, rows: int) -> Iterator[Table]:
    """Compare the CPU time of batches with and without a journal, in pairs, for both clients."""
    samples: dict[str, list[float]] = {"runagent": [], "runagent, async": []}
    with running("none", latency=0.01) as url:
        for number in range(-1, rounds):  # the first round loads the modules
            for name, run_batch in (("runagent", _blocking), ("runagent, async", _asynchronous)):
                costs = {}
                for kept in (number % 2 == 0, number % 2 != 0):  # each comes first in turn
                    costs[kept] = _cpu_of(run_batch, url, rows, kept=kept)
                if number >= 0:
                    samples[name].append(costs[True] / costs[False])
    limits = [Limit(name, 1.1) for name in samples]
    name = f"{rows:,} rows without a limit: CPU with a journal"
    yield Table(name, "x that without one", samples, "runagent", limits)


def _blocking(url: str, rows: int, **options: Any) -> int:
    import runagent

    with runagent.RunAgentClient("a", "key", url, TIMEOUT) as client:
        return sum(row.error is not None for row in client.map(_inputs(rows), **options))


def _asynchronous(url: str, rows: int, **options: Any) -> int:
    return asyncio.run(_map(url, rows, **options))


def _cpu_of(run_batch: Callable[..., int], url: str, rows: int, *, kept: bool) -> float:
    """Return the seconds of CPU that a batch takes in all threads of this process."""
    with TemporaryDirectory() as folder:
        options = {"journal": Path(folder) / "x.journal"} if kept else {}
        gc.collect()
        began = time.process_time()
        run_batch(url, rows, **options)
        return time.process_time() - began


def tables(*, quick: bool) -> Iterator[Table | Sheet]:
    for rows in (1_000,) if quick else (1_000, 5_000):
        yield from unlimited(rounds=3 if quick else 5, rows=rows)
    for rows, rounds in ((1_000, 3),) if quick else ((1_000, 7), (10_000, 3)):
        yield from journal(rounds=rounds, rows=rows)
    yield from limited(quick=quick, seconds=10.0 if quick else 40.0)
