"""Floods into a notebook: a million chunks, a hundred megabytes, and the cells of a long day."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.magic import OURS, in_fresh_kernel
from benchmarks.measure import Limit, Run, Table, interleave
from benchmarks.prose import Prose, served
from benchmarks.server import running
from runagent import RunAgentClient

CORE = "AsyncRunAgentClient alone"
PRINTED = "print of each chunk"
WORKED = "its CPU time, on a busy machine the better measure"
PLAIN = "its text as the cell's value"

_CHUNKS = 1_000_000
_CELLS_CHUNKS = 40
_INTERRUPT = 0.3


def tables(*, quick: bool) -> Iterator[Table]:
    rounds = 1 if quick else 3
    with running() as url:
        _prepare(url)
        yield from _chunks(url, rounds)
        yield _stop(url, rounds)
        yield _cells(url, 300 if quick else 2_000)
    with served() as url:
        yield from _large(url, rounds)


def _prepare(url: str) -> None:
    """Have the server make its million chunks, which takes longer than clients wait."""
    with (
        RunAgentClient(f"chunks-{_CHUNKS}", "key", base_url=url, timeout=600) as client,
        client.run_generic_stream({}) as stream,
    ):
        next(stream)


def _readers(url: str, agent: str, data: str = "{}") -> dict[str, str]:
    """Return the cells that read a stream, by name."""
    made = f"({agent!r}, base_url={url!r})"
    return {
        OURS: f"%%runagent {agent} --base-url {url}\n{data}",
        CORE: "from runagent import AsyncRunAgentClient\n"
        f"async with AsyncRunAgentClient{made} as client:\n"
        f"    async for event in client.stream_events({data}):\n        pass",
        PRINTED: f"from runagent import RunAgentClient\nfor chunk in RunAgentClient{made}"
        f".run_generic_stream({data}):\n    print(chunk, end='')",
    }


def _chunks(url: str, rounds: int) -> Iterator[Table]:
    """Return what a million chunks cost the kernel."""
    costs: dict[str, list[dict[str, float]]] = {}

    def run(name: str, cell: str) -> float:
        costs.setdefault(name, []).append(_cost(cell))
        return 0.0

    cells = _readers(url, f"chunks-{_CHUNKS}")
    candidates: dict[str, Run] = {
        name: lambda name=name, cell=cell: run(name, cell)  # type: ignore[misc]
        for name, cell in cells.items()
    }
    interleave(candidates, rounds, warm_up=0)
    limits = {"CPU": [Limit(OURS, 3, CORE)], "memory": [Limit(OURS, 60)], "iopub": []}
    for what, unit in (("CPU", "s"), ("memory", "MB"), ("iopub", "MB")):
        samples = {name: [cost[what] for cost in found] for name, found in costs.items()}
        title = f"{_CHUNKS:,} chunks in a kernel: {_NAMES[what]}"
        yield Table(title, unit, samples, CORE if what == "CPU" else OURS, limits[what])


_NAMES = {
    "CPU": "CPU",
    "memory": "the most memory, beyond that before",
    "iopub": "bytes on iopub",
}


def _cost(cell: str) -> dict[str, float]:
    """Run a cell in a fresh kernel."""
    with in_fresh_kernel() as kernel:
        process = psutil.Process(kernel.pid)
        cpu, memory = kernel.cpu_seconds(), process.memory_info().rss
        done = kernel.execute(cell, timeout=600).ok()
        kernel.execute("")  # what is still being sent counts too
        sent = [message.size for message in kernel.messages if message.received > done.sent]
        return {
            "CPU": kernel.cpu_seconds() - cpu,
            "memory": (_peak(kernel.pid) - memory) / 1e6,
            "iopub": sum(sent) / 1e6,
        }


def _peak(pid: int) -> int:
    """Return the most memory that a process has had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _stop(url: str, rounds: int) -> Table:
    """Return how long an interrupted flood goes on, and how much work that is."""
    worked: list[float] = []

    def stop() -> float:
        with in_fresh_kernel() as kernel:
            cell = kernel.submit(_readers(url, f"chunks-{_CHUNKS}")[OURS])
            cell.wait_for_output("token")
            time.sleep(1)
            began, cpu = time.perf_counter(), kernel.cpu_seconds()
            kernel.interrupt()
            cell.wait()
            worked.append(kernel.cpu_seconds() - cpu)
            return time.perf_counter() - began

    samples = {**interleave({OURS: stop}, rounds, warm_up=0), WORKED: worked}
    name = f"{_CHUNKS:,} chunks: from the interrupt to the cell's end"
    return Table(name, "s", samples, OURS, [Limit(OURS, _INTERRUPT), Limit(WORKED, _INTERRUPT)])


def _cells(url: str, count: int) -> Table:
    """Return what the kernel keeps of each cell, as IPython keeps the value of each in `Out`.

    One round is enough: its many cells give the same number each time.
    """
    agent = f"chunks-{_CELLS_CHUNKS}"
    read = (
        f"from runagent import RunAgentClient\nclient = RunAgentClient({agent!r}, base_url={url!r})"
    )

    def kept(cell: str) -> float:
        with in_fresh_kernel() as kernel:
            kernel.execute(read).ok()
            for _ in range(100):
                kernel.execute(cell).ok()
            before = _resident(kernel)
            for _ in range(count):
                kernel.execute(cell).ok()
            return (_resident(kernel) - before) / count / 1e3

    ours = f"%%runagent {agent} --base-url {url}\nWhat is a token?"
    plain = "''.join(client.run_generic_stream({'query': 'What is a token?'}))"
    samples = interleave({OURS: lambda: kept(ours), PLAIN: lambda: kept(plain)}, 1, warm_up=0)
    name = f"{count:,} cells of {_CELLS_CHUNKS} chunks: memory that the kernel keeps of each"
    return Table(name, "KB", samples, PLAIN, [Limit(OURS, 3)])


def _resident(kernel: Any) -> int:
    kernel.execute("import gc; gc.collect() and None").ok()
    return int(psutil.Process(kernel.pid).memory_info().rss)


def _large(url: str, rounds: int) -> Iterator[Table]:
    """Return what an answer of 100 MB costs: the text once is 100 MB on the wire."""
    prose = Prose("mixed", 100_000_000, 2_500, 0)
    cells = _readers(url, "prose", prose.input_data)
    del cells[CORE]
    costs: dict[str, list[dict[str, float]]] = {name: [] for name in cells}
    for _ in range(rounds):
        for name, cell in cells.items():
            costs[name].append(_cost(cell))
    limits = {"iopub": [Limit(OURS, 150)], "CPU": [Limit(OURS, 10)], "memory": []}
    for what, unit in (("iopub", "MB"), ("CPU", "s"), ("memory", "MB")):
        samples = {name: [cost[what] for cost in found] for name, found in costs.items()}
        yield Table(f"{prose}: {_NAMES[what]}", unit, samples, OURS, limits[what])
