"""Takes note of interrupts of the kernel, so that they end a wait and not any code half-way."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass

TICK = 0.05
"""Seconds between two looks at whether an interrupt came, at most."""


@dataclass
class Interrupts:
    """A note of interrupts.

    Attributes:
        count: How many have come.
    """

    count: int = 0

    @property
    def came(self) -> bool:
        """Whether an interrupt came."""
        return self.count > 0


@contextlib.contextmanager
def noted(at_most: float = math.inf) -> Iterator[Interrupts]:
    """Take note of interrupts in the block, in the place of a `KeyboardInterrupt`.

    A `KeyboardInterrupt` may come between any two bytecodes, so it can leave a lock locked that
    another thread needs, or a request half begun. In other threads than the main thread, this does
    nothing, because no interrupts come there.

    Args:
        at_most: How many are noted. Each further one is a `KeyboardInterrupt` after all, for blocks
            in which code of the user may wait for ever.

    Returns:
        The note, for code in the block and after it.
    """
    note = Interrupts()

    # It may come within itself and while any lock is held, so it sets a plain attribute only.
    def take_note(*_: object) -> None:
        note.count += 1
        if note.count > at_most:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield note
        return
    before = signal.signal(signal.SIGINT, take_note)
    try:
        yield note
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
