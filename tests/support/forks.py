"""Looks at something in a forked process."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable


def holds_in_fork(check: Callable[[], bool]) -> bool:
    """Return whether `check` does, in a process forked from this one."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if check() else 2
            gc.collect()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0
