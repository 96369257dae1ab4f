"""Tables as batches: the rows of a DataFrame as inputs, and the answers as its new columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from runagent.encode import to_json
from runagent.errors import ValidationError
from runagent.many.rows import Row

Inputs = str | Mapping[str, str] | Callable[[dict[str, Any]], Any]
Outputs = str | Sequence[str] | Mapping[str, str]

STATUS = "status"
ERROR = "error"


class Frame:
    """A DataFrame of pandas or polars, or a Table of pyarrow, with the columns it will get.

    Attributes:
        inputs: Pairs of an id and an input, one for each row; each is made when it is asked for.
    """

    def __init__(self, frame: Any, input_: Inputs, id_: str | None, output: Outputs) -> None:
        """Check the columns.

        Raises:
            ValidationError: Something else than such a frame, a column that is not there, or a
                new column with the name of one that is.
        """
        self._table = _table_of(frame)
        self._fields = _fields_of(output)
        self._input = input_
        self._id = id_
        wanted = [input_] if isinstance(input_, str) else []
        if isinstance(input_, Mapping):
            wanted = list(input_.values())
        for name in [*wanted, *([] if id_ is None else [id_])]:
            self._check_there(name)
        for name in [*self._fields, STATUS, ERROR]:
            if name in self._table.columns:
                raise ValidationError(
                    f"The frame has a column {name!r} already, which the answers would replace.",
                    code="INVALID_INPUT",
                    hint="Pass another output=, or rename or drop that column.",
                )

    def _check_there(self, name: str) -> None:
        if name not in self._table.columns:
            raise ValidationError(
                f"The frame has no column {name!r}; it has {', '.join(self._table.columns)}.",
                code="INVALID_INPUT",
            )

    @property
    def inputs(self) -> Iterator[Any]:
        """Yield pairs of an id and an input."""
        for position, row in enumerate(self._table.rows()):
            id_ = position if self._id is None else row[self._id]
            yield id_, self._input_of(row)

    def _input_of(self, row: dict[str, Any]) -> Any:
        if isinstance(self._input, str):
            return {self._input: row[self._input]}
        if isinstance(self._input, Mapping):
            return {field: row[column] for field, column in self._input.items()}
        return self._input(row)

    def answered(self, rows: list[Row]) -> Any:
        """Return the frame with the answers, each in the row of its input."""
        columns: dict[str, list[Any]] = {name: [] for name in self._fields}
        for row in rows:
            for name, field in self._fields.items():
                value = row.output
                if field is not None:
                    value = value.get(field) if isinstance(value, Mapping) else None
                columns[name].append(value)
        columns[STATUS] = ["ok" if row.error is None else "failed" for row in rows]
        columns[ERROR] = [None if row.error is None else row.error.message for row in rows]
        return self._table.with_columns(columns)


def _fields_of(output: Outputs) -> dict[str, str | None]:
    """Return the new columns, each with its field of the answer, `None` for the whole answer."""
    if isinstance(output, str):
        return {output: None}
    if isinstance(output, Mapping):
        return {column: field for field, column in output.items()}
    return {name: name for name in output}


class _Pandas:
    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.columns = [str(name) for name in frame.columns]

    def rows(self) -> Iterator[dict[str, Any]]:
        for values in self._frame.itertuples(index=False, name=None):
            yield dict(zip(self.columns, values, strict=True))

    def with_columns(self, columns: dict[str, list[Any]]) -> Any:
        import pandas as pd  # noqa: PLC0415 - it is there, as the frame is its

        index = self._frame.index
        return self._frame.assign(
            **{name: pd.Series(values, index=index) for name, values in columns.items()}
        )


class _Polars:
    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.columns = list(frame.columns)

    def rows(self) -> Iterator[dict[str, Any]]:
        rows: Iterator[dict[str, Any]] = self._frame.iter_rows(named=True)
        return rows

    def with_columns(self, columns: dict[str, list[Any]]) -> Any:
        import polars as pl  # noqa: PLC0415 - it is there, as the frame is its

        def series(name: str, values: list[Any]) -> Any:
            try:
                return pl.Series(name, values)
            except (TypeError, ValueError, pl.exceptions.PolarsError):
                return pl.Series(name, _as_text(values))

        return self._frame.with_columns([series(*column) for column in columns.items()])


class _Arrow:
    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.columns = list(frame.column_names)

    def rows(self) -> Iterator[dict[str, Any]]:
        for part in self._frame.to_batches(max_chunksize=1000):
            yield from part.to_pylist()

    def with_columns(self, columns: dict[str, list[Any]]) -> Any:
        import pyarrow as pa  # noqa: PLC0415 - it is there, as the frame is its

        frame = self._frame
        for name, values in columns.items():
            try:
                array = pa.array(values)
            except pa.ArrowException:
                array = pa.array(_as_text(values))
            frame = frame.append_column(name, array)
        return frame


def _as_text(values: list[Any]) -> list[str | None]:
    """Return values of several types, which no column can hold, as JSON."""
    return [None if value is None else to_json(value).decode() for value in values]


def _table_of(frame: Any) -> _Pandas | _Polars | _Arrow:
    kind = type(frame)
    package = kind.__module__.partition(".")[0]
    if package == "pandas" and kind.__name__ == "DataFrame":
        return _Pandas(frame)
    if package == "polars" and kind.__name__ == "DataFrame":
        return _Polars(frame)
    if package == "pyarrow" and kind.__name__ == "Table":
        return _Arrow(frame)
    hint = "Collect it first: frame.collect()." if kind.__name__ == "LazyFrame" else None
    raise ValidationError(
        f"The frame is of type {package}.{kind.__name__}; map_frame takes a DataFrame of pandas "
        "or polars, or a Table of pyarrow.",
        code="INVALID_INPUT",
        hint=hint,
    )
