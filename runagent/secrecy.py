"""Values that no traceback shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Secret(str):
    """A string whose `repr` hides it, so that no traceback shows it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class SourcedSecret(Secret):
    """A secret with a `source`, which tells messages in words where it comes from."""

    source = ""


class Concealed(dict[str, Any]):
    """A dictionary whose `repr` hides the values, so that no traceback shows them."""

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{name!r}: ***' for name in self)}}}"


class ConcealedItems(list[Any]):
    """A list whose `repr` hides the items, so that no traceback shows them."""

    def __repr__(self) -> str:
        return f"[{', '.join('***' for _ in self)}]"


def conceal(value: Any) -> Any:
    """Return a value that tracebacks do not show.

    A string becomes a `Secret`, a mapping `Concealed` with its strings as secrets, a list or a
    tuple `ConcealedItems`; anything else is returned unchanged.
    """
    if value is None or isinstance(value, (Secret, Concealed)):
        return value
    if isinstance(value, str):
        return Secret(value)
    if isinstance(value, Mapping):
        # Some tools that show tracebacks look into dictionaries, whatever their `repr`.
        return Concealed(
            {name: Secret(item) if isinstance(item, str) else item for name, item in value.items()}
        )
    return ConcealedItems(value) if isinstance(value, (list, tuple)) else value
