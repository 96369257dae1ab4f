"""What marimo takes as the value of a chat: the conversation, and nothing of the page's affairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import ipywidgets
import traitlets

from runagent_jupyter.chats.turn import Turn


class MarimoValue(ipywidgets.Widget):  # type: ignore[misc, name-defined] # untyped
    """A widget whose state, for marimo, is its conversation: `mo.ui.anywidget(chat).value`.

    marimo makes the value of all that `get_state()` returns. The widget's own messages to its pages
    ask for the whole state in the same way, so they name the traits.
    """

    turns: list[Turn]
    _ask_marimo: Callable[[Any], object] | None = None

    def get_state(
        self, key: str | Iterable[str] | None = None, *args: Any, **options: Any
    ) -> dict[str, Any]:
        """Return the state, or the conversation if marimo asks for all."""
        if key is None and type(self.comm).__module__.startswith("marimo."):
            public = [name for name in self.keys if not name.startswith("_")]
            turns = [_shown(turn) for turn in list(self.turns)]
            self._ask_marimo = _control_requests()
            return {"turns": turns, **super().get_state(public)}
        state: dict[str, Any] = super().get_state(key, *args, **options)
        return state

    def send_state(self, key: str | Iterable[str] | None = None) -> None:
        """Send the state, or a part of it, to the pages."""
        super().send_state(self.keys if key is None else key)

    @traitlets.observe("busy")
    def _run_dependent_cells(self, change: Any) -> None:
        """Have marimo run the cells that read the value again, when an answer has ended."""
        element = getattr(self.comm, "ui_element_id", None)
        if change["new"] or element is None or self._ask_marimo is None:
            return
        from marimo._runtime.commands import UpdateUIElementCommand  # noqa: PLC0415 - is running

        self._ask_marimo(UpdateUIElementCommand(object_ids=[element], values=[{}]))


def _control_requests() -> Callable[[Any], object] | None:
    """Return what takes requests to marimo's kernel, if one runs this.

    marimo has no public name for it. Without it, the value is read when its cell runs.
    """
    with suppress(Exception):
        from marimo._runtime.context import get_context  # noqa: PLC0415 - is running

        kernel = get_context()._kernel  # noqa: SLF001 - as said
        found: Callable[[Any], object] = kernel.enqueue_control_request
        return found
    return None


def _shown(turn: Turn) -> dict[str, Any]:
    return {"role": turn.role, "text": turn.text, "status": turn.status}
