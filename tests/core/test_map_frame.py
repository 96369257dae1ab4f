"""`map_frame`: a table in, the same table with the answers out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from support.batches import MODES, with_client
from support.faults import FaultServer, answer, error

from runagent import ValidationError

Serve = Callable[..., FaultServer]
by_mode = pytest.mark.parametrize("mode", MODES)

DATA: dict[str, list[Any]] = {"text": ["good", "bad", "fine"], "n": [1, 2, 3], "key": list("xyz")}
KINDS: dict[str, Callable[[], Any]] = {
    "pandas": lambda: pd.DataFrame(DATA, index=[10, 20, 30]).astype({"n": "int8"}),
    "polars": lambda: pl.DataFrame(DATA, schema_overrides={"n": pl.Int8}),
    "pyarrow": lambda: pa.table({**DATA, "n": pa.array(DATA["n"], pa.int8())}),
}
by_kind = pytest.mark.parametrize("kind", KINDS)


def columns(frame: Any) -> dict[str, list[Any]]:
    if isinstance(frame, pa.Table):
        found: dict[str, list[Any]] = frame.to_pydict()
        return found
    return {name: list(frame[name]) for name in frame.columns}


def run(server: FaultServer, mode: str, *arguments: Any, **options: Any) -> Any:
    return with_client(
        server.url,
        mode,
        lambda client: client.map_frame(*arguments, max_concurrency=1, **options),
    )


@by_mode
@by_kind
def test_the_answers_are_beside_their_rows(kind: str, mode: str, serve: Serve) -> None:
    server = serve(
        answer({"result": "p"}), error(400, "BAD", message="no"), answer({"result": "q"})
    )
    before = KINDS[kind]()
    frame = run(server, mode, before, "text", output="label")
    assert type(frame) is type(before)
    found = columns(frame)
    assert {name: found[name] for name in DATA} == DATA
    assert [value if isinstance(value, str) else None for value in found["label"]] == [
        "p",
        None,
        "q",
    ]
    assert found["status"] == ["ok", "failed", "ok"]
    assert found["error"][1] == "no"
    assert [exchange.json for exchange in server.exchanges] == [{"text": t} for t in DATA["text"]]
    if kind == "pandas":
        assert list(frame.index) == [10, 20, 30]
        assert frame["n"].dtype == "int8"
    elif kind == "polars":
        assert frame.schema["n"] == pl.Int8
    else:
        assert frame.schema.field("n").type == pa.int8()


@by_kind
def test_inputs_are_made_of_columns_or_by_a_function(kind: str, serve: Serve) -> None:
    server = serve(answer())
    run(server, "sync", KINDS[kind](), {"query": "text", "count": "n"})
    run(server, "sync", KINDS[kind](), lambda row: {"all": f"{row['text']}-{row['n']}"})
    sent = [exchange.json for exchange in server.exchanges]
    assert sent[0] == {"query": "good", "count": 1}
    assert sent[3] == {"all": "good-1"}


@by_kind
def test_fields_of_the_answer_become_columns(kind: str, serve: Serve) -> None:
    server = serve(answer({"result": {"label": "a", "score": 0.5, "rest": 1}}))
    found = columns(run(server, "sync", KINDS[kind](), "text", output=["label", "score"]))
    assert found["label"] == ["a"] * 3
    assert found["score"] == [0.5] * 3
    assert "rest" not in found
    found = columns(run(server, "sync", KINDS[kind](), "text", output={"label": "mood"}))
    assert found["mood"] == ["a"] * 3


@by_kind
def test_answers_of_several_types_are_kept(kind: str, serve: Serve) -> None:
    server = serve(answer({"result": 1}), answer({"result": "x"}), answer({"result": {"y": 2}}))
    found = columns(run(server, "sync", KINDS[kind](), "text"))
    if kind == "pandas":
        assert found["output"] == [1, "x", {"y": 2}]
    else:
        assert found["output"] in (["1", '"x"', '{"y":2}'], [1, "x", {"y": 2}])


@by_kind
def test_rows_are_known_by_their_id(kind: str, serve: Serve, tmp_path: Path) -> None:
    server = serve(answer())
    frame = KINDS[kind]()
    run(server, "sync", frame, "text", id="key", journal=tmp_path / "x.journal")
    part = frame[::-1] if kind != "pyarrow" else frame.take([2, 1, 0])
    found = columns(run(server, "sync", part, "text", id="key", journal=tmp_path / "x.journal"))
    assert found["key"] == list("zyx")
    assert len(server.exchanges) == 3


@by_kind
def test_columns_are_checked(kind: str, serve: Serve) -> None:
    server = serve(answer())
    frame = KINDS[kind]()
    for arguments, message in [
        ((frame, "none"), "no column 'none'; it has text, n, key"),
        ((frame, {"q": "none"}), "no column 'none'"),
        ((frame, "text", "none"), "no column 'none'"),
    ]:
        with pytest.raises(ValidationError, match=message):
            run(server, "sync", *arguments[:2], **({"id": "none"} if len(arguments) > 2 else {}))
    with pytest.raises(ValidationError, match="a column 'n' already"):
        run(server, "sync", frame, "text", output="n")
    with pytest.raises(ValidationError, match="The column 'status' is for the status of each row"):
        run(server, "sync", frame, "text", output=["label", "status"])
    assert not server.exchanges


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ([1], r"of type builtins.list"),
        (pl.LazyFrame({"text": [1]}), r"frame\.collect\(\)"),
        (pd.Series([1]), "of type pandas.Series"),
    ],
    ids=["a list", "lazy", "a series"],
)
def test_other_things_are_refused(frame: Any, message: str, serve: Serve) -> None:
    with pytest.raises(ValidationError, match=message):
        run(serve(answer()), "sync", frame, "text")
