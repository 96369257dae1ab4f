"""`map` on a real cluster of Dask: answers, lost workers and schedulers, and no key in any task."""

from __future__ import annotations

import contextlib
import io
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.batches import MODES, inputs, with_client
from support.clock import MOMENT, PATIENCE, TICK
from support.dask_cluster import NO_PACKAGE, Commands, commands, kill
from support.engines import KEY, Agent, Recorder, connections_of_workers, keys_in
from support.faults import FaultServer, answer
from support.page import examples

from runagent import RunAgentClient, RunAgentError
from runagent.local import serve as serve_agents

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="ends processes by signals"),
    pytest.mark.filterwarnings("default"),  # of Dask, and of Tornado below it
]
by_mode = pytest.mark.parametrize("mode", MODES)


@pytest.fixture(scope="module")
def dask_client() -> Iterator[Any]:
    """Start a cluster of two processes that gives a task up with the first worker it loses."""
    before = os.environ.get("RUNAGENT_API_KEY")
    os.environ["RUNAGENT_API_KEY"] = KEY
    settings = {"distributed.scheduler.allowed-failures": 0}
    try:
        with (
            dask.config.set(settings),
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=2, processes=True, dashboard_address=":0"
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client
    finally:
        del os.environ["RUNAGENT_API_KEY"]
        if before is not None:
            os.environ["RUNAGENT_API_KEY"] = before


@pytest.fixture
def agent() -> Agent:
    return Agent()


@pytest.fixture
def url(agent: Agent) -> Iterator[str]:
    """Serve the agent to whoever has the key, and honour the keys of rows."""
    with serve_agents({"a": agent}, api_key=KEY) as server:
        yield server.url


@by_mode
def test_a_cluster_answers_as_the_client_does(
    mode: str, dask_client: Any, url: str, agent: Agent
) -> None:
    executor = dask_client.get_executor(pure=False, retries=0)
    rows = with_client(
        url,
        mode,
        lambda client: client.map(inputs(50), executor=executor).results(),
        api_key=KEY,
    )
    assert [(row.output, row.error, row.attempts) for row in rows] == [
        (2 * i, None, 1) for i in range(50)
    ]
    assert agent.executed == Counter(range(50))


@by_mode
def test_a_worker_has_no_more_connections_than_calls_in_flight(
    mode: str, dask_client: Any, serve: Callable[..., FaultServer]
) -> None:
    server = serve(answer())
    recorder = Recorder(dask_client.get_executor(pure=False, retries=0))

    def use(client: Any) -> Any:
        return client.map(inputs(300), executor=recorder, rate=1e6, max_concurrency=40).results()

    for _ in range(2):
        assert len(with_client(server.url, mode, use)) == 300
    connections = connections_of_workers(server.port)
    assert len(server.exchanges) == 600
    # Each of the two threads of a worker carries out one task at a time.
    assert max(connections.values()) <= 2 * max(len(keys_in(task)) for task in recorder.tasks)
    assert server.connections < 600 / 2, "connections are used again"


def test_the_executor_of_dask_is_asked_for(dask_client: Any) -> None:
    with (
        RunAgentClient("a", KEY, "http://127.0.0.1:9") as client,
        pytest.raises(RunAgentError, match=r"get_executor\(pure=False, retries=0\)"),
    ):
        client.map(inputs(1), executor=dask_client)


def test_the_same_row_is_sent_anew_where_dask_takes_calls_for_pure(
    dask_client: Any, url: str, agent: Agent
) -> None:
    executor = dask_client.get_executor(pure=True)
    with RunAgentClient("a", KEY, url) as client:
        batch = client.map([{"wrong": 1}], executor=executor)
        assert batch.results()[0].error is not None
        assert batch.retry_failed().results()[0].error is not None
        assert client.map(inputs(2), executor=executor).results()[1].output == 2


def test_the_key_is_in_no_task_no_state_and_no_log(
    dask_client: Any, url: str, agent: Agent, tmp_path: Path
) -> None:
    dumped: list[bytes] = []

    def dump(i: int) -> None:
        if i == 5:  # in the middle of the batch, with tasks under way
            dask_client.dump_cluster_state(str(tmp_path / "state"), format="yaml")
            dumped.append((tmp_path / "state.yaml").read_bytes())
            dumped.extend(_all_tasks(dask_client))

    agent.before = dump
    executor = dask_client.get_executor(pure=False, retries=0)
    with RunAgentClient("a", KEY, url) as client:
        assert len(client.map(inputs(20), executor=executor).results()) == 20
    dumped.append(repr(dask_client.get_worker_logs()).encode())
    dumped.append(repr(dask_client.get_scheduler_logs()).encode())
    assert any(b"attempt" in part for part in dumped), "the tasks are in what is looked through"
    assert any(url.encode() in part for part in dumped)
    assert not any(KEY.encode() in part for part in dumped)


def _all_tasks(dask_client: Any) -> list[bytes]:
    """Return the tasks that the scheduler holds, pickled."""
    from distributed.protocol import pickle

    tasks = dask_client.cluster.scheduler.tasks
    return [pickle.dumps(state.run_spec) for state in list(tasks.values())]


def test_rows_of_a_killed_worker_are_paid_for_once(
    dask_client: Any, url: str, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNAGENT_API_KEY", KEY)  # for the worker that takes its place
    killed = threading.Event()

    def kill_one(i: int) -> None:
        if i == 9 and not killed.is_set():
            killed.set()
            kill(next(iter(dask_client.cluster.workers.values())).pid)
        time.sleep(TICK)

    agent.before = kill_one
    executor = dask_client.get_executor(pure=False, retries=0)
    with RunAgentClient("a", KEY, url) as client:
        rows = client.map(inputs(60), executor=executor, max_concurrency=8).results()
    assert [(row.output, row.error) for row in rows] == [(2 * i, None) for i in range(60)]
    assert killed.is_set()
    assert agent.executed == Counter(range(60))


def test_the_recipes_of_the_page(dask_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    executed: Counter[str] = Counter()

    def agent(query: str) -> str:
        executed[query] += 1
        return query.upper()

    code = examples("how-to/clusters.md", "dask")
    code = code.replace("tcp://scheduler:8786", dask_client.scheduler.address)
    names: dict[str, Any] = {"__name__": "__main__"}  # so that its functions travel by value
    with serve_agents({"agent-123": agent}, api_key=KEY) as server:
        settings = {"RUNAGENT_API_URL": server.url, "RUNAGENT_API_KEY": KEY, "RATE_SHARE": "1000"}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        dask_client.wait_for_workers(2)  # one may be new
        dask_client.run(lambda: os.environ.update(settings))
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code, names)
        once = Counter(f"Review {i}" for i in range(100))
        assert [row.output for row in names["rows"]] == [f"REVIEW {i}" for i in range(100)]
        assert "100 rows; 100 with an answer" in printed.getvalue()
        assert executed == once + once, (
            "by an executor, and as a table: nothing is called for a schema"
        )
        lazy = names["table"].map_partitions(names["answer"], meta=names["meta"])
        assert len(lazy["answer"].compute()) == len(lazy.compute()) == 100
        assert executed == once + once, "a plan that runs again is answered by its keys"
        names["dask_client"].close()


@pytest.fixture(scope="module")
def by_commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Commands, Any]]:
    """Start a scheduler and workers by their commands, each with a home of its own."""
    with commands(tmp_path_factory.mktemp("cluster")) as cluster:
        cluster.worker("with-key", key=KEY)
        cluster.worker("with-file", in_file=KEY)
        cluster.worker("without-package", preload=NO_PACKAGE)
        with distributed.Client(cluster.address, timeout=PATIENCE) as client:
            client.wait_for_workers(3)
            yield cluster, client


