"""Telling records, which are shown as a table, from other values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

Record = dict[str, Any]


def is_records(value: object, *, flat: bool = True) -> TypeGuard[list[Record]]:
    """Check whether a value is a list of records.

    Args:
        value: Any value.
        flat: Whether the fields of the records must be text, numbers, booleans or null.

    Returns:
        Whether it is a list of at least one dictionary, and of nothing else, with a field in one
        of them at least.
    """
    return (
        isinstance(value, list)
        and all(isinstance(record, dict) for record in value)
        and any(value)
        and (not flat or all(_is_flat(record) for record in value))
    )


def records_of(value: object) -> list[Record] | None:
    """Find the flat records of an answer.

    Args:
        value: The answer: a list of records, or an object with such a list as its only field.

    Returns:
        The records, or `None` if it is another value.
    """
    if isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    return value if is_records(value) else None


def columns_of(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of the fields of records, in the order in which they come first."""
    return list(dict.fromkeys(name for record in records for name in record))


def _is_flat(record: Record) -> bool:
    return all(
        field is None or isinstance(field, (str, int, float)) for field in record.values()
    ) and all(isinstance(name, str) for name in record)
