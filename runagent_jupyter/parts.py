"""An answer as safe HTML in parts, for marimo's chat, which only ever adds to what it shows."""

from __future__ import annotations

import math
import time

from runagent_jupyter import html, rendering, steps
from runagent_jupyter.event_log import EventLog, EventReader
from runagent_jupyter.reply import Reply

INTERVAL = 0.4
"""Seconds between two parts; each has the style sheet, and the page reads all parts again."""

SHARE = 0.03
"""Seconds of CPU time for a part; in a flood of text, the rest waits for the next one."""


class Parts:
    """Makes the parts of one answer.

    Args:
        events: The events of the stream, to which it appends.

    Attributes:
        html: All parts so far, joined.
    """

    def __init__(self, events: EventLog) -> None:
        self.html = ""
        self._reader = EventReader(events)
        self._stream = html.LimitedStream()
        self._steps = EventLog()
        self._blocks: list[str] = []
        self._added = 0.0

    def next(self) -> str:
        """Look at the events that have come, if it is time for a part.

        Returns:
            The HTML of the blocks of text that are finished, with the steps before them; empty if
            there are none.
        """
        if time.monotonic() - self._added <= INTERVAL:
            return ""
        self._take(SHARE)
        return self._part() if self._blocks else ""

    def _take(self, most: float) -> None:
        """Take the news, as far as that is possible in some seconds of CPU time."""
        began = time.thread_time()
        for item in self._reader.news(lambda: not self._stream.is_full):
            if isinstance(item, str):
                self._blocks += self._stream.feed(item)
            else:
                self._steps.append(item)
            if time.thread_time() - began > most:
                return

    def end(self, reply: Reply) -> str:
        """Return the HTML of the rest, and of what is known about the answer."""
        self._take(math.inf)
        if isinstance(reply.value, str):
            self._blocks += self._stream.finish()
            self._blocks.append(rendering.cut_note(len(reply.value), self._stream.taken))
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
