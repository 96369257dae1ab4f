"""A chat whose pages send questions, with what goes along with them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import Any

import ipywidgets

from runagent_jupyter.chats import mentions
from runagent_jupyter.chats.answer_view import describe
from runagent_jupyter.chats.asking import AnswerUnderWayError
from runagent_jupyter.chats.conversation import Conversation
from runagent_jupyter.chats.uploads import Uploads
from runagent_jupyter.event_loops import background

SILENCE = 30.0
"""Seconds without a piece of a file after which its question is refused."""


class AskedFromPages(ipywidgets.Widget):  # type: ignore[misc, name-defined] # untyped
    """The questions that pages send, and the pieces of files and the names that belong to them."""

    _conversation: Conversation
    _lock: threading.RLock
    _place_in_page: Any
    _start: Any
    _tell: Any
    _uploads: Uploads
    _waiting: dict[str, dict[str, Any]]

    def _take_piece(self, content: dict[str, Any], buffers: Iterable[Any]) -> None:
        """Keep a piece of a file until its question comes, or ask the question if it is there."""
        request = str(content.get("request"))
        with self._lock:
            self._uploads.add(request, content.get("file"), content.get("at"), buffers)
            waiting = self._waiting.pop(request, None)
        if waiting is not None:
            self._ask_for_page(waiting)

    def _ask_for_page(self, content: dict[str, Any]) -> None:
        """Ask a page's question, or wait for its files if it was faster than they are."""
        request = str(content.get("request", ""))
        waiting = dict(content)  # another one for each wait, so that it can be told from others
        with self._lock:
            if not self._uploads.is_complete(request, content.get("files")):
                self._waiting[request] = waiting
                late = self._ask_late(request, waiting)
                asyncio.run_coroutine_threadsafe(late, background("chats"))
                return
        self._ask_now(request, content)

    async def _ask_late(self, request: str, waiting: dict[str, Any]) -> None:
        """If nothing more of its files comes, tell the page that the question cannot be asked."""
        await asyncio.sleep(SILENCE)
        with self._lock:
            is_waiting = self._waiting.get(request) is waiting
            if is_waiting:
                del self._waiting[request]
        if is_waiting:
            self._ask_now(request, waiting)

    def _ask_now(self, request: str, content: dict[str, Any]) -> None:
        """Ask a page's question, or tell the page why it cannot be asked."""
        text = content.get("text", "")
        try:
            with self._lock:
                files = self._uploads.take(request, content.get("files"))
                kept = self._conversation.attachments(content.get("kept"))
                place = self._place_in_page(content.get("at"), content.get("after"))
                asked = [] if place is None else place.question.attachments
                promised = {item.name for item in asked if item.is_variable}
                promised |= {str(name) for name in content.get("named") or ()}
                items = [*kept, *files, *mentions.attached_variables(text, promised)]
                self._start(text, items, place, request)
        except Exception as error:  # noqa: BLE001 - the page shows it where the question was asked
            is_early = isinstance(error, AnswerUnderWayError)
            self._tell("refused", request=request, text=describe(error), early=is_early)

    def _name_variables(self, content: dict[str, Any]) -> None:
        """Tell a page which variables a text names, and which it may offer at the cursor."""
        text, before = str(content.get("text")), str(content.get("before"))
        self._tell("names", request=content.get("request"), **mentions.found(text, before))
