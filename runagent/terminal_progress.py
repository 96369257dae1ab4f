"""The progress of a batch in a terminal, by tqdm or rich if one is installed, and in a log file."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from typing import Any, TextIO

from runagent.progress import Progress, ProgressDisplay, one_line

EVERY = 10.0
"""Seconds between two lines of progress in a file."""


def terminal_display(stream: TextIO | None = None) -> ProgressDisplay:
    """Return a display that writes to a stream.

    Args:
        stream: The stream; `None` for standard error.

    Returns:
        For a terminal, a bar of tqdm or of rich, or one line that changes if neither is installed;
        for the standard error of a kernel, such a line or a bar of tqdm. For a file, a line every
        ten seconds.
    """
    stream = sys.stderr if stream is None else stream
    if not somebody_looks(stream):
        return Lines(stream)
    if find_spec("tqdm") is not None:
        return TqdmBar(stream)
    if find_spec("rich") is not None and stream.isatty():
        return RichBar(stream)
    return OneLine(stream)


def somebody_looks(stream: TextIO | None) -> bool:
    """Whether a stream ends at a terminal, or in the cell of a kernel."""
    if stream is None or stream.closed:
        return False
    return stream.isatty() or type(stream).__module__.startswith("ipykernel.")


def _written(progress: Progress, *, beside_bar: bool = False) -> str:
    facts = ", ".join(progress.facts(beside_bar=beside_bar))
    error = progress.last_error
    return facts if error is None else f"{facts}; last error: {one_line(error)}"


class Lines:
    """Writes a line every ten seconds, and one at the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._written = time.monotonic()

    def show(self, progress: Progress) -> None:
        """Write a line, if it is time to."""
        if time.monotonic() - self._written >= EVERY:
            self._written = time.monotonic()
            self.end(progress)

    def end(self, progress: Progress) -> None:
        """Write the final line."""
        self._stream.write(f"{_written(progress)}\n")
        self._stream.flush()


class OneLine:
    """Writes one line over and over."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._width = 0

    def show(self, progress: Progress) -> None:
        """Write the line."""
        self._write(_written(progress), "")

    def end(self, progress: Progress) -> None:
        """Write the final line."""
        self._write(_written(progress), "\n")
        self._width = 0

    def _write(self, text: str, end: str) -> None:
        from shutil import get_terminal_size  # noqa: PLC0415 - only for this display

        text = one_line(text, max(20, get_terminal_size().columns - 1))
        self._stream.write(f"\r{text.ljust(self._width)}{end}")
        self._stream.flush()
        self._width = len(text)


class TqdmBar:
    """A bar of tqdm."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: Any = None

    def show(self, progress: Progress) -> None:
        """Update the bar."""
        if self._bar is None:
            from tqdm import tqdm  # type: ignore[import-untyped]  # noqa: PLC0415 - optional

            self._bar = tqdm(
                total=progress.total,
                initial=progress.resumed,
                file=self._stream,
                unit=" rows",
                dynamic_ncols=True,
                mininterval=0,
            )
            self._bar.start_t -= progress.elapsed
        self._bar.set_postfix_str(_written(progress, beside_bar=True), refresh=False)
        self._bar.n = progress.done
        self._bar.refresh()

    def end(self, progress: Progress) -> None:
        """Leave the bar as it is now."""
        self.show(progress)
        self._bar.close()
        self._bar = None  # failed rows that are asked again have another one


class RichBar:
    """A bar of rich."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: Any = None

    def _begin(self) -> None:
        from rich import progress as rich  # noqa: PLC0415 - optional
        from rich.console import Console  # noqa: PLC0415

        # It is painted when this display is called, and by no thread of its own.
        self._bar = rich.Progress(
            rich.BarColumn(bar_width=24),
            rich.TextColumn("{task.description}", markup=False),
            console=Console(file=self._stream),
            auto_refresh=False,
        )
        self._task = self._bar.add_task("", total=None)
        self._bar.start()

    def show(self, progress: Progress) -> None:
        """Update the bar."""
        if self._bar is None:
            self._begin()
        self._bar.update(
            self._task,
            total=progress.total,
            completed=progress.done,
            description=_written(progress),
            refresh=True,
        )

    def end(self, progress: Progress) -> None:
        """Leave the bar as it is now."""
        self.show(progress)
        self._bar.stop()
        self._bar = None  # failed rows that are asked again have another one
