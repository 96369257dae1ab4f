"""Shows an answer as it streams: in a notebook's output, in an `Output` widget, or nowhere."""

from __future__ import annotations

import sys
import time
import uuid
from typing import Any, Protocol

from IPython.display import clear_output, display, update_display

from runagent import StreamEvent
from runagent_jupyter import html, steps
from runagent_jupyter.control_characters import TextStream
from runagent_jupyter.pacing import rest_after
from runagent_jupyter.print_recorder import PrintRecorder
from runagent_jupyter.rendering import bundle
from runagent_jupyter.reply import Reply
from runagent_jupyter.terminal import TerminalDisplay

FIRST_INTERVAL = 0.1
"""Seconds between two paintings while they are small."""

BYTES_PER_SECOND = 45_000
"""The rate at which an output may be sent again; a larger output is painted less often."""

COMMIT_SIZE = 6_000
"""Characters of finished HTML in an output, after which a new output begins."""


class Display(Protocol):
    """Shows one answer as it comes."""

    def add(self, text: str) -> None:
        """Take the next piece of text."""

    def step(self, event: StreamEvent) -> None:
        """Take a step of the agent on the way to its answer."""

    def tick(self) -> None:
        """Show the news if it is time to; the caller does this about ten times a second."""

    def end(self, reply: Reply) -> None:
        """Show the finished answer as it stays."""


class NotebookDisplay:
    """Shows an answer in the output area of the running cell.

    Finished blocks are displayed once, and only the open rest is updated. So the cost grows with
    the length of the text and not with its square. At the end, one clean output replaces them all.

    Args:
        agent_id: The agent's id, for the status line.
        owns_cell: Whether only the magic writes into this cell. If other code does too, there is
            one output only, and it is updated less often as it grows.
        rendered: Whether the text is Markdown; otherwise it is plain text.
    """

    def __init__(self, agent_id: str, *, owns_cell: bool, rendered: bool) -> None:
        self._agent_id = agent_id
        self._owns_cell = owns_cell
        self._rendered = rendered
        self._stream = html.MarkdownStream()
        self._controls = TextStream()
        self._finished: list[str] = []  # of the current output
        self._size = 0
        self._characters = 0
        self._steps: list[steps.Step] = []
        self._started = self._painted = time.monotonic()
        self._interval = 0.0
        self._id = ""
        self._is_dirty = True
        if owns_cell:
            self._printed = PrintRecorder()
            display({"text/html": html.style_element()}, raw=True)
        self.tick()

    def add(self, text: str) -> None:
        """Take the next piece of text; the first one is shown at once."""
        if not self._characters:
            self._interval = 0.0
        self._characters += len(text)
        self._is_dirty = True
        if not self._rendered:
            self._finish(html.running_text(self._controls.feed(text)))
            return
        for block in self._stream.feed(text):
            self._finish(block)

    def step(self, event: StreamEvent) -> None:
        """Take a step of the agent; the status line shows the last one."""
        steps.take(event, self._steps)
        self._is_dirty = True

    def _finish(self, block: str) -> None:
        self._finished.append(block)
        self._size += len(block)

    def tick(self) -> None:
        """Paint, if there is something new and enough time has passed since the last painting."""
        now = time.monotonic()
        if now - self._painted < (self._interval if self._is_dirty else 1.0) and self._id:
            return
        worked = time.thread_time()
        if self._owns_cell and self._size > COMMIT_SIZE:
            self._paint("".join(self._finished))
            self._finished.clear()
            self._size = 0
            self._id = ""
        content = "".join(self._finished) + self._stream.tail() + self._status()
        self._paint(content)
        self._is_dirty = False
        self._painted = time.monotonic()
        self._interval = max(FIRST_INTERVAL, len(content) / BYTES_PER_SECOND, rest_after(worked))

    def _status(self) -> str:
        elapsed = time.monotonic() - self._started
        seen = [f"{self._characters:,} characters"] if self._characters else []
        seen += [steps.summary(self._steps)] if self._steps else []
        facts = [self._agent_id, f"{elapsed:.0f} s", *(seen or ["waiting"])]
        return html.status_line(" · ".join(facts))

    def _paint(self, content: str) -> None:
        data = {"text/html": html.wrap(content, styled=not self._owns_cell)}
        if self._id:
            update_display(data, raw=True, display_id=self._id)
        else:
            self._id = uuid.uuid4().hex
            display(data, raw=True, display_id=self._id)

    def end(self, reply: Reply) -> None:
        """Replace all that was shown by one clean output."""
        body = None
        if self._rendered and reply.value == reply.text and self._characters == len(reply.text):
            self._stream.finish()
            body = self._stream.html()
        shown = bundle(reply, body)
        if reply.error is not None and not (reply.text or self._steps):
            shown = {"text/html": "", "text/plain": ""}  # the error is shown behind it
        if not self._owns_cell:
            update_display(shown, raw=True, display_id=self._id)
            return
        self._printed.stop()
        clear_output(wait=bool(self._printed or shown["text/html"]))
        self._printed.replay()
        if shown["text/html"]:
            display(shown, raw=True)


