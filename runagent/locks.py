"""Locks that a forked process may use too."""

from __future__ import annotations

import os
import threading
import weakref


class ForkSafeLock:
    """A lock that a forked process finds free, as the thread that held it does not exist there."""

    def __init__(self, *, reentrant: bool = False) -> None:
        """Make a lock that is free.

        Args:
            reentrant: Whether the thread that holds it may take it again.
        """
        self._make = threading.RLock if reentrant else threading.Lock
        self.renew()
        _locks.add(self)

    def renew(self) -> None:
        """Free the lock, even if another thread held it."""
        self._lock = self._make()

    def acquire(self, timeout: float = -1) -> bool:
        """Wait for the lock, at most `timeout` seconds; return whether it was taken."""
        return self._lock.acquire(timeout=timeout)

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self._lock.release()


_locks: weakref.WeakSet[ForkSafeLock] = weakref.WeakSet()


def _renew() -> None:
    for lock in list(_locks):
        lock.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
