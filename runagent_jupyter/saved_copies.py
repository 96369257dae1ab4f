"""Keeps copies of a chat in the notebook, for viewers that have no kernel."""

from __future__ import annotations

import asyncio
import contextvars
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import display, update_display

DELAY = 1.0
"""Seconds without a change until the copies are renewed, at least."""

BYTES_PER_SECOND = 100_000
"""The rate at which copies may be sent; those of a long conversation are renewed later."""

_MOST = 20
"""Copies that are renewed; older ones stay as they are."""


class SavedCopies:
    """The copies of one chat. Each is an output of the cell that displayed the chat.

    Args:
        render: Returns the copy for a place by MIME type; `None` while an answer comes, whose end
            renews them.
        size: Returns about how many bytes a copy has.
        loop: The event loop on which copies are renewed.
    """

    def __init__(
        self,
        render: Callable[[str], dict[str, str] | None],
        size: Callable[[], int],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._render = render
        self._size = size
        self._loop = loop
        self._displayed: deque[tuple[str, str, contextvars.Context]] = deque(maxlen=_MOST)
        self._renewal: asyncio.TimerHandle | None = None

    def display(self, bundle: dict[str, str], place: str) -> None:
        """Display a copy that is renewed from now on.

        Args:
            bundle: The copy by MIME type.
            place: Where it stands; it is passed on to `render`.
        """
        name = uuid.uuid4().hex
        display(bundle, raw=True, display_id=name)
        # The kernel finds an output's cell by the context that displays it.
        self._displayed.append((name, place, contextvars.copy_context()))

    def renew_soon(self) -> None:
        """Renew the copies when the chat has not changed for a moment. Any thread may call this."""
        if self._displayed:
            self._loop.call_soon_threadsafe(self._schedule)

    def renew_with_cell(self) -> None:
        """Renew the copies at the end of the running cell, as a part of it.

        A program that executes whole notebooks drops what belongs to another cell, or comes later.
        """
        shell: Any = get_ipython()
        if self._displayed and shell is not None:
            shell.events.register("post_run_cell", self._end_cell)

    def _end_cell(self, _result: object) -> None:
        shell: Any = get_ipython()
        shell.events.unregister("post_run_cell", self._end_cell)
        for name, place, _ in list(self._displayed):
            bundle = self._render(place)
            if bundle is not None:
                update_display(bundle, raw=True, display_id=name)

    def _schedule(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
        delay = max(DELAY, self._size() * len(self._displayed) / BYTES_PER_SECOND)
        self._renewal = self._loop.call_later(delay, self._renew)

    def _renew(self) -> None:
        for name, place, context in list(self._displayed):
            bundle = self._render(place)
            if bundle is not None:
                context.run(update_display, bundle, raw=True, display_id=name)
