"""Tables, series and arrays of the data libraries as records and lists."""

from __future__ import annotations

import math
import warnings
from importlib import import_module
from typing import Any

Records = list[dict[str, Any]]

_NANOSECONDS = 1000
"""In a microsecond, the finest that Python's dates and times can hold."""


def frame_records(frame: Any) -> Records:
    """Return a pandas frame as one record per row, with its index if that carries information.

    Raises:
        ValueError: Two columns have the same name.
    """
    if _is_informative(frame.index):
        frame = frame.reset_index(level=_levels_beside_columns(frame))
    names = [str(name) for name in frame.columns]
    _check_names(names)
    columns = [pandas_values(frame.iloc[:, i]) for i in range(len(names))]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def series_values(series: Any) -> Any:
    """Return a pandas series as a list, as an object by its labels, or as records."""
    index = series.index
    if not _is_informative(index):
        return pandas_values(series)
    if index.nlevels == 1 and index.is_unique and all(isinstance(label, str) for label in index):
        return dict(zip(index, pandas_values(series), strict=True))
    return frame_records(series.rename("value" if series.name is None else series.name).to_frame())


def pandas_values(values: Any) -> list[Any]:
    """Return the values of a pandas series, index or array as a list.

    NaN becomes `None`, because to pandas it is a missing value.

    Raises:
        ValueError: It holds nanoseconds that Python's times would lose.
    """
    if hasattr(values.dtype, "pyarrow_dtype"):
        _check_times(getattr(values, "array", values).__arrow_array__())
    return [
        None if isinstance(value, float) and math.isnan(value) else value
        for value in values.tolist()
    ]


def _is_informative(index: Any) -> bool:
    """Return whether the index of a pandas object holds more than the numbers of its rows."""
    named = any(name is not None for name in index.names)
    return named or index.nlevels > 1 or index.dtype.kind not in "iu"


def _levels_beside_columns(frame: Any) -> list[int]:
    """Return the levels of a frame's index that no column repeats."""
    index, columns = frame.index, set(frame.columns)
    return [
        level
        for level, name in enumerate(index.names)
        if name not in columns or index.get_level_values(level).tolist() != frame[name].tolist()
    ]


def _check_names(names: list[str]) -> None:
    if len(set(names)) < len(names):
        raise ValueError("two columns have the same name, and one row cannot hold both")


def xarray_records(data: Any) -> Any:
    """Return a dataset or an array of xarray as one record per point, with its coordinates.

    One without dimensions becomes a record of its variables, or its value.
    """
    if hasattr(data, "data_vars"):
        if not data.sizes:
            return {str(name): numpy_values(variable.values) for name, variable in data.items()}
        return frame_records(data.to_dataframe())
    if not data.ndim:
        return numpy_values(data.values)
    name = "value" if data.name is None else data.name
    return frame_records(data.to_dataset(name=name).to_dataframe())


def computed(collection: Any) -> Any:
    """Return the result of a collection of dask, such as a pandas frame."""
    return collection.compute()


def array_values(array: Any) -> Any:
    """Return what numpy can read as `numpy_values` does, such as a tensor."""
    return numpy_values(import_module("numpy").asarray(array))


def numpy_values(array: Any) -> Any:
    """Return a numpy array or one of numpy's dates as lists; rows with named fields as records."""
    if array.dtype.names is not None:
        return _structured_values(array)
    if array.dtype.kind == "M":  # as text: `tolist()` gives integers where datetime is too coarse
        return _without_nat(array.astype(str).tolist())
    if array.dtype.kind == "m":
        return _seconds(array)
    return array.tolist()


def _seconds(array: Any) -> Any:
    numpy = import_module("numpy")
    if numpy.datetime_data(array.dtype)[0] in ("Y", "M"):
        raise ValueError("months and years have no fixed length; convert them to days or to text")
    missing = numpy.isnat(array)
    return numpy.where(missing, None, array / numpy.timedelta64(1, "s")).tolist()


def _structured_values(array: Any) -> Any:
    if array.ndim > 1:
        return [_structured_values(part) for part in array]
    fields = {name: numpy_values(array[name]) for name in array.dtype.names}
    if array.ndim == 0:
        return fields
    return [dict(zip(fields, row, strict=True)) for row in zip(*fields.values(), strict=True)]


