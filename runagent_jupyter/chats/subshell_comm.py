"""Keeps the messages of a widget's pages in the subshell that a page has chosen for them."""

from __future__ import annotations

from typing import Any

import traitlets


class SubshellComm(traitlets.HasTraits):
    """A widget whose pages are heard while a cell runs.

    From version 7.4 on, ipykernel sends what a page says to the shell that the widget has last
    spoken from. If that was the main shell, a page is heard only when the running cell has ended.
    """

    @traitlets.observe("comm")
    def _keep_subshell(self, change: Any) -> None:
        if hasattr(change["new"], "_reply_subshell_for"):
            change["new"]._reply_subshell_for = _chosen  # noqa: SLF001 - ipykernel looks for it


def _chosen(_: object, subshell_id: str | None) -> str | None:
    return subshell_id
