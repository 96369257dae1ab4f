"""The spread of rows over tasks, on simulated executors: virtual time, and no I/O."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from runagent.many.spread import FEWEST_TASKS, FIRST_TASKS, Spread

MANY = 1_000


def simulate(
    rows: int,
    at_once: int,
    workers: int,
    row: Callable[[], float],
    cost: float = 0.0,
    most_rows: int = MANY,
) -> tuple[list[int], float]:
    """Have an executor carry out the tasks of a batch.

    Args:
        rows: The rows of the batch.
        at_once: Rows under way at the same time.
        workers: Tasks that are carried out at the same time.
        row: Returns the seconds that a row takes.
        cost: Seconds of each task for which the one scheduler of the executor is busy.
        most_rows: Rows of a task, at most.

    Returns:
        The sizes of the tasks in the order in which they ended, and the seconds in all.
    """
    spread = Spread(most_rows)
    now = scheduler = 0.0
    left, due = rows, 0
    under_way: dict[int, int] = {}  # the rows of each task
    queue: deque[_Task] = deque()
    running: list[tuple[float, int, _Task]] = []
    sizes = []
    for number in itertools.count():
        asked = min(left, at_once - due - sum(under_way.values()))
        left, due = left - asked, due + asked
        while due and (size := spread.rows(due, under_way.values())):
            task = _Task(now, len(under_way) + 1, [row() for _ in range(size)])
            due, under_way[id(task)] = due - size, size
            queue.append(task)
        while queue and len(running) < workers:
            task = queue.popleft()
            scheduler = max(scheduler, now) + cost
            heapq.heappush(running, (scheduler + max(task.times), number + id(task), task))
        if not running:
            break
        now, _, task = heapq.heappop(running)
        sizes.append(under_way.pop(id(task)))
        spread.ended(task.submitted, now, task.under_way, task.times)
    assert sum(sizes) == rows
    return sizes, now


@dataclass(frozen=True)
class _Task:
    submitted: float
    under_way: int
    times: list[float]


def seldom(slow: float, fast: float, chance: random.Random) -> Callable[[], float]:
    """Return a function for the seconds of rows of which one in a hundred is slow."""
    return lambda: slow if chance.random() < 0.01 else fast


def test_slow_rows_have_a_task_each_where_there_are_workers() -> None:
    sizes, seconds = simulate(2_000, 100, workers=100, row=lambda: 2.0, cost=0.005)
    assert set(sizes[len(sizes) // 2 :]) == {1}
    assert seconds < 1.2 * 2_000 / 100 * 2.0


def test_small_batches_are_never_put_together() -> None:
    for workers in (1, 2, 100):
        sizes, _ = simulate(FIRST_TASKS, 100, workers=workers, row=lambda: 0.02, cost=0.005)
        assert set(sizes) == {1}


@pytest.mark.parametrize("seconds", [0.02, 2.0])
def test_a_few_processes_have_all_rows_under_way(seconds: float) -> None:
    sizes, took = simulate(5_000, 100, workers=2, row=lambda: seconds, cost=0.001)
    assert max(sizes) <= 50
    assert took < 1.5 * 5_000 / 100 * seconds, "nearly as if each row had a worker"


def test_fast_rows_share_the_cost_of_a_task() -> None:
    sizes, took = simulate(5_000, 64, workers=32, row=lambda: 0.02, cost=0.006)
    alone, took_alone = simulate(5_000, 64, workers=32, row=lambda: 0.02, cost=0.006, most_rows=1)
    assert len(alone) == 5_000
    assert len(sizes) < 5_000 / 8
    assert took < took_alone / 4


def test_a_few_very_slow_rows_hold_up_few_others() -> None:
    chance = random.Random(1)
    rows = seldom(10.0, 0.05, chance)
    sizes, took = simulate(5_000, 100, workers=200, row=rows, cost=0.001)
    _, took_alone = simulate(5_000, 100, workers=200, row=rows, cost=0.001, most_rows=1)
    assert sum(size for size in sizes if size > 4) < 5_000 / 4
    assert took < 1.5 * took_alone


def test_the_spread_follows_when_the_rows_become_slow() -> None:
    began = iter(range(6_000))
    sizes, _ = simulate(
        6_000, 64, workers=64, row=lambda: 0.01 if next(began) < 3_000 else 1.0, cost=0.005
    )
    assert max(sizes) > 8
    assert set(sizes[-64:]) == {1}


def test_there_is_always_a_task_for_a_second_worker() -> None:
    spread = Spread(MANY)
    for _ in range(100):
        spread.ended(0.0, 100.0, 16, [0.001])
    assert spread.rows(10, [3] * (FEWEST_TASKS - 1)) > 0
    assert spread.rows(10, [3] * FEWEST_TASKS) == 0
