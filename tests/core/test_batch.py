"""Many inputs: bounded concurrency, answers in order, progress, and an end at the first error."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.calls import MODES
from support.clock import MOMENT, PATIENCE, SOON, TICK, TIMEOUT
from support.faults import STALL, FaultServer, Pause, answer, error

from runagent import (
    AsyncRunAgentClient,
    NetworkError,
    RunAgentClient,
    RunAgentError,
    ValidationError,
)
from runagent import (
    TimeoutError as RunAgentTimeoutError,
)

Serve = Callable[..., FaultServer]
by_mode = pytest.mark.parametrize("mode", MODES)


def batch(url: str, mode: str, inputs: Any, options: Any = None, **arguments: Any) -> Any:
    options = {"base_url": url, "retry_delay": TICK, "timeout": PATIENCE, **(options or {})}

    async def main() -> Any:
        async with AsyncRunAgentClient("a", **options) as client:
            return await client.batch_run(inputs, **arguments)

    if mode == "async":
        return asyncio.run(main())
    with RunAgentClient("a", **options) as client:
        return client.batch_run(inputs, **arguments)


@by_mode
def test_answers_come_in_the_order_of_the_inputs(mode: str, serve: Serve) -> None:
    # The first answers are the slowest.
    scripts = [[Pause(0.4 - i * 0.1), *answer({"result": {"n": i}})] for i in range(4)]
    server = serve(*scripts)
    progress: list[tuple[int, int]] = []
    results = batch(
        server.url,
        mode,
        [{"i": i} for i in range(4)],
        on_progress=lambda done, total: progress.append((done, total)),
    )
    answers = {e.json["i"]: n for n, e in enumerate(server.exchanges)}
    assert [result["n"] for result in results] == [answers[i] for i in range(4)]
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]


@by_mode
def test_no_more_than_so_many_calls_at_a_time(mode: str, serve: Serve) -> None:
    server = serve([Pause(MOMENT / 6), *answer()])
    assert len(batch(server.url, mode, [{}] * 12, max_concurrency=3)) == 12
    assert server.connections == 3
    assert batch(server.url, mode, ({"i": i} for i in range(2)), max_concurrency=99)
    assert len(server.exchanges) == 14


@by_mode
def test_no_inputs_are_no_calls(mode: str, serve: Serve) -> None:
    server = serve(answer())
    assert batch(server.url, mode, []) == []
    assert server.connections == 0


@by_mode
def test_the_first_error_ends_the_others(mode: str, serve: Serve) -> None:
    server = serve([STALL], [STALL], error(400, "BAD"), answer())
    began = time.monotonic()
    with pytest.raises(ValidationError) as caught:
        batch(server.url, mode, [{"i": i} for i in range(20)], max_concurrency=3)
    assert caught.value.code == "BAD"
    assert time.monotonic() - began < SOON
    for exchange in server.exchanges[:2]:
        assert exchange.wait_closed()
    assert len(server.exchanges) == 3


@by_mode
def test_errors_may_be_returned_in_place(mode: str, serve: Serve) -> None:
    server = serve(answer(), error(400, "BAD"), [], answer())
    results = batch(
        server.url,
        mode,
        [{}] * 4,
        max_concurrency=1,
        return_exceptions=True,
        options={"max_retries": 0},
    )
    assert [type(result) for result in results] == [dict, ValidationError, NetworkError, dict]


@by_mode
def test_retries_and_timeouts_are_those_of_each_call(mode: str, serve: Serve) -> None:
    server = serve(error(503), answer(), [STALL])
    results = batch(
        server.url, mode, [{}] * 2, max_concurrency=1, timeout=2 * TIMEOUT, return_exceptions=True
    )
    assert results[0] == {"answer": "ok"}
    assert isinstance(results[1], RunAgentTimeoutError)
    assert len(server.exchanges) == 3


@by_mode
def test_headers_go_with_each_call(mode: str, serve: Serve) -> None:
    server = serve(answer())
    batch(server.url, mode, [{}] * 3, headers={"X-Batch": "7"})
    assert {e.headers["x-batch"] for e in server.exchanges} == {"7"}
    assert len({e.headers["idempotency-key"] for e in server.exchanges}) == 3


@by_mode
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([{}, {"x": {1: 2}}], r'inputs\[1\]\["x"\]: the key 1'),
        ([{}, [1]], r"inputs\[1\] is of type list"),
        ({"query": "x"}, "inputs is of type dict"),
        ("query", "inputs is of type str"),
        (None, "inputs is of type NoneType"),
    ],
)
def test_inputs_are_checked_before_anything_is_sent(
    mode: str, inputs: Any, message: str, serve: Serve
) -> None:
    server = serve(answer())
    with pytest.raises(ValidationError, match=message):
        batch(server.url, mode, inputs)
    with pytest.raises(ValidationError, match="max_concurrency"):
        batch(server.url, mode, [{}], max_concurrency=0)
    assert server.connections == 0


@by_mode
def test_an_exception_of_the_progress_function_ends_the_batch(mode: str, serve: Serve) -> None:
    server = serve(answer(), [STALL])

    def refuse(done: int, total: int) -> None:
        raise KeyError(done)

    with pytest.raises(KeyError):
        batch(server.url, mode, [{}] * 9, max_concurrency=2, on_progress=refuse)
    assert all(exchange.wait_closed() for exchange in server.exchanges[1:])


def test_a_cancelled_batch_closes_its_connections(serve: Serve) -> None:
    server = serve([STALL])

    async def main() -> None:
        async with AsyncRunAgentClient("a", base_url=server.url) as client:
            task = asyncio.ensure_future(client.batch_run([{}] * 9, max_concurrency=4))
            await asyncio.to_thread(server.wait_for, 4)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert all(exchange.wait_closed() for exchange in server.exchanges)
            server.scripts[:] = [answer()]
            assert await client.run_generic({})

    asyncio.run(main())
    assert len(server.exchanges) == 5


@pytest.mark.skipif(os.name != "posix", reason="SIGINT is sent to a process")
def test_ctrl_c_ends_a_batch(serve: Serve) -> None:
    server = serve([STALL])

    def interrupt() -> None:
        server.wait_for(3)
        os.kill(os.getpid(), signal.SIGINT)

    killer = threading.Thread(target=interrupt)
    killer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt, match="attribute answers of the exception"):
        batch(server.url, "sync", [{}] * 9, max_concurrency=3)
    killer.join()
    assert time.monotonic() - began < SOON
    assert all(exchange.wait_closed() for exchange in server.exchanges)
    assert not [t for t in threading.enumerate() if t.name == "runagent-batch"]


def test_a_closed_client_runs_no_batch() -> None:
    client = RunAgentClient("a", base_url="http://localhost:1")
    client.close()
    with pytest.raises(RunAgentError, match="closed"):
        client.batch_run([{}])
