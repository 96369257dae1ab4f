"""A thread whose end can be waited for again after Ctrl-C has interrupted the wait."""

from __future__ import annotations

import threading
from collections.abc import Callable

_LOOK = 1.0
"""Seconds between two looks, as Windows does not notice Ctrl-C in a wait without a limit."""


class WaitableThread(threading.Thread):
    """A thread that does not keep the process, and whose end is known whatever interrupts a wait.

    Until Python 3.13, a thread counts as ended once Ctrl-C has interrupted a `join` of it. Then
    `is_alive` is wrong for everybody who asks: ipykernel closes the socket that the thread
    displays something with.

    Args:
        target: What the thread does.
        name: Its name.
    """

    def __init__(self, target: Callable[[], object], name: str) -> None:
        super().__init__(target=target, name=name, daemon=True)
        self._over = threading.Event()

    def run(self) -> None:
        """Do what the thread is for."""
        try:
            super().run()
        finally:
            self._over.set()

    @property
    def has_ended(self) -> bool:
        """Whether it has ended, or is not part of this process, which was forked."""
        return self._over.is_set() or not self.is_alive()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of the thread; Ctrl-C interrupts the wait alone.

        Args:
            timeout: Seconds; `None` for no limit.

        Returns:
            Whether it has ended.
        """
        if timeout is not None and self.is_alive():
            self._over.wait(timeout)
        while timeout is None and self.is_alive() and not self._over.wait(_LOOK):
            pass
        return self.has_ended
