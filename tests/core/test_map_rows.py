"""Rows that cannot be sent, and rows without an id of their own, in batches and in frames."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.batches import MODES, run, with_client
from support.faults import FaultServer, answer, error

from runagent import AuthenticationError, RunAgentError, ValidationError

Serve = Callable[..., FaultServer]
by_mode = pytest.mark.parametrize("mode", MODES)
by_place = pytest.mark.parametrize("in_file", [False, True], ids=["memory", "file"])


@by_mode
@by_place
def test_a_row_that_cannot_be_sent_has_its_place(
    mode: str, in_file: bool, serve: Serve, tmp_path: Path
) -> None:
    server = serve(answer({"result": "x"}))
    inputs = [("a", {"q": 1}), ("b", {"q": object()}), (None, {"q": 3}), ("d", {"q": 4})]
    for _ in range(1 + in_file):
        rows = run(server.url, mode, inputs, journal=tmp_path / "x" if in_file else None)
        assert [row.output for row in rows] == ["x", None, None, "x"]
        assert "object" in str(rows[1].error)
        assert "The id of inputs[2] is of type NoneType" in str(rows[2].error)
    assert len(server.exchanges) == 2


@by_mode
@by_place
def test_rows_without_end_that_cannot_be_sent_end_the_batch(
    mode: str, in_file: bool, serve: Serve, tmp_path: Path
) -> None:
    server = serve(answer())
    numbers = itertools.count()
    inputs = ({"q": object(), "number": number} for number in numbers)
    with pytest.raises(RunAgentError, match="100 of its first 100 rows failed"):
        run(server.url, mode, inputs, journal=tmp_path / "x" if in_file else None)
    assert next(numbers) < 1_000
    assert server.exchanges == []


def test_a_row_that_cannot_be_sent_takes_no_answer_from_the_journal(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(answer({"result": "x"}))
    for query, error_count in ((1, 0), (object(), 1), (1, 0)):
        rows = run(server.url, "sync", [("a", {"q": query})], journal=tmp_path / "x")
        assert [row.id for row in rows] == ["a"]
        assert sum(row.error is not None for row in rows) == error_count
    assert len(server.exchanges) == 1


@by_place
def test_rows_that_cannot_be_sent_are_not_asked_again(
    in_file: bool, serve: Serve, tmp_path: Path
) -> None:
    server = serve(error(400, "BAD"), answer({"result": "x"}))
    journal = tmp_path / "x" if in_file else None

    def use(client: Any) -> Any:
        batch = client.map([{"q": object()}, {"q": 1}], journal=journal)
        assert len(batch.results()) == 2
        batch.retry_failed().results()
        return list(batch.rows())

    rows = with_client(server.url, "sync", use)
    assert [row.output for row in rows] == [None, "x"]
    assert len(server.exchanges) == 2


@by_mode
def test_a_frame_with_a_row_that_cannot_be_sent(mode: str, serve: Serve) -> None:
    server = serve(answer({"result": "x"}))
    frame = pd.DataFrame({"q": ["a", object(), "c"]}, index=[7, 7, 9])
    found = with_client(server.url, mode, lambda client: client.map_frame(frame, "q"))
    assert list(found["status"]) == ["ok", "failed", "ok"]
    assert list(found.index) == [7, 7, 9]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b", "a"], "Row 2 has the value 'a' of row 0, too in the column 'key'"),
        (["a", None, "c"], "Row 1 has no value in the column 'key'"),
        ([1.0, float("nan"), 2.0], "Row 1 has no value in the column 'key'"),
        ([pd.Timestamp("2026-01-01"), pd.NaT, pd.NaT], "Row 1 has no value"),
        ([["a"], "b", "c"], "Row 0 has a value of type list"),
    ],
    ids=["twice", "None", "NaN", "NaT", "list"],
)
def test_a_frame_of_rows_without_ids_of_their_own_is_refused(
    ids: list[Any], message: str, serve: Serve
) -> None:
    server = serve(answer())
    frame = pd.DataFrame({"q": list("abc"), "key": pd.Series(ids)})
    with pytest.raises(ValidationError, match=message):
        with_client(server.url, "sync", lambda client: client.map_frame(frame, "q", id="key"))
    assert not server.exchanges


@by_mode
def test_a_frame_that_ends_early_gives_the_answers_so_far(
    mode: str, serve: Serve, tmp_path: Path
) -> None:
    server = serve(answer({"result": "x"}), error(401, "BAD_KEY"))
    frame = pd.DataFrame({"q": list("abc"), "day": pd.date_range("2026-01-01", periods=3)})
    with pytest.raises(AuthenticationError) as caught:
        with_client(
            server.url,
            mode,
            lambda client: client.map_frame(
                frame, "q", id="day", max_concurrency=1, journal=tmp_path / "x"
            ),
        )
    answers = caught.value.answers  # type: ignore[attr-defined]
    assert list(answers["status"]) == ["ok", "failed", "pending"]
    assert list(answers["output"])[:1] == ["x"]


@by_mode
def test_an_empty_frame(mode: str, serve: Serve) -> None:
    server = serve(answer())
    frame = pd.DataFrame({"q": pd.Series([], dtype="str")})
    found = with_client(server.url, mode, lambda client: client.map_frame(frame, "q"))
    assert list(found.columns) == ["q", "output", "status", "error"]
    assert len(found) == 0
