"""Tells whether IPython asks for an object's forms in order to show it, or only to know them."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Literal

from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.getipython import get_ipython

_BETWEEN = ("IPython.core.formatters", "IPython.utils.", "decorator", "runagent_jupyter.")
"""Modules between the code that asks and the object."""

Purpose = Literal["value", "display", "named display", "other"]


def purpose() -> Purpose:
    """Tell for which purpose the caller's forms are asked for.

    IPython passes no word of it on, so the calling frames tell.

    Returns:
        `"value"` as the value of a cell, `"display"` for `display(...)`, `"named display"` for
        `display(..., display_id=...)`; `"other"` for everything else, such as an update, an output
        of an `Output` widget, an expression of a front end, or `%%capture`.
    """
    if isinstance(getattr(get_ipython(), "display_pub", None), CapturingDisplayPublisher):
        return "other"
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - nothing public
    while frame is not None and _is_between(frame):
        frame = frame.f_back
    if frame is None or not _module(frame).startswith("IPython.core.display"):
        return "other"
    if frame.f_code.co_name == "compute_format_data":
        return "value"
    if frame.f_code.co_name != "display" or frame.f_locals.get("kwargs", {}).get("update"):
        return "other"
    return "named display" if frame.f_locals.get("display_id") else "display"


def _is_between(frame: FrameType) -> bool:
    module = _module(frame)
    # Older versions of `decorator` make functions that belong to no module.
    return not module or module.startswith(_BETWEEN)


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__") or "")
