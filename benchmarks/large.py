"""Large payloads: one answer of 100 MB, one input of 1 MB."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from benchmarks import child, peers
from benchmarks.measure import Limit, Run, Table, interleave
from benchmarks.server import running


def answer(*, rounds: int, megabytes: int) -> Iterator[Table]:
    names = ["httpx2", "runagent", *(["httpx"] if peers.installed("httpx") else [])]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    with running() as url:
        for _ in range(rounds):
            for name in names:
                found[name].append(child.run("answer", name, url, f"large-{megabytes}"))
    for key, unit, factor in (("seconds", "s", 1.2), ("peak", "MB", 1.1)):
        samples = {name: [one[key] for one in ones] for name, ones in found.items()}
        table = Table(f"one answer of {megabytes} MB: {key}", unit, samples, "httpx2")
        leanest = min((name for name in names if name != "runagent"), key=table.median)
        table.limits.append(Limit("runagent", factor, leanest))
        yield table


def nested_input(*, rounds: int, levels: int) -> Iterator[Table]:
    import httpx2

    import runagent

    data = child.nested(levels)
    with running() as url, ExitStack() as stack:
        ours = stack.enter_context(runagent.RunAgentClient("small", "key", url, peers.TIMEOUT))
        raw = stack.enter_context(httpx2.Client(timeout=peers.TIMEOUT))
        candidates: dict[str, Run] = {
            "httpx2": lambda: _timed(lambda: raw.post(f"{url}/small/invoke", json=data).json()),
            "runagent": lambda: _timed(lambda: ours.run_generic(data)),
        }
        if peers.installed("httpx"):
            import httpx

            old = stack.enter_context(httpx.Client(timeout=peers.TIMEOUT))
            candidates["httpx"] = lambda: _timed(
                lambda: old.post(f"{url}/small/invoke", json=data).json()
            )
        samples = interleave(candidates, rounds)
    table = Table("one input of nested dictionaries, 1 MB", "ms", samples, "httpx2")
    leanest = min((name for name in candidates if name != "runagent"), key=table.median)
    table.limits.append(Limit("runagent", 1.2, leanest))
    yield table


def _timed(work: Any) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3
