"""A chat whose answers a reader may call good or bad."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import ipywidgets

from runagent_jupyter.chats.conversation import Conversation
from runagent_jupyter.chats.turn import Turn

_logger = logging.getLogger(__name__)


class RatedChat(ipywidgets.Widget):  # type: ignore[misc, name-defined] # untyped
    """What the reader thinks of the answers of a chat."""

    _conversation: Conversation
    _copies: Any
    _lock: threading.RLock
    _on_feedback: Callable[[Turn], object] | None
    _tell: Any
    _write: Any

    def _rate(self, at: object, value: object) -> None:
        """Keep what the reader thinks of an answer, given by the number of its exchange."""
        with self._lock:
            exchange = self._conversation.numbered(at)
            if exchange is None or value not in ("up", "down", ""):
                return
            view = exchange.view
            if view.turn.status == "streaming":
                return
            view.turn.feedback = str(value) or None
            self._write()
            position = self._conversation.position(exchange)
            if position is not None:
                news = view.catch_up() if view.is_plain else view.delta()
                self._tell("delta", turn=position + 1, **{**news, "ending": view.ending()})
            self._copies.renew_soon()
        if self._on_feedback is not None:
            try:
                self._on_feedback(view.turn)
            except Exception:
                _logger.exception("on_feedback of a chat failed")
