"""The rows that `--each` names, as a table: frames, records, dictionaries and other iterables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from runagent import ValidationError
from runagent.many import Table
from runagent_jupyter.data.records import columns_of

ITEM = "item"
"""The name of the only column of rows that are no records."""

KEY = "key"
"""The column for the keys of a dictionary of rows."""


def table_of(value: Any, name: str) -> Any:
    """Return the rows of a value as a table that a `Frame` of the core takes.

    Args:
        value: A DataFrame or Series of pandas or polars, a Table of pyarrow, a list or another
            iterable of records or of other values, a dictionary of rows by their keys, or one of
            columns.
        name: Its name in messages.

    Raises:
        ValidationError: Something else.
    """
    kind = type(value)
    package = kind.__module__.partition(".")[0]
    if kind.__name__ == "Series" and package in ("pandas", "polars"):
        return value.to_frame(value.name or ITEM)
    if (kind.__name__, package) in (
        ("DataFrame", "pandas"),
        ("DataFrame", "polars"),
        ("Table", "pyarrow"),
    ):
        return value
    if kind.__name__ == "LazyFrame":
        raise _no_table(name, value, f"Collect it first: {name}.collect().")
    if isinstance(value, (str, bytes, bytearray, type)) or not isinstance(value, Iterable):
        raise _no_table(name, value)
    if hasattr(kind, "to_dataframe") or hasattr(value, "columns"):
        raise _no_table(name, value, "Make a DataFrame of it first.")
    if isinstance(value, Mapping):
        return _Columns(value) if _is_columns(value) else KeyedRows(value)
    return _Records(value)


def _no_table(name: str, value: Any, hint: str = "") -> ValidationError:
    return ValidationError(
        f"--each {name} is of type {type(value).__name__}, which is no table.",
        code="USAGE",
        hint=hint
        or "Name a DataFrame, a list of dictionaries or of texts, or another iterable of rows.",
    )


def _record(row: Any) -> dict[str, Any]:
    """Return a row as a dictionary."""
    if isinstance(row, Mapping):
        return {str(name): value for name, value in row.items()}
    if isinstance(row, tuple) and hasattr(row, "_asdict"):
        return dict(row._asdict())
    return {ITEM: row}


class _Records(Table):
    """Rows of an iterable. One that can be read only once is not read ahead, and is kept."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self._rest = iter(()) if isinstance(rows, (list, tuple)) else iter(rows)
        self._is_read = isinstance(rows, (list, tuple))
        self._records = [_record(row) for row in rows] if self._is_read else []
        first = self._records or self._ahead()
        self.columns = columns_of(first)

    def _ahead(self) -> list[dict[str, Any]]:
        """Read the first row, which tells the columns."""
        for row in self._rest:
            self._records.append(_record(row))
            break
        return self._records

    def __len__(self) -> int:
        return len(self._records)

    @property
    def total(self) -> int | None:
        return len(self) if self._is_read else None

    def rows(self) -> Iterator[dict[str, Any]]:
        position = 0
        while True:
            if position == len(self._records):
                row = next(self._rest, _END)
                if row is _END:
                    self._is_read = True
                    return
                self._records.append(_record(row))
            yield self._records[position]
            position += 1

    def values(self, column: str) -> Iterable[Any]:
        return (record.get(column) for record in self._records)

    def with_columns(self, columns: dict[str, list[Any]]) -> Any:
        return [
            {**record, **{name: values[i] for name, values in columns.items()}}
            for i, record in enumerate(self._records)
        ]


_END = object()


class KeyedRows(_Records):
    """Rows of a dictionary by their keys, which identify them."""

    def __init__(self, rows: Mapping[Any, Any]) -> None:
        """Add the keys as a column."""
        super().__init__([{KEY: key, **_record(row)} for key, row in rows.items()])
        self.columns = self.columns or [KEY]


def _is_columns(value: Mapping[Any, Any]) -> bool:
    """Whether a dictionary has columns, which are lists of the same length."""
    columns = list(value.values())
    return (
        bool(columns)
        and all(isinstance(column, (list, tuple)) for column in columns)
        and len({len(column) for column in columns}) == 1
    )


class _Columns(Table):
    """A dictionary of columns."""

    def __init__(self, columns: Mapping[Any, Any]) -> None:
        self._columns = {str(name): values for name, values in columns.items()}
        self.columns = list(self._columns)

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))

    def rows(self) -> Iterator[dict[str, Any]]:
        for i in range(len(self)):
            yield {name: values[i] for name, values in self._columns.items()}

    def values(self, column: str) -> Iterable[Any]:
        values: Iterable[Any] = self._columns[column]
        return values

    def with_columns(self, columns: dict[str, list[Any]]) -> Any:
        return {**self._columns, **columns}