def test_a_worker_without_the_package_is_named(
    by_commands: tuple[Commands, Any], url: str, agent: Agent
) -> None:
    executor = by_commands[1].get_executor(pure=False, retries=0, workers=["without-package"])
    with (
        RunAgentClient("a", KEY, url) as client,
        pytest.raises(RunAgentError, match=r"Worker .*, process \d+: It has no runagent"),
    ):
        client.map(inputs(3), executor=executor).results()
    assert not agent.executed


def test_a_scheduler_that_is_lost_ends_the_batch_and_a_rerun_pays_for_nothing_twice(
    by_commands: tuple[Commands, Any], url: str, agent: Agent, tmp_path: Path
) -> None:
    cluster, dask_client = by_commands
    journal = tmp_path / "a.journal"
    executor = dask_client.get_executor(pure=False, retries=0, workers=["with-key", "with-file"])

    dask_client._timeout = MOMENT  # the time in which it hopes for the scheduler to come back

    def end_scheduler(i: int) -> None:
        if i == 40:
            kill(cluster.scheduler.pid)

    agent.before = end_scheduler
    with RunAgentClient("a", KEY, url) as client:
        rows = client.map(inputs(30), executor=executor, journal=journal).results()
        assert [row.output for row in rows] == [2 * i for i in range(30)]
        with pytest.raises(RunAgentError, match="ClientExecutor takes no more tasks") as caught:
            client.map(inputs(60), executor=executor, journal=journal).results()
        assert caught.value.code == "EXECUTOR_BROKEN"
        assert "same journal" in str(caught.value)
        rows = client.map(inputs(60), journal=journal).results()
    assert [row.output for row in rows] == [2 * i for i in range(60)]
    assert agent.executed == Counter(range(60))
    assert KEY not in cluster.logs()
