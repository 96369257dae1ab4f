"""Reads the answers of rows into the user's model; a journal keeps them as they came."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from runagent.errors import ValidationError
from runagent.many.rows import Row

MISFIT = "UNEXPECTED_ANSWER"
"""The code of the error of an answer that does not fit the model."""

ReadAnswer = Callable[[Any], Any]


def read(row: Row, read_answer: ReadAnswer | None) -> Row:
    """Return a row as users see it.

    Args:
        row: The row with its answer as it came; perhaps an earlier run could not read it.
        read_answer: Returns an answer as an instance of the model; `None` for no model.

    Returns:
        The row with the instance; or with the error of an answer that does not fit, and that
        answer as it came.
    """
    if row.error is not None and row.error.code != MISFIT:
        return row
    if read_answer is None:
        return row if row.error is None else replace(row, error=None)
    try:
        value = read_answer(row.output)
    except ValidationError as exc:
        exc.attempts = row.attempts
        return replace(row, error=exc)
    return replace(row, output=value, error=None)


def as_kept(row: Row, answer: Any) -> Row:
    """Return a row as a journal keeps it: with the answer as it came."""
    return row if row.output is answer else replace(row, output=answer)
