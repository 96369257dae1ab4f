"""Tables as batches: the rows of a DataFrame as inputs, and the answers as its new columns."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from runagent.encode import to_json
from runagent.errors import ValidationError
from runagent.many.rows import Row

if TYPE_CHECKING:
    from runagent.many.asynchronous import AsyncBatch
    from runagent.many.blocking import Batch

Inputs = str | Mapping[str, str] | Callable[[dict[str, Any]], Any]
Outputs = str | Sequence[str] | Mapping[str, str]

HEAD = 10
"""Rows that are kept for a display."""

STATUS = "status"
ERROR = "error"


class Table:
    """A table of some kind, as `Frame` uses it.

    Attributes:
        columns: The names of its columns.
    """

    columns: list[str]

    def __len__(self) -> int:
        """Return the number of its rows, as far as they are known."""
        raise NotImplementedError

    @property
    def total(self) -> int | None:
        """The number of all its rows, `None` if it is not known yet."""
        return len(self)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield its rows as dictionaries, each made when it is asked for."""
        raise NotImplementedError

    def values(self, column: str) -> Iterable[Any]:
        """Return the values of a column, in the order of the rows."""
        raise NotImplementedError

    def with_columns(self, columns: dict[str, list[Any]]) -> Any:
        """Return a table of the same kind with more columns."""
        raise NotImplementedError


class Frame:
    """A table, with the columns that it will get.

    Attributes:
        table: The table.
        head: The first rows of it that were read, by their ids.
    """

    def __init__(self, frame: Any, input_: Inputs, id_: str | None, output: Outputs) -> None:
        """Check the columns.

        Args:
            frame: A DataFrame of pandas or polars, a Table of pyarrow, or a `Table`.
            input_: A column, fields with their columns, or a function that makes an input of a row.
                A row for which it raises a `ValidationError` fails.
            id_: The column that identifies a row, `None` for its position.
            output: The new columns.

        Raises:
            ValidationError: Something else than such a table, a column that is not there, a new
                column with the name of one that is, or a row without an id of its own.
        """
        self.table = _table_of(frame)
        self._fields = _fields_of(output)
        self._input = input_
        self._id = id_
        self.head: dict[Any, dict[str, Any]] = {}
        wanted = [input_] if isinstance(input_, str) else []
        if isinstance(input_, Mapping):
            wanted = list(input_.values())
        for name in [*wanted, *([] if id_ is None else [id_])]:
            self._check_there(name)
        for name in {STATUS, ERROR} & self._fields.keys():
            raise ValidationError(
                f"The column {name!r} is for the {name} of each row, and not for an answer.",
                code="INVALID_INPUT",
                hint="Pass another output=; a field of that name may have another column.",
            )
        for name in [*self._fields, STATUS, ERROR]:
            if name in self.table.columns:
                raise ValidationError(
                    f"The frame has a column {name!r} already, which the answers would replace.",
                    code="INVALID_INPUT",
                    hint="Pass another output=, or rename or drop that column.",
                )
        if id_ is not None:
            self._check_ids(id_)

    def _check_there(self, name: str) -> None:
        if name not in self.table.columns:
            raise ValidationError(
                f"The frame has no column {name!r}; it has {', '.join(self.table.columns)}.",
                code="INVALID_INPUT",
            )

    def _check_ids(self, name: str) -> None:
        """Check that each row has an id of its own, before anything is sent."""
        ids = list(self.table.values(name))
        if {*map(type, ids)} <= {str, int} and len({*ids}) == len(ids):
            return
        seen: dict[Any, int] = {}
        for position, id_ in enumerate(ids):
            problem = "no value" if is_missing(id_) else ""
            try:
                first = seen.setdefault(id_, position)
            except TypeError:
                problem = f"a value of type {type(id_).__name__}"
            else:
                if first != position and not problem:
                    problem = f"the value {id_!r} of row {first}, too"
            if problem:
                raise ValidationError(
                    f"Row {position} has {problem} in the column {name!r}, which identifies rows.",
                    code="INVALID_INPUT",
                    hint="Each row needs an id of its own, text or a number. Without such a "
                    "column, rows are known by their position.",
                )

    @property
    def inputs(self) -> Iterable[Any]:
        """The pairs of an id and an input, each made when it is asked for."""
        return _Inputs(self.table, self._pairs)

    def _pairs(self) -> Iterator[Any]:
        for position, row in enumerate(self.table.rows()):
            id_ = position if self._id is None else row.get(self._id)
            if len(self.head) < HEAD and isinstance(id_, Hashable):
                self.head[id_] = row
            try:
                input_ = self._input_of(row)
            except ValidationError as exc:
                input_ = exc
            yield id_, input_

    def _input_of(self, row: dict[str, Any]) -> Any:
        if isinstance(self._input, str):
            return {self._input: row[self._input]}
        if isinstance(self._input, Mapping):
            return {field: row[column] for field, column in self._input.items()}
        return self._input(row)

    def run(self, batch: Batch) -> Any:
        """Run a batch of `inputs` to its end, and return the frame with the answers.

        Raises:
            RunAgentError: A batch that ended early. Its `answers` are the frame with those so far,
                as are those of a `KeyboardInterrupt`.
        """
        try:
            for _ in batch:
                pass
        except BaseException as exc:
            batch.end_now()
            self._add_answers(exc, batch)
            raise
        return self.answered(batch.rows())

    async def run_async(self, batch: AsyncBatch) -> Any:
        """Run a batch of the asynchronous client, as `run` does."""
        try:
            async for _ in batch:
                pass
        except BaseException as exc:
            await batch.end_now()
            self._add_answers(exc, batch)
            raise
        return self.answered(batch.rows())

    def _add_answers(self, exc: BaseException, batch: Batch | AsyncBatch) -> None:
        with suppress(AttributeError):  # of a class that allows no more attributes
            exc.answers = self.answered(batch.rows())  # type: ignore[attr-defined]

    def answered(self, rows: Iterable[Row]) -> Any:
        """Return the frame with the answers, each in the row of its input.

        Args:
            rows: The rows that are finished; those that are missing get the status `"pending"`.
        """
        count = len(self.table)
        columns: dict[str, list[Any]] = {name: [None] * count for name in [*self._fields, ERROR]}
        columns[STATUS] = ["pending"] * count
        positions = self._positions()
        for row in rows:
            position = positions.get(row.id) if isinstance(row.id, Hashable) else None
            if position is not None:
                for name, value in self.values_of(row).items():
                    columns[name][position] = value
        names = [*self._fields, STATUS, ERROR]
        return self.table.with_columns({name: columns[name] for name in names})

    def _positions(self) -> dict[Any, int]:
        """Return the position of each row by its id, as it is and as a journal's file has it."""
        if self._id is None:
            return {position: position for position in range(len(self.table))}
        ids = list(self.table.values(self._id))
        if {*map(type, ids)} <= {str, int}:  # which a file has as they are
            return dict(zip(ids, range(len(ids)), strict=True))
        known = {id_: i for i, id_ in enumerate(ids) if isinstance(id_, Hashable)}
        others = {id_: i for id_, i in known.items() if not isinstance(id_, (str, int))}
        return known | {json.loads(to_json(id_)): i for id_, i in others.items()}

    def values_of(self, row: Row) -> dict[str, Any]:
        """Return the values of the new columns in a row that is finished."""
        values = {name: _part(row.output, field) for name, field in self._fields.items()}
        if row.error is None:
            return {**values, STATUS: "ok", ERROR: None}
        return {**values, STATUS: "failed", ERROR: row.error.message}


