"""Tables of every kind are sent as one record per row."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import sys
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from runagent import ValidationError
from runagent.encode import to_json


class Stream:
    """A table of a library that is not known by name, with nothing but Arrow's protocol."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


class Batch:
    def __init__(self, table: Any) -> None:
        self._table = table

    def __arrow_c_array__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_array__(requested_schema)


class Interchange:
    """A table with nothing but the older protocol."""

    def __init__(self, table: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas will drop the protocol
            self._frame = table.__dataframe__()  # now, while its library can be imported

    def __dataframe__(self, nan_as_null: bool = False, allow_copy: bool = True) -> Any:
        return self._frame


ROWS = [{"a": 1, "b": "x"}, {"a": None, "b": None}, {"a": 2**60 + 1, "b": "ü"}]
COLUMNS: dict[str, list[Any]] = {"a": [1, None, 2**60 + 1], "b": ["x", None, "ü"]}
ARROW = pa.table(COLUMNS)
POLARS = pl.DataFrame(COLUMNS)
PANDAS = pd.DataFrame({"a": pd.array(COLUMNS["a"], dtype="Int64"), "b": COLUMNS["b"]})

TABLES: dict[str, Any] = {
    "pandas": PANDAS,
    "polars": POLARS,
    "pyarrow": ARROW,
    "a batch": ARROW.to_batches()[0],
    "a stream of pyarrow": Stream(ARROW),
    "a stream of polars": Stream(POLARS),
    "a stream of pandas": Stream(PANDAS),
    "an array of pyarrow": Batch(ARROW.to_batches()[0]),
    "the older protocol": Interchange(ARROW),
    "chunks of structs": ARROW.to_struct_array(),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_sent_as_records(name: str) -> None:
    sent = json.loads(to_json({"x": TABLES[name], "deeper": [{"y": TABLES[name]}]}))
    assert sent == {"x": ROWS, "deeper": [{"y": ROWS}]}


def test_a_reader_is_read_to_its_end() -> None:
    reader = pa.RecordBatchReader.from_batches(ARROW.schema, ARROW.to_batches() * 2)
    assert json.loads(to_json({"x": reader})) == {"x": ROWS * 2}


def test_the_index_of_a_frame_goes_along_by_the_older_protocol() -> None:
    frame = pd.DataFrame({"a": [1.5, None]}, index=pd.Index(["p", "q"], name="id"))
    sent = json.loads(to_json({"x": Interchange(frame)}))
    assert sent == {"x": [{"id": "p", "a": 1.5}, {"id": "q", "a": None}]}


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, None]), [1, None]),
        (pa.chunked_array([[1], [2]]), [1, 2]),
        (Stream(pa.chunked_array([["a"], [None]])), ["a", None]),
        (pl.Series([1, None]), [1, None]),
        (pl.Series([{"a": 1}]), [{"a": 1}]),
        (pa.scalar(7), 7),
        (pa.array(["x", "x"]).dictionary_encode(), ["x", "x"]),
        (pa.array([decimal.Decimal("1.10")]), ["1.10"]),
        (pa.array([b"\xff"]), ["/w=="]),
        (pa.array([dt.date(2026, 1, 1)]), ["2026-01-01"]),
        (pa.array([dt.timedelta(seconds=1.5)]), [1.5]),
        (pa.array([1, None], pa.timestamp("ns")), ["1970-01-01T00:00:00.000000001", None]),
        (pa.array([1000], pa.time64("ns")), ["00:00:00.000001"]),
        (pa.array([[1, 2], None]), [[1, 2], None]),
        (pa.array([{"a": [1]}]), [{"a": [1]}]),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), [[["k", 1]]]),
        (pl.Series([86_400 * 10**9], dtype=pl.Datetime("ns")), ["1970-01-02T00:00:00"]),
        (pl.Series(["x", None], dtype=pl.Categorical), ["x", None]),
        (pl.Series([decimal.Decimal("1.10")]), ["1.10"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_column_is_sent_as_a_list(column: Any, expected: Any) -> None:
    assert json.loads(to_json({"x": column})) == {"x": expected}


STRUCTURED = np.array(
    [(1, "p", "2026-01-01"), (2, "q", "NaT")],
    dtype=[("n", "i4"), ("s", "U1"), ("d", "datetime64[D]")],
)
P = {"n": 1, "s": "p", "d": "2026-01-01"}
Q = {"n": 2, "s": "q", "d": None}


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (STRUCTURED, [P, Q]),
        (STRUCTURED.view(np.recarray), [P, Q]),
        (STRUCTURED[0], P),
        (STRUCTURED.reshape(2, 1), [[P], [Q]]),
        (STRUCTURED[:0], []),
        (np.array((1,), dtype=[("in", [("n", "i4")])]), {"in": {"n": 1}}),
        (np.ma.masked_array([1, 2], [False, True]), [1, None]),
        (np.void(b"\xff"), "/w=="),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_array_with_named_fields_is_a_table(array: Any, expected: Any) -> None:
    assert json.loads(to_json({"x": array})) == {"x": expected}


@pytest.mark.parametrize("table", [POLARS.head(0), ARROW.slice(0, 0), Stream(ARROW.slice(0, 0))])
def test_an_empty_table_has_no_records(table: Any) -> None:
    assert json.loads(to_json({"x": table})) == {"x": []}


TWICE = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (TWICE, "two columns have the same name"),
        (Stream(TWICE), "two columns have the same name"),
        (POLARS.lazy(), r"pass its collect\(\)"),
        (pl.DataFrame({"t": pl.Series([1], dtype=pl.Datetime("ns"))}), "'t' holds nanoseconds"),
        (pl.DataFrame({"t": pl.Series([1], dtype=pl.Duration("ns"))}), "'t' holds nanoseconds"),
        (pl.Series("t", [1], dtype=pl.Time), "'t' holds nanoseconds"),
        (pa.table({"t": pa.array([1], pa.time64("ns"))}), "would lose data"),
        (pl.Series("t", [[1]], dtype=pl.List(pl.Datetime("ns"))), "'t' holds nanoseconds"),
        (pl.Series("t", [[1]], dtype=pl.Array(pl.Duration("ns"), 1)), "'t' holds nanoseconds"),
        (pa.array([1], pa.time64("ns")), "would lose data"),
        (pa.scalar(1, pa.time64("ns")), "would lose data"),
        (pa.chunked_array([[1]], pa.time64("ns")), "would lose data"),
        (pa.table({"t": pa.array([[1]], pa.list_(pa.time64("ns")))}), "would lose data"),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.time64("ns"))), "would lose data"),
        (pa.array([1], pa.time64("ns")).dictionary_encode(), "would lose data"),
        (pa.array([{"a": 1}], pa.struct([("a", pa.time64("ns"))])), "would lose data"),
        (pd.Series([1], dtype=pd.ArrowDtype(pa.time64("ns"))), "would lose data"),
        (pd.Series([1], dtype=pd.ArrowDtype(pa.time64("ns"))).to_frame("t"), "would lose data"),
        (np.timedelta64(1, "Y"), "no fixed length; convert them to days or to text. "),
        (Interchange(pd.DataFrame({"o": pd.Series([1, "x"], dtype=object)})), "object dtypes"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_table_that_would_lose_something_is_refused_with_its_path(
    table: Any, problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem) as caught:
        to_json({"rows": [table]})
    assert str(caught.value).startswith('input_data["rows"][0]: ')


def test_a_cell_that_cannot_be_sent_is_named_with_its_path() -> None:
    with pytest.raises(ValidationError, match=r'^input_data\["x"\]\[1\]\["f"\]: inf'):
        to_json({"x": pl.DataFrame({"f": [1.0, math.inf]})})
    with pytest.raises(ValidationError, match=r'^input_data\["x"\]\[1\]\["f"\]: inf'):
        to_json({"x": pa.table({"f": [1.0, math.inf]})})


def test_missing_values_are_null_and_nan_beside_them_is_warned_of() -> None:
    assert json.loads(to_json({"x": pl.DataFrame({"f": [1.0, None]})}))["x"][1] == {"f": None}
    for table in (pl.DataFrame({"f": [math.nan]}), pa.table({"f": [math.nan]})):
        with pytest.warns(UserWarning, match="NaN"):
            assert json.loads(to_json({"x": table})) == {"x": [{"f": None}]}


@pytest.mark.parametrize("name", ["a stream of pyarrow", "a stream of polars"])
def test_polars_reads_a_stream_where_there_is_no_pyarrow(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert json.loads(to_json({"x": TABLES[name]})) == {"x": ROWS}


@pytest.mark.parametrize(
    "name", ["a stream of pyarrow", "the older protocol", "an array of pyarrow"]
)
def test_a_table_that_nothing_here_can_read_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ValidationError, match=r'^input_data\["x"\]: .*pip install pyarrow'):
        to_json({"x": TABLES[name]})