class OutputWidgetDisplay:
    """Shows an answer in an `ipywidgets.Output`, in which no output can be updated.

    Each block of text is displayed when it is finished, and everything else at the end.

    Args:
        rendered: Whether the text is Markdown; plain text is displayed at the end.
    """

    def __init__(self, *, rendered: bool) -> None:
        self._rendered = rendered
        self._stream = html.MarkdownStream()
        self._finished: list[str] = []
        self._is_begun = False
        self._painted = 0.0

    def add(self, text: str) -> None:
        """Take the next piece of text."""
        if self._rendered:
            self._finished += self._stream.feed(text)

    def step(self, event: StreamEvent) -> None:
        """Do nothing: steps are displayed at the end."""

    def tick(self) -> None:
        """Display the finished blocks."""
        if self._finished and time.monotonic() - self._painted > FIRST_INTERVAL:
            display({"text/html": html.wrap("".join(self._finished))}, raw=True)
            self._finished.clear()
            self._is_begun = True
            self._painted = time.monotonic()

    def end(self, reply: Reply) -> None:
        """Display the rest."""
        rest = "".join([*self._finished, *self._stream.finish()]) if self._is_begun else None
        if self._is_begun or reply.error is None or reply.text or reply.events:
            display(bundle(reply, rest), raw=True)


class NoDisplay:
    """Shows nothing."""

    def add(self, text: str) -> None:
        """Do nothing."""

    def step(self, event: StreamEvent) -> None:
        """Do nothing."""

    def tick(self) -> None:
        """Do nothing."""

    def end(self, reply: Reply) -> None:
        """Do nothing."""


def display_for(
    shell: Any, agent_id: str, *, owns_cell: bool, rendered: bool, quiet: bool, background: bool
) -> Display:
    """Choose the display for an answer.

    Args:
        shell: The IPython shell.
        agent_id: The agent's id.
        owns_cell: Whether only the magic writes into the cell.
        rendered: Whether the text is Markdown.
        quiet: Whether to show nothing.
        background: Whether the answer comes while other cells run.

    Returns:
        A display for one answer.
    """
    if quiet:
        return NoDisplay()
    if _is_in_output_widget(shell):
        return OutputWidgetDisplay(rendered=rendered)
    if hasattr(shell, "kernel"):
        return NotebookDisplay(agent_id, owns_cell=owns_cell, rendered=rendered)
    # In the background of a terminal, it would write into the line that is being typed.
    return NoDisplay() if background else TerminalDisplay(rendered=rendered)


def _is_in_output_widget(shell: Any) -> bool:
    """Whether an `ipywidgets.Output` captures the running cell's output."""
    ipywidgets = sys.modules.get("ipywidgets")
    kernel = getattr(shell, "kernel", None)
    if ipywidgets is None or kernel is None:
        return False
    cell = (kernel.get_parent("shell") or {}).get("header", {}).get("msg_id")
    widgets = list(ipywidgets.widgets.widget._instances.values())  # noqa: SLF001 - there is no public list
    return any(isinstance(w, ipywidgets.Output) and w.msg_id == cell for w in widgets)
