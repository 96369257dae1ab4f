"""A chat whose pages send questions, with what goes along with them."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import ipywidgets

from runagent_jupyter.chats import mentions
from runagent_jupyter.chats.answer_view import describe
from runagent_jupyter.chats.conversation import Conversation
from runagent_jupyter.chats.uploads import Uploads


class AskedFromPages(ipywidgets.Widget):  # type: ignore[misc, name-defined] # untyped
    """The questions that pages send, and the pieces of files and the names that belong to them."""

    _conversation: Conversation
    _lock: threading.RLock
    _numbered: Any
    _start: Any
    _tell: Any
    _uploads: Uploads

    def _take_piece(self, content: dict[str, Any], buffers: Iterable[Any]) -> None:
        """Keep a piece of a file until its question comes."""
        with self._lock:
            self._uploads.add(str(content.get("request")), content.get("file"), buffers)

    def _ask_for_page(self, content: dict[str, Any]) -> None:
        """Ask a page's question, or tell the page why it cannot be asked."""
        request, text = str(content.get("request", "")), content.get("text", "")
        try:
            with self._lock:
                files = self._uploads.take(request, content.get("files"))
                kept = self._conversation.attachments(content.get("kept"))
                items = [*kept, *files, *mentions.attached_variables(text)]
                self._start(text, items, self._numbered(content.get("at")), request)
        except Exception as error:  # noqa: BLE001 - the page shows it where the question was asked
            self._tell("refused", request=request, text=describe(error))

    def _name_variables(self, content: dict[str, Any]) -> None:
        """Tell a page which variables a text names, and which it may offer at the cursor."""
        text, before = str(content.get("text")), str(content.get("before"))
        self._tell("names", request=content.get("request"), **mentions.found(text, before))
