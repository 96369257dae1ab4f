"""The first rows of a table with their answers, as they are shown while the table grows."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

from runagent import ValidationError
from runagent.encode import to_json
from runagent.many import Frame, Row, is_missing
from runagent_jupyter import html

COLUMNS = 4
"""Columns that are shown beside the answers, at most."""

_CUT = 500
"""Characters of an answer that is no text."""


class FirstRows:
    """The first rows of a table, with their answers as far as they have come.

    Args:
        frame: The table.
        columns: The names of its columns.
        id_: The column that identifies a row, if there is one.
        question: A text that names the columns that matter most, such as a template.
    """

    def __init__(self, frame: Frame, columns: list[str], id_: str | None, question: str) -> None:
        named = [c for c in columns if re.search(rf"(?<!\w){re.escape(c)}(?!\w)", question)]
        chosen = dict.fromkeys([*([] if id_ is None else [id_]), *(named or columns)])
        self._columns = list(chosen)[:COLUMNS]
        self._frame = frame
        self._answers: dict[Any, dict[str, Any]] = {}
        self._html = ""

    def take(self, row: Row) -> None:
        """Take a row that is finished; only the first ones of the table are kept."""
        if isinstance(row.id, Hashable) and row.id in self._frame.head:
            self._answers[row.id] = self._frame.values_of(row)
            self._html = ""

    def html(self, total: int | None) -> str:
        """Return safe HTML of the rows that are finished, empty if there are none.

        Args:
            total: The number of rows of the whole table, `None` if it is not known.
        """
        if not self._html and self._answers:
            self._html = html.record_table(self._records(), of=total)
        return self._html

    def _records(self) -> list[dict[str, Any]]:
        records = [
            {name: row.get(name) for name in self._columns} | self._answers[id_]
            for id_, row in self._frame.head.items()
            if id_ in self._answers
        ]
        has_errors = any(record["error"] for record in records)
        for record in records:
            error = record.pop("error") or ""
            if has_errors:
                record["error"] = error
        return [{name: _shown(value) for name, value in record.items()} for record in records]


def _shown(value: Any) -> str | float | None:
    """Return a value as a table shows it: text, a number, a boolean or nothing."""
    if is_missing(value):
        return None
    if isinstance(value, (str, bool, int, float)):
        return value
    try:
        text = to_json(value).decode()
    except ValidationError:
        text = f"a {type(value).__name__}"
    return text.strip('"') if len(text) <= _CUT else f"{text[:_CUT]}…"
