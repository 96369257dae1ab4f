"""The same work for any version of the package: `python workloads.py NAME URL TIMES`.

It runs as a file, not as a module of a package, so that it imports the `runagent` that PYTHONPATH
names. It prints the seconds of CPU that the work took, after the same work was done once.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from runagent import AsyncRunAgentClient, RunAgentClient, request

request.CONNECT_TIMEOUT = 600.0  # under valgrind, 300 connections take longer than usual

INPUT = {"query": "What is the weather in Berlin?", "session_id": "s-1"}
AT_ONCE = 300
THREADS = 32
SMALL = "small"
MANY = "chunks-20000"


def calls(client: RunAgentClient, times: int) -> None:
    for _ in range(times):
        client.run_generic(INPUT)


async def calls_async(client: AsyncRunAgentClient, times: int) -> None:
    for _ in range(times):
        await client.run_generic(INPUT)


async def at_once(client: AsyncRunAgentClient, times: int) -> None:
    for _ in range(times):
        await asyncio.gather(*(client.run_generic(INPUT) for _ in range(AT_ONCE)))


def threads(client: RunAgentClient, times: int) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(calls, [client] * THREADS, [times] * THREADS))


def streams(client: RunAgentClient, times: int) -> None:
    for _ in range(times):
        for _ in client.run_generic_stream(INPUT):
            pass


async def streams_async(client: AsyncRunAgentClient, times: int) -> None:
    for _ in range(times):
        async for _ in client.run_generic_stream(INPUT):
            pass


WEBSOCKET = "20,000 chunks over a WebSocket"
"""The work that is done with the protocol of `runagent serve`."""

BLOCKING: dict[str, tuple[Callable[[RunAgentClient, int], None], str]] = {
    "calls, sync": (calls, SMALL),
    "32 threads": (threads, SMALL),
    "streams of 3 chunks, sync": (streams, SMALL),
    "streams of 20,000 chunks, sync": (streams, MANY),
    WEBSOCKET: (streams, MANY),
}
ASYNCHRONOUS: dict[str, tuple[Callable[[AsyncRunAgentClient, int], Awaitable[None]], str]] = {
    "calls, async": (calls_async, SMALL),
    "300 calls at once": (at_once, SMALL),
    "streams of 3 chunks, async": (streams_async, SMALL),
    "streams of 20,000 chunks, async": (streams_async, MANY),
}


def measured(work: Callable[[int], Any], times: int) -> float:
    """Return the seconds of CPU for doing the work `times` times, once it has been done before."""
    work(1)
    began = time.process_time()
    work(times)
    return time.process_time() - began


async def measured_async(work: Callable[[int], Awaitable[None]], times: int) -> float:
    """Do what `measured` does, on the running event loop."""
    await work(1)
    began = time.process_time()
    await work(times)
    return time.process_time() - began


async def _asynchronous(name: str, url: str, times: int) -> float:
    work, what = ASYNCHRONOUS[name]
    async with AsyncRunAgentClient(what, "key", url, 600) as client:
        return await measured_async(lambda times: work(client, times), times)


def main() -> None:
    name, url, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if name in ASYNCHRONOUS:
        seconds = asyncio.run(_asynchronous(name, url, times))
    else:
        work, what = BLOCKING[name]
        protocol: Literal["rest", "server"] = "server" if name == WEBSOCKET else "rest"
        with RunAgentClient(what, "key", url, 600, protocol=protocol) as client:
            seconds = measured(lambda times: work(client, times), times)
    print(seconds)


if __name__ == "__main__":
    main()
