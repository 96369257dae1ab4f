"""How many requests at a time a busy process makes, in virtual time, and the clocks of both clients."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.faults import FaultServer, answer

from runagent import AsyncRunAgentClient, RunAgentClient
from runagent.many.load import FEWEST, GROWTH, SPAN, WAITED, Load

Serve = Callable[..., FaultServer]

FAST = 0.01
"""Seconds that the fastest answer takes."""


class Process:
    """A process whose batch computes for a part of the time."""

    def __init__(self) -> None:
        self.now = self.computed = 0.0
        self.load = Load(0.0, lambda: self.computed)

    def answer(self, busy: float, latency: float, under_way: int) -> float:
        """Get an answer after a time in which a part is `busy`; return the most requests."""
        self.now += 2 * SPAN
        self.computed += busy * 2 * SPAN
        self.load.answered(self.now, FAST, latency, under_way)
        return self.load.most


def test_a_process_that_computes_all_the_time_makes_no_more_requests() -> None:
    process = Process()
    assert process.answer(0.5, FAST, 10) == math.inf
    assert process.answer(1.0, 2 * FAST, 40) == 40
    assert process.answer(1.0, 2 * FAST, 39) == 39
    assert process.answer(1.0, 2 * FAST, 45) == 39


def test_it_makes_more_once_it_has_time() -> None:
    process = Process()
    process.answer(1.0, 2 * FAST, 40)
    assert process.answer(0.5, 2 * FAST, 40) == 40 * GROWTH
    for _ in range(20):
        process.answer(0.5, 2 * FAST, 40)
    assert process.load.most > 1_000


@pytest.mark.parametrize(
    ("busy", "latency"), [(1.0, FAST), (0.8, 10 * FAST), (1.0, 0.9 * WAITED * FAST)]
)
def test_answers_that_come_at_once_or_a_process_with_time_set_no_limit(
    busy: float, latency: float
) -> None:
    process = Process()
    assert [process.answer(busy, latency, 40) for _ in range(5)] == [math.inf] * 5


def test_a_few_requests_are_always_made() -> None:
    assert Process().answer(1.0, 2 * FAST, 0) == FEWEST


def test_the_threads_of_a_batch_count_what_they_compute(serve: Serve) -> None:
    with RunAgentClient("a", "key", serve(answer({"result": "x"})).url) as client:
        batch = client.map({"number": number} for number in range(20))
        began, own = batch._cpu_seconds(), time.thread_time()
        assert len(batch.results()) == 20
        own = time.thread_time() - own
        assert own < batch._cpu_seconds() - began < time.process_time()


def test_the_thread_of_the_loop_counts_what_it_computes(serve: Serve) -> None:
    async def run() -> None:
        async with AsyncRunAgentClient("a", "key", server.url) as client:
            batch = client.map([{}])
            before = time.thread_time()
            began = batch._cpu_seconds()
            await batch.results()
            assert 0 < batch._cpu_seconds() - began < time.thread_time() - before

    server = serve(answer({"result": "x"}))
    asyncio.run(run())


def test_what_an_executor_computes_is_no_load_of_this_process(serve: Serve) -> None:
    server = serve(answer({"result": "x"}))
    with RunAgentClient("a", "key", server.url) as client, ThreadPoolExecutor() as pool:
        batch = client.map([{}], executor=pool)
        assert [row.output for row in batch.results()] == ["x"]
        assert batch._cpu_seconds() == 0
