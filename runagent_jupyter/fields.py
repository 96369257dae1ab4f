"""Values of the notebook as they are sent in the fields of an input."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runagent import ValidationError, attachment

_BYTES = (bytes, bytearray, memoryview)


def as_field(value: Any, name: str) -> Any:
    """Return a value as it is sent: a file and bytes as attachments, anything else unchanged.

    Args:
        value: Any value. A `Path` stands for the file, and a list of them for its files.
        name: The value's name in messages.

    Returns:
        An attachment, `{"mime": ..., "data": base64}`, a list with attachments in it, or the value.

    Raises:
        ValidationError: The file cannot be read or is too large.
    """
    if isinstance(value, (Path, *_BYTES)):
        try:
            return attachment(value)
        except ValueError as exc:
            hint = "To send the path itself, pass str(path)." if isinstance(value, Path) else None
            raise ValidationError(f"{name}: {exc}.", code="INVALID_INPUT", hint=hint) from None
    if type(value) in (list, tuple) and any(isinstance(item, (Path, *_BYTES)) for item in value):
        return [as_field(item, f"{name}[{index}]") for index, item in enumerate(value)]
    return value


def as_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an input as they are sent.

    Raises:
        ValidationError: As from `as_field`.
    """
    return {name: as_field(value, str(name)) for name, value in values.items()}


def context_beside(values: Mapping[str, Any], field: str) -> dict[str, Any]:
    """Return the fields of a context that go along with a question.

    Args:
        values: The context.
        field: The field that carries the question.

    Raises:
        ValidationError: The context has that field, or as from `as_field`.
    """
    context = as_fields(values)
    if field in context:
        raise ValidationError(
            f"context has {field!r}, which is the field that carries the question.",
            code="INVALID_INPUT",
            hint="Pass another field=, if the agent takes the question under another name.",
        )
    return context


def is_dictionary(value: object) -> bool:
    """Whether a value is a dictionary of fields, which a dataset of xarray is not."""
    return isinstance(value, Mapping) and not hasattr(type(value), "to_dataframe")
