"""A real terminal IPython or Jupyter console in a pty: type a cell, read the screen."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import pexpect
from typing_extensions import Self

from support.clock import PATIENCE
from support.isolation import isolated_environment

_ESCAPE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movements
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC: titles, links
    r"|\x1b[@-Z\\^_=>]"
)
# prompt_toolkit turns bracketed paste on when it begins to read, and off when it has a cell.
_READING = "\x1b[?2004h"
_RUNNING = "\x1b[?2004l"


class TerminalIPython:
    """A running terminal IPython of this Python environment, in a home of its own.

    Use it as a context manager.

    Attributes:
        raw: Everything that it has written so far, with its escape sequences.
    """

    def __init__(
        self,
        root: Path,
        *,
        environment: dict[str, str] | None = None,
        columns: int = 100,
        timeout: float = PATIENCE,
        command: Sequence[str] = ("IPython", "--no-banner", "--no-confirm-exit"),
    ) -> None:
        """Prepare a terminal; entering the context starts it.

        Args:
            root: A directory for its home.
            environment: Variables to set on top of an isolated environment.
            columns: The terminal's width.
            timeout: Seconds that a wait may take by default.
            command: The Python module that runs in it, and its arguments.
        """
        self.raw = ""
        self._root = root
        self._columns = columns
        self._timeout = timeout
        self._command = command
        self._environment = isolated_environment(root) | {
            "TERM": "xterm-256color",
            # No terminal answers prompt_toolkit's question for the cursor's position.
            "PROMPT_TOOLKIT_NO_CPR": "1",
            **(environment or {}),
        }

    def __enter__(self) -> Self:
        self._process = pexpect.spawn(
            sys.executable,
            ["-m", *self._command],
            env=self._environment,
            cwd=str(self._root),
            dimensions=(50, self._columns),
            encoding="utf-8",
            timeout=self._timeout,
        )
        self._read_until(_READING)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill(signal.SIGKILL)
        self._process.wait()  # `close` would give it a tenth of a second
        self._process.close()

    def run(self, cell: str, *, timeout: float | None = None) -> str:
        """Type a cell, run it, and return what it wrote.

        Args:
            cell: Its source, of any number of lines.
            timeout: Seconds until the next prompt must be there.

        Returns:
            The text on the screen between the cell and the next prompt, without escape sequences.
        """
        self.start(cell)
        return self.finish(timeout=timeout)

    def start(self, cell: str) -> None:
        """Type a cell and run it, without waiting for its end."""
        # Pasted, it is not indented again; Escape Enter runs it however many lines it has.
        self._process.send(f"\x1b[200~{cell}\x1b[201~")
        self._process.send("\x1b\r")
        self._read_until(_RUNNING)
        self._begin = len(self.raw)

    def wait_for(self, text: str, *, timeout: float | None = None) -> None:
        """Wait until the running cell has written `text`.

        Raises:
            AssertionError: It has not after `timeout` seconds; the message shows the screen.
        """
        self._read_until(text, timeout)

    def finish(self, *, timeout: float | None = None) -> str:
        """Wait for the next prompt and return what the cell wrote."""
        self._read_until(_READING, timeout)
        return plain(self.output)

    @property
    def output(self) -> str:
        """The text that the last cell has written so far, with its escape sequences."""
        text = self.raw[self._begin :]
        # IPython's next prompt begins with a title or a mode; what precedes it is the cell's.
        return text.partition(_READING)[0]

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.sendintr()

    def send(self, text: str) -> None:
        """Type `text` as it is, as for an `input()` of the running cell."""
        self._process.send(text)

    def exit(self) -> None:
        """Press Ctrl-D and wait for the process's end."""
        self._process.sendeof()
        self._read_until(pexpect.EOF)
        self._process.wait()

    def _read_until(self, text: object, timeout: float | None = None) -> None:
        waiting = self._timeout if timeout is None else timeout
        try:
            self._process.expect_exact(text, timeout=waiting)
        except (pexpect.TIMEOUT, pexpect.EOF) as error:
            self.raw += self._process.before or ""
            raise AssertionError(
                f"{type(error).__name__} after at most {waiting} s instead of {text!r}. "
                f"The end of the screen:\n{plain(self.raw)[-3000:]}"
            ) from None
        self.raw += self._process.before or ""
        if isinstance(self._process.after, str):
            self.raw += self._process.after


def plain(text: str) -> str:
    """Return `text` as a reader of the screen sees it: no escapes, carriage returns carried out."""
    lines = []
    for line in _ESCAPE.sub("", text).replace("\r\n", "\n").split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown)
    return "\n".join(lines)
