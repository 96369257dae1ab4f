"""Warnings that point at the user's own line of code."""

from __future__ import annotations

import inspect
import warnings
from types import FrameType


def warn_user(message: str) -> None:
    """Issue a `UserWarning` for the first line outside this package that led here.

    Unless filters say otherwise, Python shows the same message once for each such line.
    """
    frame, level = inspect.currentframe(), 1
    while frame is not None and _is_own(frame):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)


def _is_own(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__package__")).partition(".")[0] == __package__
