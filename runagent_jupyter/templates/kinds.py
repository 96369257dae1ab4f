"""Says in a few words what a value is, without running any code of its own."""

from __future__ import annotations

import math
from typing import Any

from runagent_jupyter.templates.reach import NotDataError, check_data
from runagent_jupyter.templates.reachable import HOSTS

_SHAPED = frozenset({"numpy", "pandas", "polars", "pyarrow"})
"""Libraries whose tables and arrays tell their shape without work."""

_TIMES = " \N{MULTIPLICATION SIGN} "

_LONGEST = 40
"""Characters of the name of a type."""


def kind_of(value: Any) -> str | None:
    """Say what a value is.

    Args:
        value: Any value. Nothing of it is read but its type, the length of a text or a container of
            Python's own, and the shape of a table or an array of a known library.

    Returns:
        Its type and its size, such as `"list of 3"` or the shape of a table; `None` for a value
        that is no data by the rules of templates.
    """
    try:
        check_data(value, "it")
    except NotDataError:
        return None
    kind = type(value)
    if any(_root(base) in HOSTS for base in kind.__mro__):
        return None
    name = kind.__name__[:_LONGEST]
    shape = shape_of(value)
    if shape:
        return f"{name} {_TIMES.join(f'{length:,}' for length in shape)}"
    if kind is str:
        return f"text of {len(value):,}"
    if kind in (list, tuple, dict, set, frozenset, bytes, bytearray):
        return f"{name} of {len(value):,}"
    return name


def shape_of(value: Any) -> tuple[int, ...]:
    """Return the shape of a table or an array of a known library; nothing for other values."""
    if _root(type(value)) not in _SHAPED:
        return ()
    shape = getattr(value, "shape", ())
    return shape if isinstance(shape, tuple) and all(type(n) is int for n in shape) else ()


def least_bytes(value: Any) -> int:
    """Return how many bytes the JSON of a value has at least, without looking into it."""
    if type(value) is str:
        return len(value)
    count = len(value) if type(value) in (list, tuple, dict) else math.prod(shape_of(value))
    return 2 * count  # a digit and a comma


def _root(kind: type) -> str:
    return str(kind.__module__).partition(".")[0]
