"""Chooses how an answer is shown: in a cell, an `Output` widget, a capture, a terminal, or not."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol

from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.display import display

from runagent import StreamEvent
from runagent_jupyter import html
from runagent_jupyter.outputs.notebook_output import FIRST_INTERVAL, NotebookDisplay
from runagent_jupyter.outputs.terminal import TerminalDisplay
from runagent_jupyter.rendering import bundle, cut_note, has_more_than_error
from runagent_jupyter.reply import Reply
from runagent_jupyter.shell import request_id


class Display(Protocol):
    """Shows one answer as it comes."""

    def takes_text(self) -> bool:
        """Whether more text is shown; otherwise, it is left out from here on."""

    def add(self, text: str) -> None:
        """Take the next piece of text."""

    def step(self, event: StreamEvent) -> None:
        """Take a step of the agent on the way to its answer."""

    def tick(self) -> None:
        """Show the news if it is time to; the caller does this about ten times a second."""

    def end(self, reply: Reply) -> None:
        """Show the finished answer as it stays."""


class OutputWidgetDisplay:
    """Shows an answer in an `ipywidgets.Output`, in which no output can be updated.

    Each block of text is displayed when it is finished, and everything else at the end.

    Args:
        rendered: Whether the text is Markdown; plain text is displayed at the end.
        background: Whether the answer comes after its cell has ended, which shows no error then.
        line_breaks: Whether the end of a line in Markdown is kept.
    """

    def __init__(self, *, rendered: bool, background: bool, line_breaks: bool = True) -> None:
        self._rendered = rendered
        self._background = background
        self._stream = html.LimitedStream(line_breaks=line_breaks)
        self._finished: list[str] = []
        self._is_begun = False
        self._painted = 0.0

    def takes_text(self) -> bool:
        """Whether more text is shown."""
        return self._rendered and not self._stream.is_full

    def add(self, text: str) -> None:
        """Take the next piece of text."""
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
        rest = None
        if self._is_begun:
            rest = "".join([*self._finished, *self._stream.finish()])
            rest += cut_note(reply.events.characters, self._stream.taken)
        if self._is_begun or self._background or has_more_than_error(reply):
            display(bundle(reply, rest), raw=True)


class NoDisplay:
    """Shows nothing."""

    def takes_text(self) -> bool:
        """Whether more text is shown: it is not."""
        return False

    def add(self, text: str) -> None:
        """Do nothing."""

    def step(self, event: StreamEvent) -> None:
        """Do nothing."""

    def tick(self) -> None:
        """Do nothing."""

    def end(self, reply: Reply) -> None:
        """Do nothing."""


class CapturedDisplay(NoDisplay):
    """Shows an answer in the outputs that `%%capture` collects: once, when it has ended.

    Args:
        publisher: Collects the outputs.
        background: Whether the answer comes after its cell has ended, which shows no error then.
    """

    def __init__(self, publisher: CapturingDisplayPublisher, *, background: bool) -> None:
        self._publisher = publisher
        self._background = background

    def end(self, reply: Reply) -> None:
        """Display the whole answer."""
        if self._background or has_more_than_error(reply):
            self._publisher.publish(bundle(reply), {})


def display_for(
    shell: Any,
    agent_id: str,
    *,
    variable: str,
    owns_cell: bool,
    rendered: bool,
    line_breaks: bool,
    quiet: bool,
    background: bool,
) -> Display:
    """Choose the display for an answer.

    Args:
        shell: The IPython shell.
        agent_id: The agent's id.
        variable: The variable that will have the whole answer.
        owns_cell: Whether the magic is the whole cell.
        rendered: Whether the text is Markdown.
        line_breaks: Whether the end of a line in Markdown is kept.
        quiet: Whether to show nothing.
        background: Whether the answer comes while other cells run.

    Returns:
        A display for one answer.
    """
    if quiet:
        return NoDisplay()
    if not hasattr(shell, "kernel"):
        # In the background of a terminal, it would write into the line that is being typed.
        return NoDisplay() if background else TerminalDisplay(rendered=rendered)
    if isinstance(shell.display_pub, CapturingDisplayPublisher):
        return CapturedDisplay(shell.display_pub, background=background)
    if is_in_output_widget(shell):
        return OutputWidgetDisplay(
            rendered=rendered, background=background, line_breaks=line_breaks
        )
    return NotebookDisplay(
        shell,
        agent_id,
        variable=variable,
        owns_cell=owns_cell,
        rendered=rendered,
        line_breaks=line_breaks,
        background=background,
    )


def is_in_output_widget(shell: Any) -> bool:
    """Whether an `ipywidgets.Output` captures the running cell's output."""
    ipywidgets = sys.modules.get("ipywidgets")
    cell = request_id(shell)
    if ipywidgets is None or not cell:
        return False
    module = ipywidgets.widgets.widget
    # There is no public list since ipywidgets 8; before, it is an attribute of the class.
    widgets = module._instances if hasattr(module, "_instances") else module.Widget.widgets  # noqa: SLF001
    return any(
        isinstance(widget, ipywidgets.Output) and widget.msg_id == cell
        for widget in list(widgets.values())
    )
