"""Tables and arrays filled into text: whole, whatever library they are from, and none too large."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from runagent import ValidationError
from runagent_jupyter.templates.template import fill

ROWS = 150
LONG = "long " * 30


class Frame(pd.DataFrame):
    """A table of a library that is built on pandas, as geopandas is."""

    @property
    def _constructor(self) -> Any:
        return Frame


class Stream:
    """A table of a library that is not known by name, with nothing but Arrow's protocol."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return ARROW.__arrow_c_stream__(requested_schema)


COLUMNS: dict[str, Any] = {
    "mark": [f"row-{number}-" for number in range(ROWS)],
    "share": [number / 7 for number in range(ROWS)],
    "text": [LONG] * ROWS,
}
PANDAS = pd.DataFrame(COLUMNS)
POLARS = pl.DataFrame(COLUMNS)
ARROW = pa.table(COLUMNS)


@functools.cache
def dask_libraries() -> tuple[Any, Any]:
    """Return `dask.dataframe` and `dask.array`, which take long to import."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of dask about its own future
        import dask.array
        import dask.dataframe
    return dask.dataframe, dask.array


@functools.cache
def tables() -> dict[str, Any]:
    import xarray as xr

    frames, arrays = dask_libraries()
    dask_frame = frames.from_pandas(PANDAS, npartitions=3)
    marks = xr.DataArray(COLUMNS["mark"], dims="place", name="mark")
    return {
        "pandas": PANDAS,
        "subclass": Frame(PANDAS),
        "pandas-series": PANDAS.mark,
        "pandas-index": pd.Index(PANDAS.mark),
        "pandas-multi-index": pd.MultiIndex.from_arrays([PANDAS.mark, PANDAS.share]),
        "pandas-array": PANDAS.mark.array,
        "pandas-categories": PANDAS.mark.astype("category"),
        "polars": POLARS,
        "polars-series": POLARS["mark"],
        "pyarrow": ARROW,
        "pyarrow-batch": ARROW.to_batches()[0],
        "pyarrow-column": ARROW["mark"],
        "pyarrow-array": pa.array(COLUMNS["mark"]),
        "xarray": marks,
        "xarray-dataset": marks.to_dataset(),
        "dask": dask_frame,
        "dask-series": dask_frame.mark,
        "dask-array": arrays.from_array(np.array(COLUMNS["mark"]), chunks=40),
        "arrow-protocol": Stream(),
        "numpy-structured": PANDAS.to_records(index=False),
        "list": [PANDAS],
        "dictionary": {"table": {"inner": POLARS}},
    }


NAMES = [
    "pandas",
    "subclass",
    "pandas-series",
    "pandas-index",
    "pandas-multi-index",
    "pandas-array",
    "pandas-categories",
    "polars",
    "polars-series",
    "pyarrow",
    "pyarrow-batch",
    "pyarrow-column",
    "pyarrow-array",
    "xarray",
    "xarray-dataset",
    "dask",
    "dask-series",
    "dask-array",
    "arrow-protocol",
    "numpy-structured",
    "list",
    "dictionary",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_there(name: str) -> None:
    text = fill("Look: {{table}}", {"table": tables()[name]})
    assert [f"row-{number}-" in text for number in range(ROWS)] == [True] * ROWS
    assert "..." not in text
    assert "…" not in text
    if "text" in text.split("\n")[0]:
        assert text.count(LONG.strip()) == ROWS


@pytest.mark.parametrize("name", ["pandas", "subclass", "polars", "pyarrow", "dask"])
def test_numbers_keep_all_their_digits(name: str) -> None:
    assert str(149 / 7) in fill("{{table}}", {"table": tables()[name]})


@pytest.mark.parametrize("array", [np.arange(5_000) / 7, np.ma.masked_array(np.arange(5_000))])
def test_arrays_are_whole(array: Any) -> None:
    text = fill("{{array}}", {"array": array})
    assert "..." not in text
    numbers = text.replace("[", " ").replace("]", " ").split()
    assert [float(number) for number in numbers] == array.tolist()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (pd.Timestamp("2026-01-02"), "2026-01-02 00:00:00"),
        (np.float64(0.5), "0.5"),
        (np.array(3), "3"),
        (pa.scalar("word"), "word"),
        ([1, {"a": None}], "[1, {'a': None}]"),
        (pl.DataFrame({"a": ["x\ny", "z"], "b": [1, 10]}), "a      b\nx\\ny   1\nz     10"),
    ],
)
def test_values_as_text(value: Any, text: str) -> None:
    assert fill("{{value}}", {"value": value}) == text


BIG: pd.DataFrame = pd.DataFrame({"a": range(600_000)})


def test_a_table_that_no_agent_reads_is_refused_before_it_is_written() -> None:
    computed: list[int] = []

    def part(number: int) -> Any:
        computed.append(number)
        return BIG.copy()

    large = {
        "pandas": (BIG, "DataFrame of 600,000 rows, 1 columns"),
        "series": (BIG.a, "Series of 600,000 values"),
        "polars": (pl.DataFrame({"a": range(600_000)}), "600,000 rows, 1 columns"),
        "pyarrow": (pa.table({"a": range(600_000)}), "600,000 rows, 1 columns"),
        "numpy": (np.zeros((300, 300, 300)), "ndarray of shape (300, 300, 300)"),
        "wide": (pd.DataFrame({"a": ["x" * 600_000] * 2}), "2 rows, 1 columns"),
        "list": ([BIG], "list"),
        "dask": (dask_libraries()[0].from_map(part, range(9), meta=BIG.head(0)), "DataFrame"),
    }
    for name, (table, size) in large.items():
        with pytest.raises(ValidationError) as caught:
            fill("Look: {{table}}", {"table": table})
        assert size in caught.value.message, name
        assert "1,000,000 characters" in caught.value.message
        assert "df.head(100)" in (caught.value.hint or "")
    assert computed == [0]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (pl.LazyFrame({"a": [1]}), "pass its collect()"),
        (b"\x00\x01", "it is bytes"),
    ],
)
def test_a_value_without_text_is_refused(value: Any, words: str) -> None:
    with pytest.raises(
        ValidationError, match=r"\{\{value\}\} cannot be filled in as text"
    ) as caught:
        fill("{{value}}", {"value": value})
    assert words in str(caught.value)


def test_all_tables_are_tried() -> None:
    assert list(tables()) == NAMES
