"""Keeps copies of a chat in the notebook, for viewers that have no kernel."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import display, update_display

from runagent_jupyter.shell import in_running_cell

DELAY = 1.0
"""Seconds without a change until the copies are renewed, at least."""

BYTES_PER_SECOND = 100_000
"""The rate at which copies may be sent; those of a long conversation are renewed later."""

_MOST = 20
"""Copies that are renewed; older ones stay as they are."""


class SavedCopies:
    """The copies of one chat. Each is an output of the cell that displayed the chat.

    After a change they are renewed when the chat has rested for a moment, and at the end of the
    next cell at the latest: a program that executes a whole notebook takes nothing that comes
    between the cells or after the last one.

    Args:
        render: Returns the copy for a place by MIME type.
        is_resting: Whether no answer is on its way; the end of one renews the copies.
        size: Returns about how many bytes a copy has.
        save_state: Called at the end of a cell after a change, to have the state of the widget that
            such a program saves renewed as well.
        loop: The event loop on which copies are renewed.
    """

    def __init__(
        self,
        render: Callable[[str], dict[str, str]],
        is_resting: Callable[[], bool],
        size: Callable[[], int],
        save_state: Callable[[], object],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._render = render
        self._is_resting = is_resting
        self._size = size
        self._save_state = save_state
        self._loop = loop
        self._displayed: deque[tuple[str, str]] = deque(maxlen=_MOST)
        self._renewal: asyncio.TimerHandle | None = None
        self._is_stale = False

    def display(self, bundle: dict[str, str], place: str) -> None:
        """Display a copy that is renewed from now on.

        Args:
            bundle: The copy by MIME type.
            place: Where it stands; it is passed on to `render`.
        """
        name = uuid.uuid4().hex
        display(bundle, raw=True, display_id=name)
        self._displayed.append((name, place))

    def renew_soon(self) -> None:
        """Renew the copies when the chat has not changed for a moment. Any thread may call this."""
        self._is_stale = True
        shell: Any = get_ipython()
        if shell is not None:
            shell.events.register("post_run_cell", self._end_cell)
        if self._displayed:
            self._loop.call_soon_threadsafe(self._schedule)

    def _end_cell(self, _result: object) -> None:
        shell: Any = get_ipython()
        shell.events.unregister("post_run_cell", self._end_cell)
        self._renew()
        self._save_state()

    def _schedule(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
        delay = max(DELAY, self._size() * len(self._displayed) / BYTES_PER_SECOND)
        self._renewal = self._loop.call_later(delay, self._renew_between_answers)

    def _renew_between_answers(self) -> None:
        if self._is_resting():
            in_running_cell(self._renew)

    def _renew(self) -> None:
        """Renew the copies if the chat has changed since."""
        if self._is_stale:
            self._is_stale = False
            for name, place in list(self._displayed):
                update_display(self._render(place), raw=True, display_id=name)
