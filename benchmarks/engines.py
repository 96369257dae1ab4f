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


def cpu_seconds(server: int) -> dict[int, float]:
    """Return the CPU time of this process and of those it started, but the server, by their ids."""
    import psutil

    this = psutil.Process()
    return {
        process.pid: sum(process.cpu_times()[:2])
        for process in (this, *this.children(recursive=True))
        if process.pid != server
    }


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
    yield "2 processes", _batch(client, stack.enter_context(ProcessPoolExecutor(2, spawn)), 64)
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

    with running("none", latency=LATENCY) as url, ExitStack() as stack:
        server = next(child.pid for child in _children())
        stack.callback(os.environ.pop, "RUNAGENT_API_KEY", None)
        os.environ["RUNAGENT_API_KEY"] = "key"  # which workers find there
        client = stack.enter_context(runagent.RunAgentClient("a", base_url=url))
        found = {
            name: _measured(run, url, server, rounds, rows)
            for name, run in _candidates(client, stack)
        }
    title = f"{rows:,} rows, answered after {LATENCY * 1000:g} ms"
    for what, unit in (
        ("speed", "rows per second"),
        ("CPU of all processes but the server", "ms per row"),
        ("CPU of the driver", "ms per row"),
        ("CPU of the busiest process", "ms per row"),
        ("connections", "in all"),
    ):
        values = {name: measured[what] for name, measured in found.items()}
        yield Table(f"{title}: {what}", unit, values, "runagent")


def _measured(run: Run, url: str, server: int, rounds: int, rows: int) -> dict[str, list[float]]:
    """Return the figures of some rounds, after one in which workers start and import."""
    found: dict[str, list[float]] = {}
    made = counts(url).connections
    assert run(rows) == 0
    for _ in range(rounds):
        used, began = cpu_seconds(server), time.perf_counter()
        assert run(rows) == 0
        seconds = time.perf_counter() - began
        spent = {pid: now - used.get(pid, 0.0) for pid, now in cpu_seconds(server).items()}
        for what, value in (
            ("speed", rows / seconds),
            ("CPU of all processes but the server", sum(spent.values()) / rows * 1e3),
            ("CPU of the driver", spent[os.getpid()] / rows * 1e3),
            ("CPU of the busiest process", max(spent.values()) / rows * 1e3),
        ):
            found.setdefault(what, []).append(value)
    found["connections"] = [counts(url).connections - made]
    return found


def _children() -> list[Any]:
    import psutil

    children: list[Any] = psutil.Process().children()
    return children
