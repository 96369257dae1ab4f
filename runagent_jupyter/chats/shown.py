"""The outputs of a chat in a notebook: the live view, and copies for viewers without a kernel."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import ipywidgets
from IPython.core.getipython import get_ipython
from IPython.display import display

from runagent_jupyter import html
from runagent_jupyter.chats.answer_view import beginning
from runagent_jupyter.chats.asking import INTERVAL, SHARE
from runagent_jupyter.chats.conversation import Conversation
from runagent_jupyter.chats.saved_copies import SavedCopies
from runagent_jupyter.control_characters import strip_controls
from runagent_jupyter.event_loops import background
from runagent_jupyter.outputs.display_call import purpose


class ShownChat(ipywidgets.ValueWidget):  # type: ignore[misc, name-defined] # untyped
    """A chat whose outputs keep the conversation.

    The output of a widget keeps the state that the chat had when it was displayed. Each update of
    that output would make another view, so the copy is an output of its own, which the live view
    hides.
    """

    title: Any
    _copy: Any
    _snapshot: Any
    _conversation: Conversation
    _lock: threading.RLock

    def _tell(self, kind: str, **content: Any) -> None:
        """Send a numbered message to all pages."""
        raise NotImplementedError

    def to_markdown(self) -> str:
        """Return the conversation as Markdown."""
        raise NotImplementedError

    def _is_resting(self) -> bool:
        """Whether no answer is on its way."""
        raise NotImplementedError

    def _keep_copies(self) -> None:
        """Begin to keep copies of this chat, also where a box shows it."""
        self._copies = SavedCopies(
            self._static,
            self._is_resting,
            self._answer_length,
            self._send_whole,
            background("chats"),
        )
        _watch_boxes()

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Return the live view, and the conversation so far for viewers without a kernel."""
        made = super()._repr_mimebundle_(**options)
        data, *rest = made if isinstance(made, tuple) else (made,)
        if data is None:
            return made
        if purpose() == "named display":
            # Its output is named by the user, so that the copy cannot follow it.
            self._display_copy("above")
            data = {**data, "text/html": ""}
        else:
            data = {**data, **self._static()}
        return (data, *rest) if rest else data

    @property
    def _ipython_display_(self) -> Callable[[], None] | None:
        """How IPython displays the chat; `None` where it wants the forms of a single output."""
        return self._display if purpose() in {"value", "display"} else None

    @_ipython_display_.setter
    def _ipython_display_(self, display: None) -> None:
        """Ignore that ipywidgets 7 takes it away from a closed chat, which shows its turns."""

    def _display(self) -> None:
        """Display the live view and a copy that grows with the chat."""
        if self.comm is None:  # closed
            display(self._static(), raw=True)
            return
        made: Any = super()._repr_mimebundle_()
        data, metadata = made if isinstance(made, tuple) else (made, {})
        shown = {**data, "text/html": "", "text/plain": f"Chat with {self.title}"}
        display(shown, metadata=metadata, raw=True)
        self._display_copy("below")

    def _display_copy(self, place: str) -> None:
        """Display a copy that grows with the chat.

        Args:
            place: Where it stands: `"below"` or `"above"` the live view, or `"boxed"` with others.
        """
        self._copies.display(self._static(place), place)

    def _catch_up(self) -> None:
        """Render the answers that pages have as plain text so far, and tell the pages."""
        while self._tell_rendered():
            pass

    async def _catch_up_beside(self) -> None:
        """Do what `_catch_up` does, with pauses."""
        while True:
            if not self._tell_rendered():
                return
            await asyncio.sleep(INTERVAL)

    def _tell_rendered(self) -> bool:
        """Render a few answers, and return whether there were any."""
        few = []
        began = time.thread_time()
        with self._lock:
            for news in self._conversation.catch_up():
                few.append(news)
                if time.thread_time() - began > SHARE:
                    break
            if few:
                self._tell("rendered", news=few)
        return bool(few)

    def _send_whole(self) -> None:
        """Send the state, as programs that execute notebooks save it."""
        self._catch_up()
        self.send_state("_snapshot")

    def _answer_length(self) -> int:
        with self._lock:
            return self._conversation.answer_length()

    def _static(self, *place: str) -> dict[str, str]:
        """Return the conversation as safe HTML and as text.

        Args:
            *place: Where it stands, if it has a live view.
        """
        self._catch_up()
        with self._lock:
            turns = self._conversation.html()
        return {
            "text/html": html.saved_chat(html.status_line(self.title), turns, self._copy, *place),
            "text/plain": strip_controls(beginning(self.to_markdown())),
        }


def _watch_boxes() -> None:
    """Have boxes, tabs and other containers followed by copies of the chats in them."""
    formatter = getattr(get_ipython(), "display_formatter", None)
    if formatter is None:
        return
    printers, box = formatter.ipython_display_formatter, ipywidgets.Box  # type: ignore[attr-defined] # untyped
    if box not in printers.type_printers:
        printers.for_type(box, _display_box)


def _display_box(box: Any) -> None:
    """Display a container of widgets, and a copy of each chat in it.

    Raises:
        NotImplementedError: There is no chat in it, so that IPython displays it as ever.
    """
    is_alone = purpose() in {"value", "display"}
    chats = list(dict.fromkeys(_chats_in(box))) if is_alone else []
    show = getattr(box, "_ipython_display_", None)  # of ipywidgets 7
    if show is not None:
        show()
    elif not chats:
        raise NotImplementedError
    else:
        display(box._repr_mimebundle_(), raw=True)
    for chat in chats:
        chat._display_copy("boxed")  # noqa: SLF001 - of the class above


def _chats_in(box: Any) -> Iterator[ShownChat]:
    for child in getattr(box, "children", ()):
        if isinstance(child, ShownChat):
            yield child
        else:
            yield from _chats_in(child)
