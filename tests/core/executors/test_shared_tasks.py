"""Rows that share a task, on real executors: each has its own outcome, key and connection."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.batches import MODES, inputs, with_client
from support.clock import PATIENCE, TICK, until
from support.engines import (
    KEY,
    POOLS,
    Agent,
    Closing,
    Loser,
    Recorder,
    connections_of_workers,
    keys_in,
)
from support.faults import STALL, Do, FaultServer, answer, error

from runagent import RunAgentClient, RunAgentError
from runagent.many import executors
from runagent.many.spread import FIRST_TASKS

Serve = Callable[..., FaultServer]
by_mode = pytest.mark.parametrize("mode", MODES)

ROWS = 60
"""Rows of which most have to wait until one of the first tasks has ended."""

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="forks, and sends signals"),
    # Python 3.12 and later warn of each fork of a process that has threads.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


class Inputs:
    """The inputs of a batch, of which an agent can wait until all have been handed to the workers.

    How rows are spread over tasks depends on how many are due when a task ends.
    """

    def __init__(self, count: int = ROWS) -> None:
        self._count = count
        self._batch: Any = None
        self._sent = threading.Event()

    def __iter__(self) -> Iterator[dict[str, int]]:
        return iter(inputs(self._count))

    def of(self, batch: Any) -> Any:
        """Return the batch, which has these inputs."""
        self._batch = batch
        return batch

    def wait(self, *_: object) -> None:
        until(lambda: self._sent.is_set() or self._are_sent())
        self._sent.set()

    def _are_sent(self) -> bool:
        if self._batch is None:
            return False
        engine = self._batch._engine
        return bool(engine.pace.under_way + engine.finished == self._count)


@by_mode
@pytest.mark.parametrize("pool", ["spawn", "fork", "loky"])
@pytest.mark.usefixtures("keyed")
def test_rows_that_would_wait_for_a_worker_share_tasks_and_their_workers_connections(
    pool: str, mode: str, serve: Serve
) -> None:
    rows = Inputs()
    server = serve([Do(rows.wait), *answer()], answer())
    with POOLS[pool]() as executor:
        recorder = Recorder(executor)

        def use(client: Any) -> Any:
            return rows.of(client.map(rows, executor=recorder, rate=1e6)).results()

        for _ in range(4):
            assert len(with_client(server.url, mode, use)) == ROWS
        connections = connections_of_workers(server.port)
    sizes = [len(keys_in(task)) for task in recorder.tasks]
    assert sum(sizes) == len(server.exchanges) == 4 * ROWS
    assert len(sizes) < 4 * ROWS
    # A process carries out one task at a time.
    assert max(connections.values()) <= max(sizes)
    assert server.connections < 4 * ROWS / 2, "connections are used again"


def test_a_rate_limit_of_some_rows_of_a_task_sends_only_those_again(serve: Serve) -> None:
    rows = Inputs()
    limited = [error(429, "SLOW", "Retry-After: 0.1")] * 5
    server = serve([Do(rows.wait), *answer()], answer(), *limited, answer())
    with ThreadPoolExecutor(4) as threads:
        recorder = Recorder(threads)
        with RunAgentClient("a", "", server.url, PATIENCE, max_retries=0) as client:
            done = rows.of(client.map(rows, executor=recorder, rate=1e6)).results()
    assert [(row.error, row.attempts) for row in done] == [(None, 1)] * ROWS
    assert len(server.exchanges) == ROWS + len(limited)
    assert max(len(keys_in(task)) for task in recorder.tasks) > 1
    sent = Counter(exchange.headers["idempotency-key"] for exchange in server.exchanges)
    assert len(sent) == ROWS


@by_mode
def test_a_row_that_ends_its_workers_takes_no_other_with_it(
    mode: str, url: str, agent: Agent
) -> None:
    rows = Inputs()
    agent.before = rows.wait
    fatal = ROWS - 5
    with ThreadPoolExecutor(4) as threads:
        loser = Loser(b'{"i":%d}' % fatal, threads)
        done = with_client(
            url,
            mode,
            lambda client: rows.of(client.map(rows, executor=loser, rate=1e6)).results(),
            api_key=KEY,
        )
    assert [row.id for row in done if row.error is not None] == [fatal]
    assert done[fatal].error.code == "WORKER_LOST"
    together, *alone = loser.lost
    assert len(together) > 1
    assert len(alone) == 2
    assert {len(keys) for keys in alone} == {1}
    assert sum(map(len, loser.done)) == ROWS - 1
    assert all(len(keys) == 1 for keys in loser.done if set(keys) & set(together))
    assert agent.executed == Counter(set(range(ROWS)) - {fatal})


def test_rows_that_wait_for_a_task_are_not_sent_after_ctrl_c(serve: Serve) -> None:
    rows = Inputs()
    server = serve([STALL], [STALL], answer())

    def interrupt() -> None:
        rows.wait()
        until(lambda: len(server.exchanges) == 2)
        os.kill(os.getpid(), signal.SIGINT)

    with ThreadPoolExecutor(1) as threads:
        recorder = Recorder(threads)
        # A task has no more rows than a worker has connections.
        with RunAgentClient("a", "", server.url, PATIENCE, connection_pool_size=2) as client:
            batch = rows.of(client.map(rows, executor=recorder, rate=1e6, max_concurrency=100))
            interrupter = threading.Thread(target=interrupt)
            interrupter.start()
            with pytest.raises(KeyboardInterrupt, match="0 rows are finished and kept"):
                list(batch)
            interrupter.join()
            assert len(server.exchanges) == 2
            assert [len(keys_in(task)) for task in recorder.tasks] == [2] * FIRST_TASKS
            assert [row.id for row in batch.results()] == list(range(ROWS))
    sent = Counter(exchange.headers["idempotency-key"] for exchange in server.exchanges)
    assert sorted(sent.values()) == [1] * (ROWS - 2) + [2] * 2


def test_a_thread_of_this_process_has_one_row_at_a_time(serve: Serve) -> None:
    server = serve(answer())
    with ThreadPoolExecutor(2) as threads, RunAgentClient("a", "", server.url) as client:
        assert len(client.map(Inputs(), executor=threads, rate=1e6).results()) == ROWS
        assert server.connections <= 2


def test_large_inputs_share_no_task(serve: Serve) -> None:
    rows = Inputs()
    large = "x" * 600_000
    server = serve([Do(rows.wait), *answer()], answer())
    with ThreadPoolExecutor(2) as threads:
        recorder = Recorder(threads)
        with RunAgentClient("a", "", server.url) as client:
            large_rows = ({**row, "text": large} for row in rows)
            batch = rows.of(client.map(large_rows, executor=recorder, rate=1e6))
            assert len(batch.results()) == ROWS
    assert max(len(keys_in(task)) for task in recorder.tasks) <= 2


@by_mode
def test_a_task_that_is_lost_while_the_executor_closes_ends_the_batch(
    mode: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "QUIET", TICK)
    server = serve(answer())
    finished: list[Any] = []

    def use(client: Any) -> Any:
        batch = client.map(inputs(3), executor=Closing(pool, 3), max_concurrency=1)
        finished.append(batch)
        return batch.results()

    with (
        ThreadPoolExecutor(2) as pool,
        pytest.raises(RunAgentError, match="Closing takes no more tasks") as caught,
    ):
        with_client(server.url, mode, use)
    assert caught.value.code == "EXECUTOR_BROKEN"
    assert [batch.finished for batch in finished] == [2]
