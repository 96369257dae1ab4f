"""Follows the steps of a batch, and tells a display of its progress."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

from runagent.errors import ValidationError
from runagent.many.engine import Engine
from runagent.many.steps import Step
from runagent.progress import Progress, ProgressDisplay, State, offered_display
from runagent.terminal_progress import somebody_looks, terminal_display

INTERVAL = 0.25
"""Seconds between two calls of a display, at least."""

WINDOW = 10.0
"""Seconds over which the rate is taken."""

logger = logging.getLogger("runagent")


def display_for(progress: bool | ProgressDisplay | None) -> ProgressDisplay | None:
    """Return the display for a batch that begins.

    Args:
        progress: Whether to show the progress, `None` to show it where somebody looks; or a display
            of the user's own.

    Raises:
        ValidationError: Something else.
    """
    if progress is False:
        return None
    if progress is None or progress is True:
        offered = offered_display()
        if offered is not None:
            return offered
        return terminal_display() if progress or somebody_looks(sys.stderr) else None
    if not isinstance(progress, ProgressDisplay):
        raise ValidationError(
            f"progress is of type {type(progress).__name__}, and has to be True, False, None, or "
            "an object with the methods show and end.",
            code="INVALID_INPUT",
        )
    return progress


def watched(
    engine: Engine,
    display: ProgressDisplay,
    total: int | None,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Step, Any, None]:
    """Yield the steps of a batch, and have its progress shown in between.

    Args:
        engine: The engine of the batch.
        display: The display. It is left alone once it raises an exception: it may not end a batch.
        total: The number of rows, `None` if it is not known.
        clock: Returns the time in seconds, on any monotonic clock.
    """
    watcher = _Watcher(engine, display, total, clock)
    steps = engine.steps()
    outcome: Any = None
    while True:
        watcher.look()
        try:
            step = steps.send(outcome)
        except StopIteration:
            watcher.end()
            return
        outcome = yield step


class _Watcher:
    def __init__(
        self,
        engine: Engine,
        display: ProgressDisplay,
        total: int | None,
        clock: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._display: ProgressDisplay | None = display
        self._total = total
        self._clock = clock
        self._began = self._shown = clock()
        self._is_shown = False
        # When the display was called, and how many rows this run had finished by then.
        self._seen: deque[tuple[float, int]] = deque([(self._began, 0)])

    def look(self) -> None:
        """Have the progress shown, if it is time to."""
        now = self._clock()
        if self._display is None or now - self._shown < INTERVAL:
            return
        self._shown = now
        self._is_shown = True
        while len(self._seen) > 1 and now - self._seen[0][0] > WINDOW:
            self._seen.popleft()
        then, finished = self._seen[0]
        count = self._engine.finished - self._engine.resumed
        self._seen.append((now, count))
        self._tell(self._display.show, self._progress(now, (count - finished) / (now - then)))

    def end(self) -> None:
        """Have the final state shown, unless nothing has happened."""
        engine, now = self._engine, self._clock()
        state: State = "done" if engine.is_complete and engine.reason is None else "stopped"
        stops = (type(None), KeyboardInterrupt, asyncio.CancelledError)
        if not isinstance(engine.reason, stops):
            state = "failed"
        if self._display is None or not (self._is_shown or engine.finished or state == "done"):
            return
        elapsed = now - self._began
        rate = (engine.finished - engine.resumed) / elapsed if elapsed > 0 else 0.0
        self._tell(self._display.end, self._progress(now, rate, state))

    def _progress(self, now: float, rate: float, state: State = "running") -> Progress:
        engine = self._engine
        closed = engine.pace.waits_for(now) if state == "running" else None
        reasons = {None: None, "unavailable": "the server"}
        return Progress(
            done=engine.finished,
            failed=engine.failed,
            resumed=engine.resumed,
            total=self._total,
            elapsed=now - self._began,
            rate=rate,
            tokens=engine.sums.tokens,
            cost=engine.sums.usage.get("cost"),
            usage=dict(engine.sums.usage),
            last_error=engine.sums.last_error,
            errors=tuple(engine.sums.errors()[:2]),
            waits_for=reasons.get(closed, "the rate limit"),
            state=state,
            seconds_to_wait=0.0 if closed is None else engine.pace.opens_at(now) - now,
        )

    def _tell(self, method: Callable[[Progress], object], progress: Progress) -> None:
        try:
            method(progress)
        except Exception:  # of the user's own display
            self._display = None
            logger.warning("The progress of the batch is no longer shown.", exc_info=True)
