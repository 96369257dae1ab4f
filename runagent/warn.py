"""Warnings that point at the user's own line of code."""

from __future__ import annotations

import inspect
import sys
import warnings
from types import FrameType

_BETWEEN = frozenset(
    {"runagent", "runagent_jupyter", "IPython", "asyncio", "concurrent", "contextlib", "threading"}
    | {"nest_asyncio", "nest_asyncio2"}
)
"""Packages whose lines stand between the user's line and this one."""

_BELOW = frozenset({"ipykernel", "tornado"})
"""Packages that run the user's lines; there is none of the user's below them."""


def warn_user(message: str) -> None:
    """Issue a `UserWarning` for the first line of the user's that led here.

    Unless filters say otherwise, Python shows the same message once for each such line. Where no
    line of the user's led here, as in another thread, it is shown once a cell, or once a program.
    """
    frame, level = inspect.currentframe(), 1
    while frame is not None and _package(frame) in _BETWEEN:
        frame, level = frame.f_back, level + 1
    if frame is not None and _package(frame) not in _BELOW:
        warnings.warn(message, UserWarning, stacklevel=level)
        return
    # IPython empties this registry before each cell.
    shown = vars(sys.modules["__main__"]).setdefault("__warningregistry__", {})
    warnings.warn_explicit(message, UserWarning, "runagent", 1, module="runagent", registry=shown)


def _package(frame: FrameType) -> str:
    """Return the package of a frame's code; `__main__` for a program's or a notebook's own."""
    module = frame.f_globals.get("__package__") or frame.f_globals.get("__name__")
    return str(module).partition(".")[0]
