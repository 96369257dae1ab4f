"""Modules that are imported when something of them is first used."""

from __future__ import annotations

import importlib
from typing import Any


class LazyModule:
    """Stands for a module in annotations, so that tools can evaluate them at any time.

    Importing this package stays cheap, as the module is imported only then.
    """

    def __init__(self, name: str) -> None:
        """Stand for the module of this name."""
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked by tools that look at any object
            raise AttributeError(name)
        return getattr(importlib.import_module(self._name), name)
