"""Shows an answer as it streams into a terminal: plain text, rendered by `rich` at the end."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata

from runagent import StreamEvent
from runagent_jupyter import steps
from runagent_jupyter.control_characters import TextStream
from runagent_jupyter.data.data_uris import DataUris, with_marks_replaced
from runagent_jupyter.data.pictures import words_for
from runagent_jupyter.rendering import cut_off, plain_note, plain_text
from runagent_jupyter.reply import Reply


class TerminalDisplay:
    """Writes an answer to a terminal as plain text, without characters that steer the terminal.

    If `rich` is installed and the whole text is still on the screen at the end, the rendered answer
    replaces it.

    Args:
        rendered: Whether the text is Markdown.
    """

    def __init__(self, *, rendered: bool) -> None:
        self._rendered = rendered and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._size = shutil.get_terminal_size()
        self._stream = TextStream()
        self._uris = DataUris()
        self._shown: list[str] = []  # as long as it may be rendered
        self._taken = self._written = 0  # characters
        self._end = ""  # the last character
        self._step: steps.Step | None = None  # it may continue

    def takes_text(self) -> bool:
        """Whether more text is shown: all of it is."""
        return True

    def add(self, text: str) -> None:
        """Write the next piece of text."""
        self._taken += len(text)
        self._write_step()
        self._write(self._without_pictures(self._uris.feed(self._stream.feed(text))))

    def step(self, event: StreamEvent) -> None:
        """Take a step of the agent, and write each finished step on a line of its own."""
        step = steps.Step.of(event)
        if self._step is not None and self._step.continued_by(step):
            self._step.continue_with(step)
            return
        self._write_step()
        self._step = step

    def _write_step(self) -> None:
        step, self._step = self._step, None
        if step is not None:
            self._write(("\n" if self._end not in ("", "\n") else "") + f"[{step.title}]\n")
            self._rendered = False  # there is more on the screen than the answer

    def _without_pictures(self, text: str) -> str:
        return with_marks_replaced(text, lambda number: words_for(self._uris.found[number]))

    def _write(self, text: str) -> None:
        if text:
            encoding = sys.stdout.encoding or "utf-8"
            text = text.encode(encoding, "replace").decode(encoding)
            sys.stdout.write(text)
            sys.stdout.flush()
            self._end = text[-1]
            self._written += len(text)
            if self._written > self._size.columns * self._size.lines:
                self._rendered = False
                self._shown.clear()
            else:
                self._shown.append(text)

    def tick(self) -> None:
        """Do nothing: the text is written as it comes."""

    def end(self, reply: Reply) -> None:
        """Render the text if possible, and end the line."""
        rest = self._uris.feed(self._stream.finish()) + self._uris.finish()
        self._write(self._without_pictures(rest))
        is_text = isinstance(reply.value, str)
        if is_text:
            self._write_step()
        if not is_text or not self._end:
            self._write(plain_text(reply))
        elif self._taken < reply.events.characters:  # it was interrupted, or the terminal is slow
            self._write(f"\n[{cut_off(reply.events.characters, self._taken)}]\n")
        if self._rendered and is_text and not reply.stopped and reply.error is None:
            self._render("".join(self._shown))
        if self._end or reply.error is None:  # the error is shown behind it
            self._write(plain_note(reply))
        if self._end not in ("", "\n"):
            self._write("\n")

    def _render(self, text: str) -> None:
        try:
            from rich.console import Console  # noqa: PLC0415 - optional
            from rich.markdown import Markdown  # noqa: PLC0415
        except ImportError:
            return
        columns, lines = self._size
        rows = _rows(text, columns)
        if rows is None or rows > lines or self._size != shutil.get_terminal_size():
            return
        up = f"\x1b[{rows - 1}A" if rows > 1 else ""
        sys.stdout.write(f"\r{up}\x1b[J")
        console = Console(file=sys.stdout, width=columns)
        console.print(Markdown(text, hyperlinks=False, code_theme="ansi_dark"))
        self._end = "\n"


def _rows(text: str, columns: int) -> int | None:
    """Count the rows that text takes in a terminal; `None` if terminals differ in that."""
    rows = 0
    for line in text.split("\n"):
        rows += 1
        column = 0
        for character in line:
            if unicodedata.category(character)[0] in "CM" or character >= "\U0001f000":
                return None  # tabs, marks, emoji
            width = 2 if unicodedata.east_asian_width(character) in "FW" else 1
            column += width
            if column > columns:
                rows += 1
                column = width
    return rows