def _without_nat(texts: Any) -> Any:
    if isinstance(texts, list):
        return [_without_nat(text) for text in texts]
    return None if texts == "NaT" else texts


def polars_records(frame: Any) -> Records:
    """Return a polars frame as one record per row.

    Raises:
        ValueError: A column holds nanoseconds that Python's dates and times would lose.
    """
    for series in frame.iter_columns():
        _check_nanoseconds(series)
    records: Records = frame.to_dicts()
    return records


def polars_values(series: Any) -> list[Any]:
    """Return a polars series as a list.

    Raises:
        ValueError: It holds nanoseconds that Python's dates and times would lose.
    """
    _check_nanoseconds(series)
    values: list[Any] = series.to_list()
    return values


def _check_nanoseconds(series: Any) -> None:
    kind = series.dtype
    if hasattr(kind, "fields"):
        for part in series.struct.unnest().iter_columns():
            _check_nanoseconds(part)
    if hasattr(kind, "inner"):  # of a list or an array
        _check_nanoseconds(series.explode())
    unit = "ns" if str(kind) == "Time" else getattr(kind, "time_unit", None)
    if unit == "ns" and (series.to_physical() % _NANOSECONDS != 0).any():
        raise ValueError(
            f"the column {series.name!r} holds nanoseconds, which Python's dates and times cannot; "
            "cast it to microseconds or to text"
        )


def arrow_values(table: Any) -> list[Any]:
    """Return what offers `__arrow_c_stream__` as a list: of records, if it is a table.

    Raises:
        ValueError: Neither pyarrow nor polars is there to read it, two columns have the same name,
            or Python's times would lose nanoseconds.
    """
    if (pyarrow := _library("pyarrow")) is not None:
        return _pyarrow_list(pyarrow.chunked_array(table))
    if (polars := _library("polars")) is not None:
        return polars_values(polars.Series(table))
    if hasattr(table, "__dataframe__"):
        return interchange_records(table)
    raise ValueError("to read it takes pyarrow: pip install pyarrow")


def arrow_array_values(array: Any) -> list[Any]:
    """Return what offers `__arrow_c_array__` as a list: of records, if it is a table.

    Raises:
        ValueError: pyarrow is not installed, or as for `arrow_values`.
    """
    pyarrow = _library("pyarrow")
    if pyarrow is None:
        raise ValueError("to read it takes pyarrow: pip install pyarrow")
    return _pyarrow_list(pyarrow.array(array))


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        return None


def _pyarrow_list(array: Any) -> list[Any]:
    types = import_module("pyarrow").types
    fields = list(array.type) if types.is_struct(array.type) else []
    _check_names([field.name for field in fields])
    _check_times(array)
    values: list[Any] = array.to_pylist()
    return values


def pyarrow_value(scalar: Any) -> Any:
    """Return the value of a pyarrow scalar.

    Raises:
        ValueError: It holds nanoseconds that Python's times would lose.
    """
    return _pyarrow_list(import_module("pyarrow").array([scalar], scalar.type))[0]


def _check_times(array: Any) -> None:
    """Check that no time of a pyarrow array, at any depth, loses nanoseconds.

    Raises:
        ValueError: One does; `to_pylist` would drop them without a word.
    """
    kind = array.type
    if "time64[ns]" not in str(kind):
        return
    types = import_module("pyarrow").types
    if hasattr(array, "chunks"):
        parts = array.chunks
    elif types.is_time64(kind):
        parts = []
        array.cast("time64[us]")
    elif types.is_dictionary(kind):
        parts = [array.dictionary]
    elif types.is_map(kind):
        parts = [array.keys, array.items]
    elif types.is_struct(kind):
        parts = array.flatten()
    else:  # a list of some kind
        parts = [array.flatten()]
    for part in parts:
        _check_times(part)


def interchange_records(table: Any) -> Records:
    """Return what offers `__dataframe__` as one record per row.

    Raises:
        ValueError: pyarrow is not there to read it, or a column has a type it cannot read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the protocol itself
        if "pandas.index" in table.__dataframe__().metadata:  # only pandas reads that
            return frame_records(import_module("pandas").api.interchange.from_dataframe(table))
        if _library("pyarrow") is None:
            raise ValueError("to read it takes pyarrow: pip install pyarrow")
        frame = import_module("pyarrow.interchange").from_dataframe(table)
    return arrow_values(frame)
