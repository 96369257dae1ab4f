"""`map` with an executor: journal and pace stay here, workers send, and no secret travels."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.batches import MODES, inputs, with_client
from support.clock import MOMENT, PATIENCE, until
from support.engines import (
    KEY,
    POOLS,
    Agent,
    Canceller,
    pretend_other_version,
)
from support.faults import STALL, Do, FaultServer, answer, error
from support.page import examples

from runagent import (
    NetworkError,
    RunAgentClient,
    RunAgentError,
)
from runagent.local import serve as serve_agents
from runagent.many import Row

Serve = Callable[..., FaultServer]
by_mode = pytest.mark.parametrize("mode", MODES)
by_pool = pytest.mark.parametrize("pool", POOLS)

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="forks, and ends processes by signals"),
    # Python 3.12 and later warn of each fork of a process that has threads.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def running() -> set[int]:
    """Return the ids of the processes that this one has started."""
    return {child.pid for child in multiprocessing.active_children() if child.pid is not None}


def kill_one_worker(before: set[int]) -> None:
    """End one of the processes that were started since then, as the kernel does without memory."""
    os.kill(min(running() - before), signal.SIGKILL)


@by_mode
@by_pool
@pytest.mark.usefixtures("keyed")
def test_an_executor_answers_as_the_client_does(
    pool: str, mode: str, url: str, agent: Agent
) -> None:
    with POOLS[pool]() as executor:
        rows = with_client(
            url,
            mode,
            lambda client: client.map(inputs(30), executor=executor).results(),
            api_key=KEY,
        )
    assert [(row.id, row.output, row.error, row.attempts) for row in rows] == [
        (i, 2 * i, None, 1) for i in range(30)
    ]
    assert agent.executed == Counter(range(30))


@pytest.mark.parametrize("pool", ["threads", "fork"])
def test_a_rate_limit_comes_back_as_a_value_and_closes_the_one_gate(
    pool: str, serve: Serve
) -> None:
    server = serve(*[error(429, "SLOW", "Retry-After: 0.1")] * 4, answer())
    with POOLS[pool]() as executor, RunAgentClient("a", "", server.url, max_retries=0) as client:
        rows = client.map(inputs(4), executor=executor).results()
    assert [(row.error, row.attempts) for row in rows] == [(None, 1)] * 4
    assert len(server.exchanges) == 8


@pytest.mark.parametrize("kind", ["fork", "loky"])
@pytest.mark.usefixtures("keyed")
def test_rows_of_a_killed_worker_are_sent_again_under_the_same_key(
    kind: str, url: str, agent: Agent
) -> None:
    before = running()
    killed = threading.Event()

    def kill(i: int) -> None:
        if i == 7 and not killed.is_set():
            killed.set()
            kill_one_worker(before)
            time.sleep(MOMENT)  # with the row still under way

    agent.before = kill
    with RunAgentClient("a", KEY, url) as client:
        rows = client.map(inputs(40), executor=POOLS[kind]).results()
    assert [(row.output, row.error) for row in rows] == [(2 * i, None) for i in range(40)]
    assert max(row.attempts for row in rows) == 2
    assert agent.executed == Counter(range(40)), "nothing is paid for twice"


@pytest.mark.usefixtures("keyed")
def test_a_pool_that_broke_ends_the_batch_and_another_goes_on(
    url: str, agent: Agent, tmp_path: Path
) -> None:
    before = running()

    def kill(i: int) -> None:
        if i == 25 and not agent.executed[1000]:
            agent.executed[1000] += 1
            kill_one_worker(before)
            time.sleep(MOMENT)

    agent.before = kill
    journal = tmp_path / "a.journal"
    with RunAgentClient("a", KEY, url) as client:
        with (
            POOLS["fork"]() as executor,
            pytest.raises(
                RunAgentError, match=r"ProcessPoolExecutor takes no more tasks"
            ) as caught,
        ):
            client.map(inputs(40), executor=executor, journal=journal).results()
        with POOLS["fork"]() as executor:
            rows = client.map(inputs(40), executor=executor, journal=journal).results()
    assert caught.value.code == "EXECUTOR_BROKEN"
    assert re.search(r"Its workers were .*, process \d+", caught.value.message)
    assert "same journal" in str(caught.value)
    assert [row.output for row in rows] == [2 * i for i in range(40)]
    del agent.executed[1000]
    assert agent.executed == Counter(range(40)), "nothing is paid for twice"


def test_a_pool_whose_workers_never_start_is_replaced_a_few_times_at_most(url: str) -> None:
    made: list[Executor] = []

    def make() -> Executor:
        executor = ProcessPoolExecutor(
            1, multiprocessing.get_context("fork"), initializer=os._exit, initargs=(3,)
        )
        made.append(executor)
        return executor

    with RunAgentClient("a", KEY, url) as client:
        batch = client.map(inputs(3), executor=make)
        rows = batch.results()
    assert [(type(row.error), row.attempts) for row in rows] == [(NetworkError, 3)] * 3
    assert "lost the worker of this row" in str(rows[0].error)
    assert len(made) <= 10


@by_mode
def test_a_cancelled_task_is_sent_again_under_the_same_key(mode: str, url: str) -> None:
    with ThreadPoolExecutor(2) as threads:
        canceller = Canceller(2, threads)
        [row] = with_client(
            url,
            mode,
            lambda client: client.map(inputs(1), executor=canceller).results(),
            api_key=KEY,
        )
    assert (row.output, row.attempts) == (0, 3)
    assert len(canceller.keys) == 3
    assert len(set(canceller.keys)) == 1


def test_a_row_that_is_lost_again_and_again_fails(url: str, agent: Agent) -> None:
    with ThreadPoolExecutor(2) as threads, RunAgentClient("a", KEY, url) as client:
        [row] = client.map(inputs(1), executor=Canceller(5, threads)).results()
    assert isinstance(row.error, NetworkError)
    assert row.error.code == "WORKER_LOST"
    assert "Canceller lost the worker of this row: CancelledError" in row.error.message
    assert not agent.executed


@pytest.mark.usefixtures("keyed")
def test_a_worker_with_another_version_ends_the_batch(
    url: str, tmp_path: Path, agent: Agent
) -> None:
    journal = tmp_path / "a.journal"
    fork = multiprocessing.get_context("fork")
    message = r"Worker .*process \d+: It has runagent 0\.0\.1, and this batch is run by runagent"
    with RunAgentClient("a", KEY, url) as client:
        with (
            ProcessPoolExecutor(1, fork, initializer=pretend_other_version) as executor,
            pytest.raises(RunAgentError, match=message) as caught,
        ):
            client.map(inputs(3), executor=executor, journal=journal).results()
        assert "Install the same version there" in str(caught.value)
        assert not agent.executed
        assert len(client.map(inputs(3), journal=journal).results()) == 3


def test_ctrl_c_keeps_the_answers_and_iterating_again_goes_on(serve: Serve) -> None:
    ready = threading.Event()
    server = serve(answer(), [Do(ready.set), STALL], answer({"result": "late"}))

    def interrupt() -> None:
        ready.wait()
        os.kill(os.getpid(), signal.SIGINT)

    with ThreadPoolExecutor(2) as executor, RunAgentClient("a", "", server.url, PATIENCE) as client:
        batch = client.map(inputs(5), executor=executor, max_concurrency=1)
        threading.Thread(target=interrupt).start()
        seen: list[Row] = []
        with pytest.raises(KeyboardInterrupt, match="1 rows are finished and kept"):
            seen.extend(batch)
        assert [row.id for row in batch.results()] == [0, 1, 2, 3, 4]
    keys = [exchange.headers["idempotency-key"] for exchange in server.exchanges]
    assert keys[1] == keys[2]
    assert len(set(keys)) == 5


def test_ctrl_c_in_a_terminal_ends_the_workers_too_and_a_rerun_pays_for_nothing_twice(
    url: str, agent: Agent, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from runagent import RunAgentClient

if __name__ == "__main__":
    pool = partial(ProcessPoolExecutor, 2, multiprocessing.get_context("spawn"))
    with RunAgentClient("a", base_url={url!r}) as client:
        inputs = [{{"i": i}} for i in range(20)]
        batch = client.map(inputs, executor=pool, journal="a.journal", max_concurrency=4)
        print([row.output for row in batch.results()])
"""
    )
    reached = threading.Event()

    def wait_at_eight(i: int) -> None:
        if i >= 8 and not reached.is_set():
            reached.set()
            time.sleep(MOMENT)

    agent.before = wait_at_eight

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(script)],
            cwd=tmp_path,
            env={**os.environ, "RUNAGENT_API_KEY": KEY},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    with start() as first:
        until(lambda: reached.is_set() or first.poll() is not None)
        os.killpg(first.pid, signal.SIGINT)
        _, told = first.communicate(timeout=PATIENCE)
    assert re.search(r"KeyboardInterrupt: The batch was stopped: \d+ rows are finished", told)
    assert KEY not in told
    with start() as second:
        output, told = second.communicate(timeout=PATIENCE)
    assert output.strip() == str([2 * i for i in range(20)]), told
    assert agent.executed == Counter(range(20))


