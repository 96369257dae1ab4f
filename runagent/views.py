"""How streams show themselves in a notebook that asks: by the view that a package brings along."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

View = Callable[[Any], object]

_GROUP = "runagent.views"
"""The group of entry points; the first one that can be loaded is the view."""

_chosen: list[View] = []


def choose(view: View) -> None:
    """Have streams shown by this view, whatever is installed."""
    _chosen[:] = [view]


def shown(stream: object) -> object:
    """Return what a notebook shows in the place of a stream: what the view makes, or its `repr`."""
    view = _chosen[0] if _chosen else _installed()
    return repr(stream) if view is None else view(stream)


@lru_cache(maxsize=1)
def _installed() -> View | None:
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow to import, seldom needed

    for found in entry_points(group=_GROUP):
        try:
            view: View = found.load()
        except ModuleNotFoundError:  # what the view needs is an extra
            continue
        return view
    return None