class _Inputs:
    """Inputs of which the number is known, and which are made when they are asked for."""

    def __init__(self, table: Table, make: Callable[[], Iterator[Any]]) -> None:
        self._table = table
        self._make = make

    def __len__(self) -> int:
        if self._table.total is None:
            raise TypeError("The number of these inputs is not known.")
        return self._table.total

    def __iter__(self) -> Iterator[Any]:
        return self._make()


def is_missing(value: Any) -> bool:
    """Whether a value stands for a missing one: `None`, NaN, or `NaT` and `NA` of pandas."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and math.isnan(value)


def _part(answer: Any, field: str | None) -> Any:
    """Return a field of an answer, `None` if it has no such field; without a field, all of it."""
    if field is None:
        return answer
    if isinstance(answer, Mapping):
        return answer.get(field)
    return getattr(answer, field, None)


def _fields_of(output: Outputs) -> dict[str, str | None]:
    """Return the new columns, each with its field of the answer, `None` for the whole answer."""
    if isinstance(output, str):
        return {output: None}
    if isinstance(output, Mapping):
        return {column: field for field, column in output.items()}
    return {name: name for name in output}


class _Pandas(Table):
    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.columns = [str(name) for name in frame.columns]

    def __len__(self) -> int:
        return len(self._frame)

    def values(self, column: str) -> Iterable[Any]:
        values: list[Any] = self._frame.iloc[:, self.columns.index(column)].tolist()
        return values

    def rows(self) -> Iterator[dict[str, Any]]:
        for values in self._frame.itertuples(index=False, name=None):
            yield dict(zip(self.columns, values, strict=True))

    def with_columns(self, columns: dict[str, list[Any]]) -> Any:
        import pandas as pd  # noqa: PLC0415 - it is there, as the frame is its

        index = self._frame.index
        return self._frame.assign(
            **{name: pd.Series(values, index=index) for name, values in columns.items()}
        )


class _Polars(Table):
    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.columns = list(frame.columns)

    def __len__(self) -> int:
        return len(self._frame)

    def values(self, column: str) -> Iterable[Any]:
        values: Iterable[Any] = self._frame[column]
        return values

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


class _Arrow(Table):
    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.columns = list(frame.column_names)

    def __len__(self) -> int:
        return len(self._frame)

    def values(self, column: str) -> Iterable[Any]:
        return (value.as_py() for value in self._frame[column])

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


def _table_of(frame: Any) -> Table:
    kind = type(frame)
    if isinstance(frame, Table):
        return frame
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
