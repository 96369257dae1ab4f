"""Many inputs against limited servers: time, waste, failures and CPU, beside the usual ways."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.limited import counts, running
from benchmarks.measure import Limit, Table
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


async def runagent_journal(url: str, rows: int, _: float) -> int:
    with TemporaryDirectory() as folder:
        return await _map(url, rows, journal=Path(folder) / "x.journal")


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


PEERS: dict[str, Candidate] = {"gather httpx2": gather_httpx2}
if installed("openai"):
    PEERS["openai, semaphore"] = openai_semaphore
if installed("litellm"):
    PEERS["litellm, semaphore"] = litellm_semaphore


@dataclass(frozen=True)
class _Case:
    name: str
    kind: str
    style: str
    candidate: Candidate
    share: float
    wasted: float


def cases(*, quick: bool) -> list[_Case]:
    """Return the limits, with the share of the ideal time and the waste to reach."""
    share = 0.8 if quick else 0.85
    return [
        _Case("fixed windows, silent", "window", "", runagent_map, share, 1.5),
        _Case("fixed windows, RateLimit headers", "window", "policy", runagent_map, 0.95, 1.0),
        _Case("fixed windows, X-RateLimit headers", "window", "x", runagent_map, 0.95, 1.0),
        _Case("fixed windows, rate=", "window", "", runagent_rate, 0.95, 1.0),
        _Case("a bucket, silent", "bucket", "", runagent_map, share, 1.5),
        _Case("a bucket, Retry-After", "bucket", "retry", runagent_map, share, 1.5),
    ]


def limited(*, quick: bool, rate: float = 50.0, seconds: float = 40.0) -> Iterator[Table]:
    """Compare batches against servers with limits, which also fail now and then."""
    logging.getLogger("runagent").setLevel(logging.ERROR)
    rows = int(rate * seconds)
    for case in cases(quick=quick):
        times: dict[str, list[float]] = {}
        wasted: dict[str, list[float]] = {}
        failed: dict[str, list[float]] = {}
        asked: dict[str, list[float]] = {}
        for name, candidate in {"runagent": case.candidate, **PEERS}.items():
            with running(case.kind, rate, case.style, faults=True) as url:
                began = time.perf_counter()
                lost = asyncio.run(candidate(url, rows, rate))
                took = time.perf_counter() - began
                seen = counts(url)
            # Requests that the server broke off used up its limit too.
            times[name] = [took * rate / (seen.asked - seen.limited)]
            wasted[name] = [100 * seen.limited / rows]
            failed[name] = [lost]
            asked[name] = [seen.asked / rows]
        title = f"{rows:,} rows at {rate:g}/s: {case.name}"
        limits = [Limit("runagent", 1 / case.share)]
        yield Table(f"{title}: time", "x the ideal", times, "runagent", limits)
        limits = [Limit("runagent", case.wasted)]
        yield Table(f"{title}: refused requests", "% of the rows", wasted, "runagent", limits)
        yield Table(f"{title}: failed", "rows", failed, "runagent", [Limit("runagent", 0.0)])
        yield Table(f"{title}: requests", "per row", asked, "runagent")


def unlimited(*, rounds: int, rows: int) -> Iterator[Table]:
    """Compare the CPU time of batches that no limit slows down."""
    candidates: dict[str, Candidate] = {
        "runagent, journal": runagent_journal,
        "runagent": runagent_map,
        "gather run_generic": gather_run_generic,
        "gather httpx2": gather_httpx2,
    }
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    with running("none", latency=0.01) as url:
        for _ in range(rounds):
            for name, candidate in candidates.items():
                began = time.process_time()
                asyncio.run(candidate(url, rows, 0.0))
                samples[name].append((time.process_time() - began) / rows * 1e6)
    limits = [
        Limit("runagent", 1.1, "gather run_generic"),
        Limit("runagent, journal", 1.1, "runagent"),
    ]
    yield Table(f"{rows:,} rows without a limit: CPU", "µs per row", samples, "runagent", limits)


def tables(*, quick: bool) -> Iterator[Table]:
    yield from unlimited(rounds=3, rows=1_000 if quick else 5_000)
    yield from limited(quick=quick, seconds=10.0 if quick else 40.0)
