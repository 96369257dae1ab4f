"""Many inputs on the executors that people have: rows a second, CPU and connections."""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from benchmarks.limited import counts, running
from benchmarks.measure import Table
from benchmarks.peers import installed

LATENCY = 0.02
FAST = 1e6
"""A rate that is no limit, so that no time goes into finding one."""

Run = Callable[[int], int]
"""Sends so many rows; returns how many of them failed."""


def cpu_seconds(server: int) -> float:
    """Return the CPU time of this process and of those it started, but for the server."""
    import psutil

    this = psutil.Process()
    return sum(
        sum(process.cpu_times()[:2])
        for process in (this, *this.children(recursive=True))
        if process.pid != server
    )


def _inputs(rows: int) -> list[dict[str, int]]:
    return [{"i": i} for i in range(rows)]


def _batch(client: Any, executor: Executor | None, concurrency: int) -> Run:
    def run(rows: int) -> int:
        batch = client.map(_inputs(rows), executor=executor, rate=FAST, max_concurrency=concurrency)
        return sum(row.error is not None for row in batch)

    return run


def _plain(client: Any, dask_client: Any) -> Run:
    def run(rows: int) -> int:
        dask_client.gather(dask_client.map(client.run_generic, _inputs(rows), pure=False))
        return 0

    return run


def _candidates(client: Any, stack: ExitStack) -> Iterator[tuple[str, Run]]:
    """Yield each way with its name; two workers have 16 calls in flight each, where they can."""
    yield "runagent", _batch(client, None, 32)
    threads = stack.enter_context(ThreadPoolExecutor(32))
    yield "32 threads", _batch(client, threads, 32)
    spawn = multiprocessing.get_context("spawn")
    yield "2 processes", _batch(client, stack.enter_context(ProcessPoolExecutor(2, spawn)), 4)
    if not installed("distributed"):
        return
    from distributed import Client, LocalCluster

    cluster = stack.enter_context(
        LocalCluster(
            n_workers=2, threads_per_worker=16, dashboard_address=":0", silence_logs=logging.ERROR
        )
    )
    dask_client = stack.enter_context(Client(cluster))
    executor = dask_client.get_executor(pure=False, retries=0)
    yield "Dask, 2 workers", _batch(client, executor, 64)
    yield "Dask, Client.map(client.run_generic)", _plain(client, dask_client)


def tables(*, rounds: int, rows: int) -> Iterator[Table]:
    """Compare the ways that are there."""
    import runagent

    speed: dict[str, list[float]] = {}
    cost: dict[str, list[float]] = {}
    connections: dict[str, list[float]] = {}
    with running("none", latency=LATENCY) as url, ExitStack() as stack:
        server = next(child.pid for child in _children())
        stack.callback(os.environ.pop, "RUNAGENT_API_KEY", None)
        os.environ["RUNAGENT_API_KEY"] = "key"  # which workers find there
        client = stack.enter_context(runagent.RunAgentClient("a", base_url=url))
        for name, run in _candidates(client, stack):
            made = counts(url).connections
            for _ in range(rounds + 1):
                began, used = time.perf_counter(), cpu_seconds(server)
                assert run(rows) == 0
                speed.setdefault(name, []).append(rows / (time.perf_counter() - began))
                cost.setdefault(name, []).append((cpu_seconds(server) - used) / rows * 1e3)
            del speed[name][0], cost[name][0]  # workers start, and import
            connections[name] = [counts(url).connections - made]
    title = f"{rows:,} rows, answered after {LATENCY * 1000:g} ms"
    yield Table(f"{title}: speed", "rows per second", speed, "runagent")
    yield Table(f"{title}: CPU", "ms per row", cost, "runagent")
    yield Table(f"{title}: connections", "in all", connections, "runagent")


def _children() -> list[Any]:
    import psutil

    children: list[Any] = psutil.Process().children()
    return children
