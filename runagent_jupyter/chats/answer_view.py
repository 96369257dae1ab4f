"""Shows an answer in the pages of a chat: first all of it, then only the news."""

from __future__ import annotations

import math
import os.path
import time
from typing import Any

from runagent import AuthenticationError, StreamEvent
from runagent.wire.text import with_pairs_joined
from runagent_jupyter import html, steps
from runagent_jupyter.chats.turn import Turn
from runagent_jupyter.control_characters import strip_controls
from runagent_jupyter.data.records import records_of
from runagent_jupyter.data.values import as_markdown, json_of
from runagent_jupyter.event_log import EventLog, EventReader, answer_of
from runagent_jupyter.failure import summary
from runagent_jupyter.prices import money, tokens_total

_CUT_OFF = (
    "Cut off here: the answer was still coming when this copy was made. "
    "If the kernel still runs, the chat has the whole answer."
)

_CUT = (
    "cut off after {:,} of {:,} characters; the text of the turn has them all, such as "
    "w.turns[-1].text, where w is this chat"
)

_SHORT = 200
"""Characters of an old answer in a chat that is too long to be shown as a whole."""

LAST = 0.1
"""Seconds of CPU time for the news that is still shown of an answer that was stopped."""


class AnswerView:
    """An answer as the pages of a chat show it, and the part of it that they have already.

    It holds the agent's text as HTML of `runagent_jupyter.html`, or as text that a page inserts as
    text.

    Args:
        turn: The answer; it gets the events that the view takes.
        line_breaks: Whether the end of a line is kept.

    Attributes:
        is_plain: Whether pages have the answer as plain text until `catch_up`.
        is_short: Whether that text is only its beginning.
    """

    def __init__(self, turn: Turn, *, line_breaks: bool = True) -> None:
        self.turn = turn
        self._stream = html.LimitedStream(line_breaks=line_breaks)
        self._reader = EventReader(turn.events)
        self._steps = steps.Steps()
        self._characters = 0  # of an answer that is an object and is shown as text
        # The part that pages have.
        self._known_blocks = 0
        self._known_steps = 0
        self._known_tail = ""
        self.is_plain = False
        self.is_short = False
        self._is_finished = False
        self._began = time.monotonic()

    @classmethod
    def of(cls, turn: Turn, *, line_breaks: bool = True) -> AnswerView:
        """Return the view of an answer that has ended, such as one from a file.

        Rendering the answers of a long chat takes a second, so it waits until `catch_up` or `html`.
        """
        if not turn.events:
            turn.events = EventLog([StreamEvent("chunk", turn.text, turn.text)])
        turn.events.close()
        turn.text = with_pairs_joined(turn.events.text)
        view = cls(turn, line_breaks=line_breaks)
        if turn.text:
            view.is_plain = True
            view.shorten(is_short=False)
        else:
            view.end()
        return view

    def shorten(self, *, is_short: bool) -> None:
        """Say which part of an answer that is plain text pages get: its beginning, or all of it."""
        self.is_short = is_short
        self._known_tail = self._short() if is_short else html.plain(beginning(self.turn.text))

    def _short(self) -> str:
        return html.plain(beginning(self.turn.text, _SHORT))

    def catch_up(self) -> dict[str, Any]:
        """Render an answer that pages have as plain text.

        Returns:
            A message of news, with the ending if that is another one now.
        """
        known = self.ending()
        self._finish()
        self.is_plain = self.is_short = False
        ending = self.ending()
        return self.delta() | ({} if ending == known else {"ending": ending})

    def take(self, event: StreamEvent) -> None:
        """Add an event of the stream: a piece of text, or a step on the way to it."""
        self.turn.take(event)

    def begin_again(self) -> None:
        """Forget the events, as the agent is asked once more."""
        self.turn.events.clear()
        self._reader = EventReader(self.turn.events)

    def feed(self, most: float = math.inf) -> bool:
        """Render the new text; finished blocks are never rendered again.

        Args:
            most: Seconds of CPU time after which the rest has to wait.

        Returns:
            Whether something waits.
        """
        began = time.thread_time()
        for item in self._reader.news(lambda: not self._stream.is_full):
            if isinstance(item, str):
                self._stream.feed(item)
            else:
                changed = self._steps.take(item)
                self._known_steps = min(self._known_steps, changed, len(self._steps.shown))
            if time.thread_time() - began > most:
                return True
        return False

    def delta(self) -> dict[str, Any]:
        """Return the news for all pages, and count it as known.

        Returns:
            A message. Pages keep the first `keep` UTF-16 units of the unfinished tail that they
            have, and append the first of `parts` to it. The last of `parts` is the new tail, and
            all before it are finished blocks.
        """
        finished = self._stream.blocks[self._known_blocks :]
        parts = [html.typeset(block) for block in (*finished, self._stream.tail())]
        kept = os.path.commonprefix([self._known_tail, parts[0]])  # noqa: RUF071 - no paths
        steps_from = self._known_steps
        self._known_blocks += len(finished)
        news = self._steps_from(steps_from)
        self._known_steps += len(news)
        self._known_tail = parts[-1]
        return {
            "keep": len(kept.encode("utf-16-le")) // 2,
            "parts": [parts[0][len(kept) :], *parts[1:]],
            "steps_from": steps_from,
            "steps": news,
        }

    def end(self) -> dict[str, Any]:
        """Finish the text.

        Returns:
            The last message of news, which also says how the answer ended.
        """
        if self.turn.status == "done" and not self.turn.text:
            self._say_object()
        self._finish()
        self.turn.text = with_pairs_joined(self.turn.text)
        revised = {
            str(position): html.typeset(block) for position, block in self._stream.revised.items()
        }
        return {**self.delta(), "revised": revised, "ending": self.ending()}

    def _finish(self) -> None:
        """Render what there is of an answer that has ended."""
        if not self._is_finished:
            self.feed(LAST if self.turn.stopped else math.inf)
            self._stream.finish()
        self._is_finished = True

    def _say_object(self) -> None:
        """If the agent answered with an object, show it as the text and not as a step."""
        events = self.turn.events
        value = answer_of(events)
        if isinstance(value, str):
            return
        text = as_markdown(value)
        if text is None:
            self.turn.text = f"```json\n{json_of(value)}\n```"
            records = records_of(value)
            shown = html.json_tree(value) if records is None else html.record_table(records)
            self._stream.append(shown)
        else:
            self.turn.text = text
            self._stream.feed(text)
            self._characters = len(text)
        self.feed()
        self._steps = steps.steps_of(events)
        self._known_steps = 0

    def _steps_from(self, first: int) -> list[dict[str, str]]:
        """Describe the steps from one on for a page, and how many more there are."""
        shown = [step.shown() for step in self._steps.shown[first:]]
        more = self._steps.left_out
        return [*shown, {"title": more, "html": ""}] if more else shown

    def known(self) -> dict[str, Any]:
        """Return the part of the answer that all pages have."""
        return {
            "role": "agent",
            "blocks": [html.typeset(block) for block in self._stream.blocks[: self._known_blocks]],
            "tail": self._known_tail,
            "steps": self._steps_from(0)[: self._known_steps],
            "since": round(time.monotonic() - self._began),
            **({"agent": strip_controls(self.turn.agent)} if self.turn.agent else {}),
            **self.ending(),
        }

    def html(self, *, is_short: bool = False) -> str:
        """Return the answer, or only its beginning, as HTML, to be put into `html.wrap`."""
        if is_short:
            return self._short()
        if self.is_plain:
            self._finish()
        else:
            self.feed()
        ending = self.ending()
        notes = [ending["facts"], *ending["error"].splitlines()]
        if ending["status"] == "streaming":
            notes.append(_CUT_OFF)
        lines = "".join(html.status_line(line) for line in notes if line)
        by = html.status_line(self.turn.agent) if self.turn.agent else ""
        return by + steps.folded(self._steps) + self._stream.html() + lines

    def ending(self) -> dict[str, Any]:
        """Return the state of the answer: how it ended, and the facts about it."""
        turn = self.turn
        facts = []
        if turn.status == "stopped":
            facts.append("stopped")
        if turn.status != "streaming":
            facts.append(f"{turn.elapsed:.1f} s")
        tokens = tokens_total(turn.usage)
        if tokens is not None:
            facts.append(f"{tokens:,} tokens")
        if turn.cost is not None:
            facts.append(f"cost {money(turn.cost)}")
        taken, total = self._stream.taken, self._characters or turn.events.characters
        if turn.status != "streaming" and 0 < taken < total:
            facts.append(_CUT.format(taken, total))
        return {
            "status": turn.status,
            "error": describe(turn.error),
            "facts": strip_controls(" · ".join(facts)),
            "feedback": turn.feedback or "",
        }


def beginning(text: str, most: int = html.MOST_CHARACTERS) -> str:
    """Return a text as pages have it: of a very long one, the beginning, and words for the rest."""
    if len(text) <= most:
        return text
    return f"{text[:most]}\n\n[{_CUT.format(most, len(text))}]"


def describe(error: Exception | None) -> str:
    """Say what went wrong and what to do, as text for a page.

    Returns:
        A few lines; nothing if there is no error.
    """
    if error is None:
        return ""
    if isinstance(error, AuthenticationError):
        way_on = "To use another key, set w.client = AsyncRunAgentClient(…) in a cell, where w"
        return f"{summary(error)}\n{way_on} is this chat. Then press Retry."
    return summary(error)
