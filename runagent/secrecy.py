"""Values that no traceback shows: API keys, headers and what is in the configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Secret(str):
    """A string whose `repr` hides it, so that no traceback shows it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class Concealed(dict[str, Any]):
    """A dictionary whose `repr` hides the values, so that no traceback shows them."""

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{name!r}: ***' for name in self)}}}"


def conceal(value: Any) -> Any:
    """Return a string as a `Secret`, a mapping as `Concealed`, anything else unchanged."""
    if isinstance(value, str):
        return Secret(value)
    return Concealed(value) if isinstance(value, Mapping) else value
