"""Streams: many small chunks, and how soon the first one arrives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack

from benchmarks import child, peers
from benchmarks.measure import AsyncRun, Limit, Run, Table, interleave, interleave_async
from benchmarks.server import running

_LIMITS = [
    Limit("runagent", 0.5, "httpx2 event source"),
    Limit("runagent", 1.0, "langgraph-sdk"),
    Limit("runagent", 1.0, "httpx-sse"),
    Limit("runagent", 0.1, "openai"),
]


def chunks(*, rounds: int, count: int) -> Iterator[Table]:
    what = f"chunks-{count}"
    with running() as url, ExitStack() as stack:
        candidates: dict[str, Run] = {}
        for name, peer in peers.STREAMS.items():
            stream = stack.enter_context(peer(url, what))

            def run(stream: peers.Stream = stream, name: str = name) -> float:
                began = time.perf_counter()
                check(name, sum(1 for _ in stream()), count)
                return (time.perf_counter() - began) * 1e3

            candidates[name] = run
        samples = interleave(candidates, rounds)
    yield Table(f"{count:,} small chunks, sync", "ms", samples, "httpx2 event source", _LIMITS)
    yield Table(
        f"{count:,} small chunks, async",
        "ms",
        asyncio.run(_chunks_async(what, rounds, count)),
        "httpx2 event source",
        _LIMITS,
    )


def check(name: str, found: int, count: int) -> None:
    if name != "raw bytes" and found != count:
        raise RuntimeError(f"{name} gave {found:,} chunks of {count:,}")


async def _chunks_async(what: str, rounds: int, count: int) -> dict[str, list[float]]:
    with running() as url:
        async with AsyncExitStack() as stack:
            candidates: dict[str, AsyncRun] = {}
            for name, peer in peers.ASYNC_STREAMS.items():
                stream = await stack.enter_async_context(peer(url, what))

                async def run(stream: peers.AsyncStream = stream, name: str = name) -> float:
                    began = time.perf_counter()
                    found = 0
                    async for _ in stream():
                        found += 1
                    check(name, found, count)
                    return (time.perf_counter() - began) * 1e3

                candidates[name] = run
            return await interleave_async(candidates, rounds)


def memory(*, rounds: int, counts: tuple[int, ...]) -> Iterator[Table]:
    """How much memory a process takes that reads streams of these lengths."""
    names = [
        name for name in ("httpx2 event source", "runagent", "openai") if name in peers.STREAMS
    ]
    with running() as url:
        candidates: dict[str, Run] = {
            f"{name}, {count:,}": lambda name=name, count=count: child.run(  # type: ignore[misc]
                "stream", name, url, f"chunks-{count}"
            )["peak"]
            for name in names
            for count in counts
        }
        samples = interleave(candidates, rounds, warm_up=0)
    few, many = (f"runagent, {count:,}" for count in counts)
    # A stream keeps the text it has brought, as one string.
    limits = [Limit(many, 1.0, few, extra=4.0)]
    yield Table("memory of a process, by the number of chunks it reads", "MB", samples, few, limits)


def first(*, rounds: int) -> Iterator[Table]:
    """From the server's write of the first chunk to the iterator's first item."""
    limits = [Limit("runagent", 1.0, "raw bytes", extra=2.0)]
    with running() as url, ExitStack() as stack:
        candidates: dict[str, Run] = {}
        for name, peer in peers.STREAMS.items():
            stream = stack.enter_context(peer(url, "late"))
            candidates[name] = lambda stream=stream: _first(stream)  # type: ignore[misc]
        samples = interleave(candidates, rounds)
    yield Table("the first chunk, sync", "ms", samples, "raw bytes", limits)
    with running() as url:
        asyncs: dict[str, Run] = {
            name: lambda peer=peer: asyncio.run(_first_async(peer, url))  # type: ignore[misc]
            for name, peer in peers.ASYNC_STREAMS.items()
        }
        samples = interleave(asyncs, rounds)
    yield Table("the first chunk, async", "ms", samples, "raw bytes", limits)


def _late(item: object) -> float | None:
    """Return how many ms ago the item was sent; `None` for one that holds no time."""
    text = item.decode() if isinstance(item, bytes) else str(item)
    digits = "".join(filter(str.isdigit, text.partition('"index"')[0]))
    return (time.monotonic_ns() - int(digits)) / 1e6 if len(digits) > 10 else None


def _first(stream: peers.Stream) -> float:
    found = None
    for item in stream():  # to the end: the connection can be used again
        found = _late(item) if found is None else found
    assert found is not None
    return found


async def _first_async(
    peer: Callable[[str, str], AbstractAsyncContextManager[peers.AsyncStream]], url: str
) -> float:
    found = None
    async with peer(url, "late") as stream:
        async for item in stream():
            found = _late(item) if found is None else found
    assert found is not None
    return found