def test_the_batch_is_told_when_its_client_is_closed(serve: Serve) -> None:
    stalled = threading.Event()
    server = serve([Do(stalled.set), STALL])
    with ThreadPoolExecutor(1) as executor:
        client = RunAgentClient("a", "", server.url, PATIENCE)

        def close() -> None:
            stalled.wait()
            client.close()

        threading.Thread(target=close).start()
        with pytest.raises(RunAgentError, match="closed"):
            client.map(inputs(1), executor=executor).results()


@by_mode
@pytest.mark.usefixtures("keyed")
def test_rows_that_failed_are_asked_again_with_another_executor(
    mode: str, url: str, agent: Agent
) -> None:
    failing = {3}

    def fail(i: int) -> None:
        if i in failing:
            failing.clear()
            raise ValueError("no")

    agent.before = fail

    def use(client: Any) -> Any:
        batch = client.map(inputs(5), executor=POOLS["fork"])
        if mode == "sync":
            batch.results()
            return batch.retry_failed().results()

        async def again() -> Any:
            await batch.results()
            return await (await batch.retry_failed()).results()

        return again()

    rows = with_client(url, mode, use, api_key=KEY)
    assert [row.output for row in rows] == [2 * i for i in range(5)]
    assert agent.executed[3] == 2


def test_the_first_recipe_of_the_page(tmp_path: Path) -> None:
    with serve_agents({"agent-123": lambda query: query.upper()}, api_key=KEY) as server:
        (tmp_path / "recipe.py").write_text(examples("how-to/clusters.md", ""))
        done = subprocess.run(
            [sys.executable, "recipe.py"],
            cwd=tmp_path,
            env={**os.environ, "RUNAGENT_API_URL": server.url, "RUNAGENT_API_KEY": KEY},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
    assert done.stdout == "100 rows have an answer\n"
