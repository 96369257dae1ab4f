"""The settings of `map` with an executor: what travels to workers, and what is refused."""

from __future__ import annotations

import dataclasses
import os
import ssl
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.batches import inputs
from support.engines import (
    KEY,
    POOLS,
    Agent,
    Recorder,
)
from support.faults import FaultServer, answer

from runagent import (
    AuthenticationError,
    RunAgentClient,
    ValidationError,
)

Serve = Callable[..., FaultServer]
by_pool = pytest.mark.parametrize("pool", POOLS)

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="forks, and ends processes by signals"),
    # Python 3.12 and later warn of each fork of a process that has threads.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


@by_pool
@pytest.mark.usefixtures("keyed")
def test_neither_a_client_nor_the_key_travels(pool: str, url: str) -> None:
    with POOLS[pool]() as executor, RunAgentClient("a", KEY, url) as client:
        recorder = Recorder(executor)
        rows = client.map([{"i": 1}, {"wrong": KEY[:3]}], executor=recorder).results()
    assert [type(row.error) for row in rows] == [type(None), ValidationError]
    assert len(recorder.tasks) == len(recorder.replies) == 2
    for pickled in recorder.tasks + recorder.replies:
        assert KEY.encode() not in pickled
        assert b"RunAgentClient" not in pickled
        assert len(pickled) < 2_000


@by_pool
def test_the_key_travels_if_asked_to(pool: str, url: str) -> None:
    with POOLS[pool]() as executor, RunAgentClient("a", KEY, url) as client:
        [row] = client.map(inputs(1), executor=executor, credentials="ship").results()
    assert row.output == 0


def test_threads_of_this_process_need_nothing_sent(url: str) -> None:
    headers = {"X-Secret": "not-for-tasks-5521"}
    with ThreadPoolExecutor(1) as executor:
        recorder = Recorder(executor)
        with RunAgentClient("a", KEY, url, headers=headers) as client:
            [row] = client.map(inputs(1), executor=recorder).results()
    assert row.output == 0
    assert KEY.encode() not in recorder.tasks[0]
    assert headers["X-Secret"].encode() not in recorder.tasks[0]


@pytest.mark.parametrize("pool", ["spawn", "fork", "loky"])
def test_a_worker_without_a_key_is_named_and_its_row_is_kept_for_later(
    pool: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "a.journal"
    with RunAgentClient("a", KEY, url) as client:
        with (
            POOLS[pool]() as executor,
            pytest.raises(AuthenticationError, match=r"Worker .*process \d+.*RUNAGENT_API_KEY"),
        ):
            client.map(inputs(3), executor=executor, journal=journal).results()
        monkeypatch.setenv("RUNAGENT_API_KEY", KEY)
        with POOLS[pool]() as executor:
            rows = client.map(inputs(3), executor=executor, journal=journal).results()
    assert [row.output for row in rows] == [0, 2, 4]


@pytest.mark.usefixtures("keyed")
def test_a_secret_header_is_withheld_and_named(url: str) -> None:
    headers = {"X-Api-Token": "not-for-tasks-5521", "Accept-Language": "de"}
    with POOLS["fork"]() as executor, RunAgentClient("a", KEY, url, headers=headers) as client:
        recorder = Recorder(executor)
        with pytest.raises(AuthenticationError, match=r"the header X-Api-Token.*ship"):
            client.map(inputs(1), executor=recorder).results()
        assert headers["X-Api-Token"].encode() not in recorder.tasks[0]
        assert client.map(inputs(1), executor=executor, credentials="ship").results()[0].output == 0


def test_headers_and_settings_reach_the_server(serve: Serve) -> None:
    server = serve(answer())
    with (
        POOLS["fork"]() as executor,
        RunAgentClient("a", "", server.url, headers={"Accept-Language": "de"}) as client,
    ):
        batch = client.map(
            [("row-1", {"q": "?"})], executor=executor, headers={"X-Request-Id": "r-1"}
        )
        [row] = batch.results()
    [exchange] = server.exchanges
    assert row.id == "row-1"
    assert exchange.json == {"q": "?"}
    assert exchange.headers["accept-language"] == "de"
    assert exchange.headers["x-request-id"] == "r-1"
    assert "authorization" not in exchange.headers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"executor": 3}, r"executor= is of type builtins\.int.*concurrent\.futures\.Executor"),
        ({"credentials": "ship"}, r"credentials= is about the workers of an executor"),
        ({"credentials": KEY}, r'credentials= is neither None nor "ship"'),
    ],
    ids=["executor", "alone", "credentials"],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with RunAgentClient("a", KEY, "http://127.0.0.1:9") as client:
        with pytest.raises(ValidationError, match=message) as caught:
            client.map(inputs(1), **arguments)
        assert KEY not in str(caught.value)


def test_a_function_that_makes_no_executor_is_named() -> None:
    with (
        RunAgentClient("a", KEY, "http://127.0.0.1:9") as client,
        pytest.raises(ValidationError, match=r"function executor= returned .* type builtins\.int"),
    ):
        client.map(inputs(1), executor=lambda: 3).results()  # type: ignore[arg-type]


def test_a_client_that_is_no_plain_data_is_refused(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        with (
            httpx2.Client() as own,
            RunAgentClient("a", KEY, "http://127.0.0.1:9", http_client=own) as client,
            pytest.raises(ValidationError, match="its own http_client= cannot be sent"),
        ):
            client.map(inputs(1), executor=executor)
        context = ssl.create_default_context()
        with (
            RunAgentClient("a", KEY, "http://127.0.0.1:9", verify_ssl=context) as client,
            pytest.raises(ValidationError, match="an SSLContext"),
        ):
            client.map(inputs(1), executor=executor, credentials="ship")


def test_the_key_is_sent_with_a_warning_where_it_may_be_read_on_its_way(url: str) -> None:
    with ThreadPoolExecutor(1) as threads, RunAgentClient("a", KEY, url) as client:
        with pytest.warns(UserWarning, match="not known to be encrypted") as caught:
            batch = client.map(inputs(1), executor=Recorder(threads), credentials="ship")
        assert caught[0].filename == __file__
        assert batch.results()[0].output == 0


def test_the_same_batch_id_gives_the_same_keys_everywhere(url: str, agent: Agent) -> None:
    rows = [("a", {"i": 1}), ("b", {"i": 2})]
    with RunAgentClient("a", KEY, url) as client:
        for batch_id in ("monday", "monday", "tuesday"):
            assert len(client.map(rows, batch_id=batch_id).results()) == 2
        assert agent.executed == Counter({1: 2, 2: 2})
        with pytest.raises(ValidationError, match="batch_id="):
            client.map(rows, batch_id=7)  # type: ignore[arg-type]


def test_a_journal_knows_its_batch_id(url: str, tmp_path: Path) -> None:
    journal = tmp_path / "a.journal"
    with RunAgentClient("a", KEY, url) as client:
        client.map(inputs(1), journal=journal, batch_id="monday").results()
        with pytest.raises(ValidationError, match="batch_id is"):
            client.map(inputs(1), journal=journal, batch_id="tuesday")


@dataclasses.dataclass
class Sum:
    """An answer."""

    total: int


def test_answers_of_workers_are_read_into_models(serve: Serve) -> None:
    server = serve(answer({"result": {"total": 3}}))
    with POOLS["fork"]() as executor, RunAgentClient("a", "", server.url) as client:
        [row] = client.map([{"q": "?"}], executor=executor, response_model=Sum).results()
    assert row.output == Sum(3)
