"""What marimo takes as the value of a chat: the conversation, and nothing of the page's affairs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ipywidgets

from runagent_jupyter.turn import Turn


class MarimoValue(ipywidgets.Widget):  # type: ignore[misc, name-defined] # untyped
    """A widget whose state, for marimo, is its conversation: `mo.ui.anywidget(chat).value`.

    marimo makes the value of all that `get_state()` returns. The widget's own messages to its pages
    ask for the whole state in the same way, so they name the traits.
    """

    turns: list[Turn]

    def get_state(
        self, key: str | Iterable[str] | None = None, *args: Any, **options: Any
    ) -> dict[str, Any]:
        """Return the state, or the conversation if marimo asks for all."""
        if key is None and type(self.comm).__module__.startswith("marimo."):
            public = [name for name in self.keys if not name.startswith("_")]
            turns = [_shown(turn) for turn in list(self.turns)]
            return {"turns": turns, **super().get_state(public)}
        state: dict[str, Any] = super().get_state(key, *args, **options)
        return state

    def send_state(self, key: str | Iterable[str] | None = None) -> None:
        """Send the state, or a part of it, to the pages."""
        super().send_state(self.keys if key is None else key)


def _shown(turn: Turn) -> dict[str, Any]:
    return {"role": turn.role, "text": turn.text, "status": turn.status}
