"""`response_model=` of `map` and `map_frame`: rows that do not fit have failed, and are not paid twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from support.batches import MODES, run, with_client
from support.faults import FaultServer, answer

from runagent import ValidationError
from runagent.many import Row

Serve = Callable[..., FaultServer]
by_mode = pytest.mark.parametrize("mode", MODES)


@dataclass
class Mood:
    label: str
    score: float


@dataclass
class Short:
    label: str


GOOD = {"result": {"label": "good", "score": 1}}
TEXT = {"result": "I think it is good."}
INPUTS = [(f"r{i}", {"query": str(i)}) for i in range(3)]


def facts(rows: list[Row]) -> list[Any]:
    return [row.output for row in rows]


@by_mode
def test_answers_become_instances_and_others_fail(mode: str, serve: Serve) -> None:
    server = serve(answer(GOOD), answer(TEXT), answer({"result": '{"label": "x", "score": "?"}'}))
    rows = run(server.url, mode, INPUTS, response_model=Mood, max_concurrency=1)
    assert rows[0].output == Mood("good", 1.0)
    assert rows[0].error is None
    error = rows[1].error
    assert isinstance(error, ValidationError)
    assert error.code == "UNEXPECTED_ANSWER"
    assert "The answer does not fit Mood: answer: " in error.message
    assert "I think it is good." in error.message
    assert rows[1].output == "I think it is good."
    assert rows[2].error is not None
    assert 'answer["score"]' in rows[2].error.message
    assert (rows[2].error.details or {})["path"] == 'answer["score"]'


@by_mode
def test_a_rerun_reads_the_answers_of_the_journal(mode: str, serve: Serve, tmp_path: Path) -> None:
    journal = tmp_path / "x.journal"
    server = serve(answer(GOOD), answer(TEXT), answer({"result": {"label": "x"}}))

    def again(model: Any) -> list[Row]:
        options = {"response_model": model, "journal": journal, "max_concurrency": 1}
        return run(server.url, mode, INPUTS, **options)

    assert [row.error is None for row in again(Mood)] == [True, False, False]
    assert [row.error is None for row in again(Mood)] == [True, False, False]
    assert facts(again(None)) == [GOOD["result"], TEXT["result"], {"label": "x"}]
    fixed = again(Short)
    assert [row.error is None for row in fixed] == [True, False, True]
    assert facts(fixed) == [Short("good"), TEXT["result"], Short("x")]
    assert facts(again(Mood))[1:] == [TEXT["result"], {"label": "x"}]
    assert len(server.exchanges) == 3


@by_mode
@pytest.mark.parametrize("in_file", [False, True], ids=["memory", "file"])
def test_rows_that_do_not_fit_are_asked_again(
    mode: str, in_file: bool, serve: Serve, tmp_path: Path
) -> None:
    server = serve(answer(GOOD), answer(TEXT), answer(GOOD), answer(GOOD))
    journal = tmp_path / "x.journal" if in_file else None

    async def asynchronous(client: Any) -> Any:
        batch = client.map(INPUTS, response_model=Mood, journal=journal, max_concurrency=1)
        await batch.results()
        failed = batch.failed()
        await (await batch.retry_failed()).results()
        return failed, list(batch.rows())

    def blocking(client: Any) -> Any:
        batch = client.map(INPUTS, response_model=Mood, journal=journal, max_concurrency=1)
        batch.results()
        failed = batch.failed()
        batch.retry_failed().results()
        return failed, list(batch.rows())

    failed, rows = with_client(server.url, mode, blocking if mode == "sync" else asynchronous)
    assert [(row.id, row.output) for row in failed] == [("r1", TEXT["result"])]
    assert facts(rows) == [Mood("good", 1.0)] * 3
    keys = [exchange.headers["idempotency-key"] for exchange in server.exchanges]
    assert len(set(keys)) == 4


@by_mode
def test_each_answer_of_a_call_of_several_is_read(mode: str, serve: Serve) -> None:
    server = serve(answer({"result": [GOOD["result"], 3, GOOD["result"]]}))
    rows = run(server.url, mode, INPUTS, response_model=Mood, per_call=3)
    assert facts(rows) == [Mood("good", 1.0), 3, Mood("good", 1.0)]
    assert [row.error is None for row in rows] == [True, False, True]


@by_mode
def test_secrets_that_an_answer_repeats_are_not_in_the_error(mode: str, serve: Serve) -> None:
    server = serve(answer({"result": "my key is sk-very-secret-key"}))
    (row,) = run(
        server.url, mode, INPUTS[:1], {"api_key": "sk-very-secret-key"}, response_model=Mood
    )
    assert row.error is not None
    assert "sk-very-secret-key" not in f"{row.error} {row.error.details}"


@by_mode
@pytest.mark.parametrize(
    "make", [pd.DataFrame, pl.DataFrame, pa.table], ids=["pandas", "polars", "pyarrow"]
)
def test_frames_have_fields_of_instances(mode: str, make: Callable[..., Any], serve: Serve) -> None:
    server = serve(answer(GOOD), answer(TEXT))
    found = with_client(
        server.url,
        mode,
        lambda client: client.map_frame(
            make({"text": ["a", "b"]}),
            "text",
            output=["label", "score"],
            response_model=Mood,
            max_concurrency=1,
        ),
    )
    assert next(iter(found["label"])) in ("good", pa.scalar("good"))
    assert [str(status) for status in found["status"]] == ["ok", "failed"]
    assert "The answer does not fit Mood" in str(found["error"][1])


def test_something_that_is_no_type_is_refused_at_once(serve: Serve) -> None:
    server = serve(answer())
    with pytest.raises(ValidationError, match="response_model is of type str"):
        run(server.url, "sync", INPUTS, response_model="Mood")
    assert not server.exchanges


def test_answers_with_the_same_fault_are_counted_together(serve: Serve) -> None:
    server = serve(answer({"result": "one"}), answer({"result": "two"}), answer(GOOD))

    def use(client: Any) -> Any:
        batch = client.map(INPUTS, response_model=Mood, max_concurrency=1)
        batch.results()
        return batch._summary()

    summary = with_client(server.url, "sync", use)
    assert "2 x UNEXPECTED_ANSWER: The answer does not fit Mood: answer: " in summary
