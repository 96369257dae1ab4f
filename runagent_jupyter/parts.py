"""An answer as safe HTML in parts, for marimo's chat, which only ever adds to what it shows."""

from __future__ import annotations

import time

from runagent import StreamEvent
from runagent_jupyter import html, rendering, steps
from runagent_jupyter.reply import Reply

INTERVAL = 0.4
"""Seconds between two parts; each has the style sheet, and the page reads all parts again."""


class Parts:
    """Makes the parts of one answer.

    Attributes:
        html: All parts so far, joined.
    """

    def __init__(self) -> None:
        """Begin."""
        self.html = ""
        self._stream = html.MarkdownStream()
        self._steps: list[StreamEvent] = []
        self._blocks: list[str] = []
        self._added = 0.0

    def take(self, event: StreamEvent) -> str:
        """Take the next event of the stream.

        Returns:
            The HTML of the blocks of text that are finished, with the steps before them, if it is
            time for a part.
        """
        text = steps.text_of(event)
        if text is None:
            self._steps.append(event)
        elif text:
            self._blocks += self._stream.feed(text)
        is_time = self._blocks and time.monotonic() - self._added > INTERVAL
        return self._part() if is_time else ""

    def end(self, reply: Reply) -> str:
        """Return the HTML of the rest, and of what is known about the answer."""
        if isinstance(reply.value, str):
            self._blocks += self._stream.finish()
        else:
            self._blocks.append(rendering.body_of(reply))
        self._blocks.append(rendering.notes(reply))
        return self._part()

    def _part(self) -> str:
        found = steps.steps_of(self._steps)
        content = steps.folded(found) + "".join(self._blocks)
        part = html.marimo_element(html.wrap(content)) if content else ""
        self._steps.clear()
        self._blocks.clear()
        self._added = time.monotonic()
        self.html += part
        return part
