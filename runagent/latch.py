"""An event that signal handlers and finalizers may set, even while its own code runs."""

from __future__ import annotations

import contextlib
import threading


class Latch:
    """A flag that is set once, and that one thread waits for.

    `threading.Event` has a lock in Python code that is not reentrant. Whatever sets an event
    between two bytecodes of its `wait` or `set`, in the same thread, waits for itself for ever.
    """

    def __init__(self) -> None:
        """Make one that is not set."""
        self._is_set = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Set it. Each step is one that nothing interrupts."""
        self._is_set = True
        with contextlib.suppress(RuntimeError):  # it was set before
            self._lock.release()

    def wait(self, seconds: float) -> bool:
        """Wait until it is set, at most `seconds`; return whether it is."""
        if not self._is_set:
            self._lock.acquire(timeout=min(seconds, threading.TIMEOUT_MAX))
        return self._is_set
