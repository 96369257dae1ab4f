"""Records as a table, bounded in size and, by the style sheet, in height."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

from runagent_jupyter.data.pictures import is_picture_uri
from runagent_jupyter.data.records import columns_of
from runagent_jupyter.html.escaping import escape
from runagent_jupyter.html.picture_slots import PictureBudget, PictureSlots
from runagent_jupyter.html.sanitizer import sanitize

_ROWS: Final = 500
_COLUMNS: Final = 50
_CELLS: Final = 10_000
_CELL: Final = 500  # characters of one cell
_DIGITS: Final = 6  # behind the point
_SMALL: Final = 1e-3
_LARGE: Final = 1e15
_CHARACTERS: Final = 200_000  # of all cells


def record_table(records: Sequence[Mapping[str, Any]], *, of: int | None = None) -> str:
    """Show records as a table: a row for each, a column for each field that one of them has.

    The table has at most 500 rows, 50 columns and 10,000 cells, 500 characters of each cell and
    200,000 in all. Columns of numbers are aligned at their points, with
    at most six digits behind them. A text that is the address of a
    picture, with its data, is shown as the picture.

    Args:
        records: Flat records, at least one.
        of: The number of rows of the whole table, if these are only its first ones.

    Returns:
        Safe HTML. Below the table there are the numbers of its rows and columns, and a note if
        some are left out.
    """
    names = columns_of(records)
    shown = names[:_COLUMNS]
    align = {name: _alignment(records, name) for name in shown}
    digits = {name: _digits(records, name) for name in shown if align[name]}
    head = "".join(f"<th{align[name]}>{escape(_cut(name))}</th>" for name in shown)
    rows: list[str] = []
    characters = 0
    slots = PictureBudget().slots(0)
    for record in islice(records, min(_ROWS, _CELLS // max(1, len(shown)))):
        cells = [_text(record.get(name, ""), digits.get(name)) for name in shown]
        characters += sum(map(len, cells))
        if rows and characters > _CHARACTERS:
            break
        row = "".join(
            f"<td{align[name]}>{_cell(record.get(name, ''), text, slots)}</td>"
            for name, text in zip(shown, cells, strict=True)
        )
        rows.append(f"<tr>{row}</tr>\n")
    total = max(len(records), of or 0)
    size = f"{_counted(total, 'row')}, {_counted(len(names), 'column')}"
    cut = _left_out(total - len(rows), len(names) - len(shown))
    table = sanitize(
        f'<table dir="auto">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{''.join(rows)}</tbody></table>"
    )
    below = sanitize(f'<p><span class="runagent-count">{size}</span>{cut}</p>\n')
    # The keyboard scrolls only what has the focus.
    content = f'<div class="runagent-records" tabindex="0">{table}</div>\n{below}'
    return slots.fill(content)


def _alignment(records: Sequence[Mapping[str, Any]], name: str) -> str:
    kinds = {type(record.get(name)) for record in records} - {type(None)}
    return ' align="right"' if kinds and kinds <= {int, float} else ""


def _digits(records: Sequence[Mapping[str, Any]], name: str) -> int | None:
    """Return the digits behind the point of a column, the same for all so that the eye compares.

    Returns:
        At most six; `None` for integers, and for numbers that would lose their first digits or
        are too large for this.
    """
    numbers = [record[name] for record in records[:_ROWS] if record.get(name) is not None]
    floats = [number for number in numbers if isinstance(number, float)]
    if not floats or not all(n == 0 or _SMALL <= abs(n) < _LARGE for n in numbers):
        return None
    return min(_DIGITS, max(len(repr(n).partition(".")[2]) for n in floats))


def _text(value: Any, digits: int | None) -> str:
    if isinstance(value, str):
        return _cut(value)
    words = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    return _cut(_number(value) if digits is None else f"{value:.{digits}f}")


def _number(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:  # Python may refuse to write an integer that is very long
        return "a number of more digits than Python writes"


def _cell(value: Any, text: str, slots: PictureSlots) -> str:
    if isinstance(value, str) and is_picture_uri(value):
        return slots.image(value, "")
    shown = escape(text)
    return f'<span class="runagent-cut">{shown}</span>' if value is None else shown


def _cut(text: str) -> str:
    return text if len(text) <= _CELL else f"{text[:_CELL]}\u2026"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _left_out(rows: int, columns: int) -> str:
    """Say how many rows and columns are not shown, if any."""
    kinds = ((rows, "row"), (columns, "column"))
    parts = [_counted(number, noun) for number, noun in kinds if number]
    if not parts:
        return ""
    return f'<span class="runagent-cut"> \u2026 {" and ".join(parts)} not shown</span>'
