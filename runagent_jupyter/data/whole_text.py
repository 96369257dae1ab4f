"""Values as text for an agent: tables and arrays whole, whatever library they are from."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runagent import ValidationError
from runagent.encode import to_json
from runagent_jupyter.data.records import columns_of, is_records

MOST_CHARACTERS = 1_000_000
"""Characters of a table or an array. They are about 250,000 tokens, and few agents read as many."""

_EXCERPT_ROWS = 500
_EXCERPT_CELL = 200

_TABLE = 2
"""The dimensions of a table."""

_LEVELS = 3
"""Levels of lists and dictionaries in which tables are looked for."""

_PROTOCOLS = (
    "__arrow_c_stream__",
    "__arrow_c_array__",
    "__dataframe__",
    "__dask_graph__",
    "to_pandas",
    "toPandas",
    "__array__",
)
"""Attributes of the classes of tables and arrays."""

_LIBRARIES = frozenset({"polars", "pyarrow", "xarray"})
"""Libraries whose objects are sent whole by `to_json`; their `str` leaves gaps."""

_PANDAS = {("pandas", name) for name in ("PandasObject", "ExtensionArray", "StylerRenderer")}

_PICTURES = {("matplotlib", "Artist"), ("PIL", "Image")}

_NAME = "it"
"""The name of a value in messages of `to_json`."""

_PRECISION = 17
"""Digits that tell every number of 64 bits from its neighbours."""


class NoTextError(ValueError):
    """A value has no text that an agent can read.

    Attributes:
        hint: Advice on how to go on.
    """

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.hint = hint


def whole_text(value: Any) -> str:
    """Write a value as text, as `str` does, but with nothing left out.

    Tables and arrays of pandas, numpy, polars, pyarrow, xarray, dask and others that speak Arrow's
    or the interchange protocol are written whole, also in a list or a dictionary, which then is
    JSON.

    Args:
        value: Any value.

    Returns:
        The text.

    Raises:
        NoTextError: The text of a table or an array would have more than a million characters, or
            the value is a picture or bytes.
        Exception: The value cannot be written; its own code raised it.
    """
    kinds = _kinds(value)
    if kinds & _PICTURES:
        raise NoTextError(
            "it is a picture", "Send it as a field: --input NAME, or --set NAME={{…}}."
        )
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise NoTextError("it is bytes", "Decode it to text, or send it as a field: --input NAME.")
    if kinds & _PANDAS:
        return _bounded(value, _pandas_text)
    if ("numpy", "ndarray") in kinds:
        return _bounded(value, _table_text if value.dtype.names else _numpy_text)
    if _is_table(value):
        return _bounded(value, _table_text)
    if isinstance(value, (list, tuple, Mapping)) and _has_table(value, _LEVELS):
        return _bounded(value, _json)
    return str(value)


def _kinds(value: object) -> set[tuple[str, str]]:
    """Return the package and the name of each class of a value."""
    return {(base.__module__.partition(".")[0], base.__name__) for base in type(value).__mro__}


def _is_table(value: object) -> bool:
    kind = type(value)
    return any(hasattr(kind, name) for name in _PROTOCOLS) or any(
        package in _LIBRARIES for package, _ in _kinds(value)
    )


def _has_table(value: Any, levels: int) -> bool:
    if isinstance(value, (list, tuple)):
        items: Iterable[Any] = value
    elif isinstance(value, Mapping):
        items = value.values()
    else:
        is_scalar = value is None or isinstance(value, (str, int, float))
        return not is_scalar and _is_table(value) and getattr(value, "ndim", 1) != 0
    return levels > 0 and any(_has_table(item, levels - 1) for item in items)


def _bounded(value: Any, write: Any) -> str:
    """Write a value whose text must not become too long, and look at its size first."""
    if _cells(value) > MOST_CHARACTERS // 2:  # a cell has a character, and a space beside it
        raise _too_long(value)
    text: str = write(value)
    if len(text) > MOST_CHARACTERS:
        raise _too_long(value)
    return text


def _too_long(value: Any) -> NoTextError:
    shape = [f"{number:,}" for number in _shape(value)]
    words = {1: ["values"], _TABLE: ["rows", "columns"]}.get(len(shape))
    if words is not None:
        shape = [f"{number} {word}" for number, word in zip(shape, words, strict=True)]
    size = f" of {', '.join(shape)}" if words else f" of shape ({', '.join(shape)})"
    return NoTextError(
        f"it is a {type(value).__name__}{size if shape else ''}, whose text would have more than "
        f"{MOST_CHARACTERS:,} characters, and no agent reads as much",
        "Fill in a part, such as {{df.head(100)}}, or a summary, such as {{df.describe()}}.",
    )


def _cells(value: Any) -> int:
    if isinstance(value, (list, tuple, Mapping)) and not hasattr(value, "sizes"):
        return sum(map(_cells, value.values() if isinstance(value, Mapping) else value))
    return math.prod(_shape(value) or (0,))


def _shape(value: Any) -> tuple[int, ...]:
    """Return the size of a table or an array along each dimension, as far as it is known."""
    shape = getattr(value, "shape", None)
    if not isinstance(shape, tuple):
        sizes = getattr(value, "sizes", None)  # a dataset of xarray
        shape = tuple(sizes.values()) if isinstance(sizes, Mapping) else ()
    # dask does not know all sizes, or knows them as unknown (NaN).
    return tuple(int(n) for n in shape) if all(_is_size(n) for n in shape) else ()


def _is_size(number: object) -> bool:
    return isinstance(number, int) or (hasattr(type(number), "__index__"))


def _pandas_text(value: Any) -> str:
    import pandas as pd  # noqa: PLC0415 - its value is here, so it is installed

    whole = (
        *("display.max_colwidth", None, "display.max_seq_items", None),
        *("display.max_info_columns", sys.maxsize, "display.precision", _PRECISION),
    )
    with pd.option_context(*whole):
        if isinstance(value, pd.Index):
            return str(value.to_frame(index=False).to_string(float_format=str))
        if isinstance(value, pd.api.extensions.ExtensionArray):
            value = pd.Series(value)
        if isinstance(value, pd.Series) and isinstance(value.dtype, pd.CategoricalDtype):
            value = value.astype(object)  # the list of all categories would have a gap
        if isinstance(value, (pd.DataFrame, pd.Series)):
            return str(value.to_string(float_format=str))
        return str(value.to_string() if hasattr(value, "to_string") else value)


def _numpy_text(array: Any) -> str:
    import numpy as np  # noqa: PLC0415 - its value is here, so it is installed

    with np.printoptions(threshold=sys.maxsize, precision=_PRECISION, floatmode="unique"):
        return str(array)


def _table_text(value: Any) -> str:
    """Write a table in aligned columns, and anything else that `to_json` makes of it as JSON."""
    if hasattr(type(value), "__dask_graph__") and not hasattr(value, "sizes"):
        value = _computed(value)
    data = json.loads(_json(value))
    if is_records(data, flat=False):
        return aligned(data)
    return data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)


def _json(value: Any) -> str:
    try:
        return to_json(value, _NAME).decode()
    except ValidationError as exc:
        problem = exc.message.removeprefix(f"{_NAME}: ").rstrip(".")
        raise NoTextError(problem, exc.hint or "Fill in a value that can be written.") from None


def _computed(collection: Any) -> Any:
    """Return the result of a dask collection, unless it turns out to be too large.

    A frame is computed part by part, so that one of any size costs no more than what may be read.
    """
    if not hasattr(collection, "npartitions") or not hasattr(collection, "get_partition"):
        return collection.compute()
    import pandas as pd  # noqa: PLC0415 - dask's frames are made of it

    parts, cells = [], 0
    for number in range(collection.npartitions):
        part = collection.get_partition(number).compute()
        cells += getattr(part, "size", 1)
        if cells > MOST_CHARACTERS // 2:
            raise _too_long(collection)
        parts.append(part)
    if isinstance(parts[0], (pd.DataFrame, pd.Series)):
        return pd.concat(parts)
    return parts[0].append(parts[1:])


def aligned(records: Sequence[Mapping[str, Any]]) -> str:
    """Write records in aligned columns, each on one line.

    Args:
        records: The records, which may lack some of the fields.

    Returns:
        A line with the names of the columns, and one for each record.
    """
    names = columns_of(records)
    rows = [[_cell(name) for name in names]]
    rows += [
        [_cell(record[name]) if name in record else "" for name in names] for record in records
    ]
    is_number = [
        all(_is_number(record.get(name)) for record in records if record.get(name) is not None)
        for name in names
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(names))]
    lines = (
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, is_number, strict=True)
        ).rstrip()
        for row in rows
    )
    return "\n".join(lines)


def excerpt(records: Sequence[Mapping[str, Any]]) -> str:
    """Write records as `aligned` does, for people to look at.

    Args:
        records: The records.

    Returns:
        The first 500 records, with at most 200 characters of each text, and the number of those
        that are left out, if any.
    """
    shown = [
        {name: _cut(value) for name, value in record.items()} for record in records[:_EXCERPT_ROWS]
    ]
    more = len(records) - len(shown)
    return aligned(shown) + (f"\n… {more:,} more rows" if more else "")


def _cut(value: Any) -> Any:
    if not isinstance(value, str) or len(value) <= _EXCERPT_CELL:
        return value
    return f"{value[:_EXCERPT_CELL]}…"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text.replace("\\", "\\\\").replace("\n", "\\n") if "\n" in text else text
