"""A conversation's turns: what was said, and how an answer looks as far as it came."""

from __future__ import annotations

import os.path
import time
from dataclasses import dataclass, field
from typing import Any

from runagent import AuthenticationError, RunAgentError, StreamEvent
from runagent.wire.text import with_pairs_joined
from runagent_jupyter import markdown, steps
from runagent_jupyter.failure import summary
from runagent_jupyter.reply import json_of, obvious_text


@dataclass
class Turn:
    """A question, or an answer as far as it came.

    Attributes:
        role: `"user"` or `"agent"`.
        text: What was said.
        events: The events of the answer's stream, in order.
        error: What the answer ended with, if it failed.
        usage: Token counts by name, empty if the server sent none.
        execution_time: Seconds the agent took, as the server measured them.
        request_id: The server's id of the request.
        elapsed: Seconds from the question to the end of the answer.
        status: `"done"`, `"streaming"`, `"stopped"` or `"error"`.
    """

    role: str
    text: str = ""
    events: list[StreamEvent] = field(default_factory=list, repr=False)
    error: RunAgentError | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    execution_time: float | None = None
    request_id: str | None = None
    elapsed: float = 0.0
    status: str = "done"

    def to_markdown(self) -> str:
        """Return the question as a quotation, or the answer and how it ended."""
        if self.role == "user":
            return "\n".join(f"> {line}" for line in self.text.splitlines())
        ending = {"stopped": "*stopped*", "error": f"*failed: {self.error}*"}.get(self.status)
        return "\n\n".join(part for part in (markdown.closed(self.text), ending) if part)


class Answer:
    """How an answer looks in a page: what is new since the page was last told, and all of it.

    Agent text is in it as HTML of the markdown room, or as text that a page inserts as text.

    Args:
        turn: Gets what comes.
    """

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self._stream = markdown.MarkdownStream()
        self._unfed: list[str] = []  # text that is not rendered yet
        self._steps: list[steps.Step] = []
        # What pages know.
        self._known_blocks = 0
        self._known_steps = 0
        self._known_tail = ""
        self._began = time.monotonic()

    def take(self, event: StreamEvent) -> None:
        """Add an event of the stream: a piece of text, or a step on the way to it."""
        turn = self.turn
        turn.events.append(event)
        text = steps.text_of(event)
        if text is None:
            self._known_steps = min(self._known_steps, steps.take(event, self._steps))
        else:
            turn.text += text
            self._unfed.append(text)

    def feed(self) -> None:
        """Render what has been finished of the text, once and for all."""
        self._stream.feed("".join(self._unfed))
        self._unfed.clear()

    def delta(self) -> dict[str, Any]:
        """Return what pages do not know yet; from now on they do.

        The first of `parts` continues what is left of the unfinished tail that pages have, its
        first `keep` UTF-16 units. All but the last of them are then finished blocks, the last is
        the new tail.
        """
        self.feed()
        finished = self._stream.blocks[self._known_blocks :]
        parts = [markdown.typeset(html) for html in (*finished, self._stream.tail())]
        kept = os.path.commonprefix([self._known_tail, parts[0]])  # noqa: RUF071 - no paths
        steps_from = self._known_steps
        self._known_blocks += len(finished)
        self._known_steps = len(self._steps)
        self._known_tail = parts[-1]
        return {
            "keep": len(kept.encode("utf-16-le")) // 2,
            "parts": [parts[0][len(kept) :], *parts[1:]],
            "steps_from": steps_from,
            "steps": [step.shown() for step in self._steps[steps_from:]],
        }

    def end(self) -> dict[str, Any]:
        """Finish the text; return the last delta, with how the answer ended."""
        if self.turn.status == "done" and not self.turn.text:
            self._say_object()
        self.feed()
        self._stream.finish()
        self.turn.text = with_pairs_joined(self.turn.text)
        revised = {
            str(position): markdown.typeset(html) for position, html in self._stream.revised.items()
        }
        return {**self.delta(), "revised": revised, "ending": self._ending()}

    def _say_object(self) -> None:
        """Take the object that the agent answered with as its text, instead of as a step."""
        events = self.turn.events
        value = steps.answer_of(events)
        if isinstance(value, str):
            return
        text = obvious_text(value)
        if text is None:
            text = f"```json\n{json_of(value)}\n```"
        self.turn.text = text
        self._unfed.append(text)
        self._steps = steps.steps_of(events)
        self._known_steps = 0

    def known(self) -> dict[str, Any]:
        """Return all that pages have been told."""
        return {
            "role": "agent",
            "blocks": [
                markdown.typeset(html) for html in self._stream.blocks[: self._known_blocks]
            ],
            "tail": self._known_tail,
            "steps": [step.shown() for step in self._steps[: self._known_steps]],
            "since": round(time.monotonic() - self._began),
            **self._ending(),
        }

    def html(self) -> str:
        """Return the answer as HTML that stands alone in `markdown.wrap`."""
        self.feed()
        ending = self._ending()
        notes = [ending["facts"], *ending["error"].splitlines()]
        lines = "".join(
            f'<div class="runagent-status">{markdown.escape(line)}</div>' for line in notes if line
        )
        return steps.folded(self._steps) + self._stream.html() + lines

    def _ending(self) -> dict[str, Any]:
        turn = self.turn
        facts = []
        if turn.status == "stopped":
            facts.append("stopped")
        if turn.status != "streaming":
            facts.append(f"{turn.elapsed:.1f} s")
        tokens = turn.usage.get("total_tokens")
        if isinstance(tokens, int):
            facts.append(f"{tokens:,} tokens")
        return {
            "status": turn.status,
            "error": describe(turn.error),
            "facts": markdown.strip_controls(" · ".join(facts)),
        }


def describe(error: Exception | None) -> str:
    """Return what went wrong and what to do, as text for a page; empty for `None`."""
    if error is None:
        return ""
    if isinstance(error, AuthenticationError):
        way_on = "With another key: w.client = AsyncRunAgentClient(…), w being this chat; Retry."
        return f"{summary(error)}\n{way_on}"
    return summary(error)
