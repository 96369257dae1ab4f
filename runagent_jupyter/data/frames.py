"""Answers as pandas frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent_jupyter.control_characters import sendable
from runagent_jupyter.data.records import is_records
from runagent_jupyter.data.values import as_data

if TYPE_CHECKING:
    import pandas as pd


def frame_of(
    value: Any, facts: dict[str, Any], *, columns: list[str] | None = None
) -> pd.DataFrame:
    """Make a frame of an answer.

    Args:
        value: The answer.
        facts: The facts about it, which become attributes of the frame.
        columns: The columns, where they are known; otherwise, those of the rows.

    Returns:
        A frame with a row for each record of a list, also where an object has the list as its only
        field; with one row for another object; with the column `value` for a list of other values;
        and with the column `text`, or `value`, for a single text or other value.

    Raises:
        ModuleNotFoundError: pandas is not installed.
    """
    import pandas as pd  # noqa: PLC0415 - the user's, if they have it

    rows = _rows(as_data(value))
    frame: pd.DataFrame
    try:
        frame = pd.DataFrame(rows, columns=columns)
    except UnicodeEncodeError:  # the strings of pandas 3 hold no half of a character
        whole = [{_whole(name): _whole(cell) for name, cell in row.items()} for row in rows]
        frame = pd.DataFrame(whole, columns=columns)
    frame.attrs.update(facts)
    return frame


def _whole(value: Any) -> Any:
    return sendable(value) if isinstance(value, str) else value


def _rows(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        inner = next(iter(value.values())) if len(value) == 1 else None
        return inner if is_records(inner, flat=False) else [value]
    if is_records(value, flat=False):
        return value
    if isinstance(value, list):
        return [{"value": item} for item in value]
    return [{"text" if isinstance(value, str) else "value": value}]
