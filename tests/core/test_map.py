"""`map`: rows as they finish, errors for each, one pace, and everything kept however it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.batches import MODES, inputs, rows_of, run, with_client
from support.clock import MOMENT, PATIENCE, TIMEOUT
from support.faults import RESET, STALL, Do, FaultServer, Pause, answer, error

from runagent import (
    AuthenticationError,
    NetworkError,
    RateLimitError,
    RunAgentClient,
    RunAgentError,
    ValidationError,
)
from runagent import TimeoutError as RunAgentTimeoutError
from runagent.many import Row

Serve = Callable[..., FaultServer]
by_mode = pytest.mark.parametrize("mode", MODES)


@by_mode
def test_rows_come_as_they_finish_and_results_in_order(mode: str, serve: Serve) -> None:
    server = serve([Pause(MOMENT), *answer({"result": {"n": 0}})], answer({"result": {"n": 1}}))
    finished: list[Row] = []

    def use(client: Any) -> Any:
        batch = client.map(inputs(2))
        if mode == "sync":
            finished.extend(batch)
            return batch.results()

        async def main() -> Any:
            finished.extend([row async for row in batch])
            return await batch.results()

        return main()

    results = with_client(server.url, mode, use)
    slow = next(row.id for row in results if row.output == {"n": 0})
    assert [row.id for row in finished] == [1 - slow, slow]
    assert [row.id for row in results] == [0, 1]
    assert [row.input for row in results] == inputs(2)
    assert all(row.attempts == 1 and row.elapsed > 0 and row.error is None for row in results)


@by_mode
def test_ids_may_be_given(mode: str, serve: Serve) -> None:
    server = serve(answer({"result": "yes", "metadata": {"usage": {"total_tokens": 3}}}))
    rows = run(server.url, mode, [("a", {"q": 1}), (7, {"q": 2})])
    assert [(row.id, row.input, row.output) for row in rows] == [
        ("a", {"q": 1}, "yes"),
        (7, {"q": 2}, "yes"),
    ]


@by_mode
def test_an_error_belongs_to_its_row(mode: str, serve: Serve) -> None:
    server = serve(answer(), error(400, "BAD"), answer())
    rows = run(server.url, mode, inputs(3), max_concurrency=1)
    assert [type(row.error) for row in rows] == [type(None), ValidationError, type(None)]
    assert rows[1].output is None
    assert rows[1].attempts == 1


@by_mode
def test_an_input_that_cannot_be_sent_is_an_error_of_its_row(mode: str, serve: Serve) -> None:
    server = serve(answer())
    rows = run(server.url, mode, [{"i": 0}, {"x": {1: 2}}, "text", {"i": 3}])
    assert [row.id for row in rows if row.error is None] == [0, 3]
    failed = with_client(
        server.url,
        mode,
        lambda client: rows_of(client.map([{"x": {1: 2}}, "text"])),
    )
    assert 'inputs[0]["x"]' in failed[0].error.message
    assert "inputs[1] is of type str" in failed[1].error.message
    assert len(server.exchanges) == 2


@by_mode
def test_errors_of_the_server_are_retried_under_the_same_key(mode: str, serve: Serve) -> None:
    server = serve(error(500), error(502), answer())
    [row] = run(server.url, mode, inputs(1))
    assert row.error is None
    assert row.attempts == 3
    assert len({exchange.headers["idempotency-key"] for exchange in server.exchanges}) == 1


@by_mode
def test_a_lost_connection_is_tried_once_more_under_the_same_key(mode: str, serve: Serve) -> None:
    server = serve([RESET], answer())
    [row] = run(server.url, mode, inputs(1))
    assert row.error is None
    assert len({exchange.headers["idempotency-key"] for exchange in server.exchanges}) == 1
    lost = serve([RESET])
    [row] = run(lost.url, mode, inputs(1))
    assert isinstance(row.error, NetworkError)
    assert len(lost.exchanges) == 2


@by_mode
def test_a_timeout_is_not_tried_again(mode: str, serve: Serve) -> None:
    server = serve([STALL])
    [row] = run(server.url, mode, inputs(1), timeout=TIMEOUT)
    assert isinstance(row.error, RunAgentTimeoutError)
    assert len(server.exchanges) == 1


@by_mode
@pytest.mark.parametrize("hint", [[], ["Retry-After: 0.1"]], ids=["silent", "hint"])
def test_a_rate_limit_costs_no_row_an_attempt(mode: str, hint: list[str], serve: Serve) -> None:
    server = serve(*[error(429, "SLOW", *hint)] * 5, answer())
    rows = run(server.url, mode, inputs(3), options={"max_retries": 0})
    assert [(row.error, row.attempts) for row in rows] == [(None, 1)] * 3
    assert len(server.exchanges) == 8


DAY_IS_OVER = (
    'RateLimit-Policy: "second";q=9;w=1, "day";q=900;w=86400',
    'RateLimit: "second";r=8;t=1, "day";r=0;t=40000',
)


@by_mode
@pytest.mark.parametrize(
    ("last", "finished"),
    [
        (answer({"result": "done"}, 200, *DAY_IS_OVER), 2),
        (error(429, "DAILY_QUOTA", "Retry-After: 40000"), 1),
    ],
    ids=["stated", "refused"],
)
def test_a_quota_that_is_used_up_for_hours_ends_the_batch(
    mode: str, last: Any, finished: int, serve: Serve
) -> None:
    server = serve(answer({"result": "done"}), last)

    def use(client: Any) -> Any:
        batches.append(client.map(inputs(9), max_concurrency=1))
        return batches[0].results()

    batches: list[Any] = []
    with pytest.raises(RateLimitError, match=r"its rate limit is met for 11\.1 h") as caught:
        with_client(server.url, mode, use)
    assert caught.value.retry_after == pytest.approx(40_000, abs=PATIENCE)
    assert len(server.exchanges) == 2
    assert [row.output for row in batches[0].rows()] == ["done"] * finished


@by_mode
def test_an_outage_costs_no_row_an_attempt(mode: str, serve: Serve) -> None:
    server = serve(answer(), *[error(503)] * 4, answer())
    rows = run(server.url, mode, inputs(4), max_concurrency=2, options={"max_retries": 1})
    assert [row.error for row in rows] == [None] * 4


@by_mode
def test_a_row_that_alone_is_refused_fails(mode: str, serve: Serve) -> None:
    def scripts() -> Iterator[Any]:
        for _ in range(6):
            yield from (error(503, "BUSY"), answer())

    server = serve(*scripts())
    rows = run(server.url, mode, inputs(3), max_concurrency=1, options={"max_retries": 0})
    assert {row.error.code for row in rows if row.error is not None} <= {"BUSY"}
    assert any(row.error is None for row in rows)


@by_mode
def test_a_server_that_never_was_there_ends_the_batch(mode: str) -> None:
    with pytest.raises(NetworkError, match="Could not connect"):
        run("http://127.0.0.1:9", mode, inputs(3), options={"max_retries": 0})


@by_mode
def test_a_wrong_key_ends_the_batch(mode: str, serve: Serve) -> None:
    server = serve(answer(), error(401, "INVALID_API_KEY"))

    def use(client: Any) -> Any:
        batch = client.map(inputs(50), max_concurrency=1)

        async def main() -> Any:
            with pytest.raises(AuthenticationError, match="The batch ended"):
                await batch.results()
            return batch.to_frame(partial=True)

        if mode == "async":
            return main()
        with pytest.raises(AuthenticationError, match="The batch ended"):
            batch.results()
        return batch.to_frame(partial=True)

    frame = with_client(server.url, mode, use)
    assert list(frame["id"]) == [0, 1]
    assert list(frame.columns) == ["id", "input", "output", "error", "attempts", "elapsed"]
    assert len(server.exchanges) == 2


@by_mode
def test_a_batch_of_which_half_fails_ends(mode: str, serve: Serve) -> None:
    server = serve(error(400, "BAD"))
    with pytest.raises(RunAgentError, match="100 of its first 100 rows failed") as caught:
        run(server.url, mode, inputs(1000), max_concurrency=8)
    assert caught.value.code == "TOO_MANY_FAILURES"
    assert len(server.exchanges) < 200


@by_mode
def test_failed_rows_are_asked_again_under_new_keys(mode: str, serve: Serve) -> None:
    server = serve(answer(), error(400, "BAD"), answer({"result": "better"}))

    def use(client: Any) -> Any:
        batch = client.map(inputs(2), max_concurrency=1)

        async def main() -> Any:
            await batch.results()
            assert [row.id for row in batch.failed()] == [1]
            return await (await batch.retry_failed()).results()

        if mode == "async":
            return main()
        batch.results()
        assert [row.id for row in batch.failed()] == [1]
        return batch.retry_failed().results()

    rows = with_client(server.url, mode, use)
    assert [row.output for row in rows] == [{"answer": "ok"}, "better"]
    assert len({exchange.headers["idempotency-key"] for exchange in server.exchanges}) == 3


@by_mode
def test_a_generator_is_not_read_ahead(mode: str, serve: Serve) -> None:
    server = serve(answer())
    read: list[int] = []

    def endless() -> Iterator[dict[str, int]]:
        for i in range(10**9):
            read.append(i)
            yield {"i": i}

    def use(client: Any) -> Any:
        batch = client.map(endless(), max_concurrency=2)

        async def main() -> None:
            await anext(aiter(batch))
            await batch.aclose()

        if mode == "async":
            return main()
        next(batch)
        return batch.close()

    with_client(server.url, mode, use)
    assert len(read) < 10
    assert len(server.exchanges) <= len(read)


@by_mode
def test_an_exception_of_the_generator_comes_after_the_rows_before_it(
    mode: str, serve: Serve
) -> None:
    server = serve(answer())

    def broken() -> Iterator[dict[str, int]]:
        yield from inputs(3)
        raise KeyError("mine")

    seen: list[Row] = []

    def use(client: Any) -> Any:
        batch = client.map(broken())

        async def main() -> None:
            async for row in batch:
                seen.append(row)

        if mode == "async":
            return main()
        for row in batch:
            seen.append(row)
        return None

    with pytest.raises(KeyError, match="mine"):
        with_client(server.url, mode, use)
    assert sorted(row.id for row in seen) == [0, 1, 2]


@by_mode
def test_rows_may_be_sent_together(mode: str, serve: Serve) -> None:
    server = serve(answer({"result": [10, 11]}), answer({"result": {"outputs": [12, 13]}}))
    rows = run(server.url, mode, inputs(4), per_call=2, max_concurrency=1)
    assert [row.output for row in rows] == [10, 11, 12, 13]
    assert [exchange.json["inputs"] for exchange in server.exchanges] == [
        inputs(4)[:2],
        inputs(4)[2:],
    ]
    short = serve(answer({"result": [1]}))
    rows = run(short.url, mode, inputs(2), per_call=2)
    assert {row.error.code for row in rows if row.error} == {"INVALID_RESPONSE"}


@by_mode
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rate": "fast"}, "rate='fast' is not a rate"),
        ({"rate": 0}, "rate=0 is not a rate above zero"),
        ({"max_concurrency": 0}, "max_concurrency="),
        ({"per_call": 0}, "per_call="),
        ({"entrypoint": "x_stream"}, "entrypoint="),
        ({"inputs": {"q": 1}}, "inputs is of type dict"),
        ({"inputs": "text"}, "inputs is of type str"),
        ({"inputs": 5}, "inputs is of type int"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(mode: str, wrong: dict[str, Any], message: str) -> None:
    async def other(client: Any, arguments: dict[str, Any]) -> None:
        client.map(**arguments)

    def use(client: Any) -> Any:
        arguments = {"inputs": [], **wrong}
        return other(client, arguments) if mode == "async" else client.map(**arguments)

    with pytest.raises(ValidationError, match=message):
        with_client("http://127.0.0.1:9", mode, use)


@by_mode
def test_two_rows_with_one_id_are_refused(mode: str, serve: Serve) -> None:
    server = serve(answer())
    with pytest.raises(ValidationError, match=r"inputs\[1\] has the id 'a', which inputs\[0\]"):
        run(server.url, mode, [("a", {}), ("a", {})])


def test_a_frame_is_told_what_to_write_instead() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"q": [1]})
    with RunAgentClient("a", "", "http://127.0.0.1:9") as client:
        for method in (client.map, client.batch_run):
            with pytest.raises(ValidationError, match="to_dict"):
                method(frame)


@pytest.mark.skipif(os.name != "posix", reason="SIGINT is sent to a process")
def test_ctrl_c_keeps_the_answers_and_iterating_again_goes_on(serve: Serve) -> None:
    ready = threading.Event()
    server = serve(answer(), [Do(ready.set), STALL], answer({"result": "late"}))

    def interrupt() -> None:
        ready.wait()
        os.kill(os.getpid(), signal.SIGINT)

    with RunAgentClient("a", "", server.url) as client:
        batch = client.map(inputs(5), max_concurrency=1)
        threading.Thread(target=interrupt).start()
        seen: list[Row] = []
        with pytest.raises(KeyboardInterrupt, match="1 rows are finished and kept"):
            seen.extend(batch)
        assert [row.id for row in batch.results()] == [0, 1, 2, 3, 4]
    assert [row.id for row in seen] == [0]
    keys = [exchange.headers["idempotency-key"] for exchange in server.exchanges]
    assert keys[1] == keys[2]
    assert len(set(keys)) == 5
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_cancelled_batch_keeps_the_answers_and_goes_on(serve: Serve) -> None:
    ready = threading.Event()
    server = serve(answer(), [Do(ready.set), STALL], answer())

    def use(client: Any) -> Any:
        async def main() -> list[Row]:
            batch = client.map(inputs(3), max_concurrency=1)
            task = asyncio.ensure_future(batch.results())
            await asyncio.to_thread(ready.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert batch.finished == 1
            rows: list[Row] = await batch.results()
            return rows

        return main()

    rows = with_client(server.url, "async", use)
    assert [row.id for row in rows] == [0, 1, 2]


@by_mode
def test_the_error_of_batch_run_has_the_answers_so_far(mode: str, serve: Serve) -> None:
    server = serve(answer(), answer(), error(400, "BAD", message="no"))
    with pytest.raises(ValidationError, match=r"inputs\[2\]: no") as caught:
        with_client(server.url, mode, lambda client: client.batch_run(inputs(9), max_concurrency=1))
    assert caught.value.answers == [{"answer": "ok"}] * 2 + [None] * 7  # type: ignore[attr-defined]


@by_mode
def test_a_server_that_comes_back_goes_on_with_the_batch(mode: str, serve: Serve) -> None:
    server = serve(*[error(503, "AWAY")] * 4, answer())
    rows = run(server.url, mode, inputs(6), options={"max_retries": 3, "retry_delay": MOMENT})
    assert [(row.error, row.attempts) for row in rows] == [(None, 1)] * 6
