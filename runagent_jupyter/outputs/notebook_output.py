"""Shows an answer in a notebook's cell: outputs that pass while it streams, and one that stays."""

from __future__ import annotations

import time
import uuid
from typing import Any

from runagent import StreamEvent
from runagent_jupyter import html, steps
from runagent_jupyter.control_characters import TextStream
from runagent_jupyter.outputs.cell_outputs import is_alone
from runagent_jupyter.pacing import rest_after
from runagent_jupyter.rendering import bundle, cut_note, has_more_than_error
from runagent_jupyter.reply import Reply

LATE = 0.3
"""Seconds before the first painting. An answer that ends before is shown once and as it stays."""

FIRST_INTERVAL = 0.12
"""Seconds between two paintings while they are small."""

BYTES_PER_SECOND = 42_000
"""The rate at which an output may be sent again; a larger output is painted less often."""

COMMIT_SIZE = 6_000
"""Characters of finished HTML in an output, after which a new output begins."""

_EMPTY = {"text/html": "", "text/plain": ""}


class NotebookDisplay:
    """Shows an answer in the output area of the running cell.

    Finished blocks are displayed once, and only the open rest is updated. So the cost grows with
    the length of the text and not with its square.

    At the end, the whole answer is displayed as one new output, because some front ends know no
    updates. The outputs before it become empty, and if nothing else is in the cell, it is cleared.
    In the background it is different: a cell that has ended takes updates only.

    Args:
        shell: The IPython shell.
        agent_id: The agent's id, for the status line.
        variable: The variable that will have the whole answer.
        owns_cell: Whether the magic is the whole cell. If it is not, there is one passing output
            only, and it is updated less often as it grows.
        rendered: Whether the text is Markdown; otherwise it is plain text.
        line_breaks: Whether the end of a line in Markdown is kept.
        background: Whether the answer comes while other cells run.
    """

    def __init__(
        self,
        shell: Any,
        agent_id: str,
        *,
        variable: str,
        owns_cell: bool,
        rendered: bool,
        background: bool,
        line_breaks: bool = True,
    ) -> None:
        self._shell = shell
        # Later, another one may be in its place, which captures the outputs of another cell.
        self._publisher = shell.display_pub
        self._agent_id = agent_id
        self._variable = variable
        self._owns_cell = owns_cell
        self._rendered = rendered
        self._background = background
        self._stream = html.LimitedStream(line_breaks=line_breaks)
        self._controls = TextStream()
        self._finished: list[str] = []  # of the current output
        self._size = 0
        self._characters = 0
        self._steps = steps.Steps()
        self._started = self._painted = time.monotonic()
        self._interval = 0.0
        self._ids: list[str] = []  # of the passing outputs
        self._is_open = False  # whether the last of them is updated
        self._messages = 0
        self._is_dirty = True
        self.tick()

    def takes_text(self) -> bool:
        """Whether more text is shown."""
        if self._rendered:
            return not self._stream.is_full
        return self._characters < html.MOST_CHARACTERS

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
        self._steps.take(event)
        self._is_dirty = True

    def _finish(self, block: str) -> None:
        self._finished.append(block)
        self._size += len(block)

    def tick(self) -> None:
        """Paint, if there is something new and enough time has passed since the last painting."""
        now = time.monotonic()
        if not self._ids and not self._background and now - self._started < LATE:
            return
        if now - self._painted < (self._interval if self._is_dirty else 1.0) and self._is_open:
            return
        worked = time.thread_time()
        if self._owns_cell and not self._ids:
            self._begin(html.style_element())
        if self._owns_cell and self._size > COMMIT_SIZE:
            self._paint("".join(self._finished))
            self._finished.clear()
            self._size = 0
            self._is_open = False
        content = "".join(self._finished) + self._stream.tail() + self._status()
        self._paint(content)
        self._is_dirty = False
        self._painted = time.monotonic()
        self._interval = max(FIRST_INTERVAL, len(content) / BYTES_PER_SECOND, rest_after(worked))

    def _status(self) -> str:
        elapsed = time.monotonic() - self._started
        more = "" if self.takes_text() else " and more"
        seen = [f"{self._characters:,} characters{more}"] if self._characters else []
        seen += [steps.summary(self._steps)] if self._steps else []
        facts = [self._agent_id, f"{elapsed:.0f} s", *(seen or ["waiting"])]
        return html.running_line(" · ".join(facts), self._cut_off())

    def _cut_off(self) -> str:
        """Say how a reader finds the answer who sees this after the page was reloaded."""
        return f"Cut off here. If the kernel still runs, {self._variable} has the whole answer."

    def _paint(self, content: str) -> None:
        content = html.wrap(content, styled=not self._owns_cell)
        if self._is_open:
            self._publish({"text/html": content}, self._ids[-1], update=True)
            return
        self._begin(content)
        self._is_open = True

    def _begin(self, content: str) -> None:
        # Consoles print the text of a first display, and never see an update of it.
        data = {"text/html": content}
        if self._background:
            data["text/plain"] = (
                f"{self._agent_id} answers in the background; "
                f"{self._variable} has the answer in the end."
            )
        self._ids.append(uuid.uuid4().hex)
        self._publish(data, self._ids[-1])

    def _publish(self, data: dict[str, str], name: str = "", *, update: bool = False) -> None:
        named: dict[str, Any] = {"transient": {"display_id": name}} if name else {}
        self._publisher.publish(data=data, metadata={}, update=update, **named)
        self._messages += 1

    def end(self, reply: Reply) -> None:
        """Display the whole answer, and remove everything that was displayed before."""
        shown = self._bundle(reply)
        if self._background and self._ids:
            self._publish(shown, self._ids[-1], update=True)
            return
        if self._owns_cell and self._ids and is_alone(self._shell, self._messages):
            self._publisher.clear_output(wait=True)
        if shown["text/html"]:
            self._publish(shown)
        # Only now, so that no page is blank for a moment. A front end that has cleared the cell
        # does not know these outputs any more; in one that cannot clear, they become empty.
        self._empty()

    def _empty(self) -> None:
        for name in self._ids:
            self._publish(_EMPTY, name, update=True)

    def _bundle(self, reply: Reply) -> dict[str, str]:
        if not (self._background or has_more_than_error(reply)):
            return _EMPTY  # the cell fails, and shows the error itself
        text = reply.value if self._rendered and self._characters else None
        if not isinstance(text, str) or len(text) != reply.events.characters:
            return bundle(reply)
        self._stream.finish()
        return bundle(reply, self._stream.html() + cut_note(len(text), self._stream.taken))
