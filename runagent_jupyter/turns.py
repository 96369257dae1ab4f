"""A conversation's turns: what was said, and how an answer looks as far as it came."""

from __future__ import annotations

import json
import os.path
from dataclasses import dataclass, field
from typing import Any, Final

from runagent import AuthenticationError, RunAgentError, StreamEvent
from runagent_jupyter import markdown
from runagent_jupyter.failure import summary

_TEXT_TYPES: Final = frozenset(
    """answer chunk content content_block_delta delta message output response text text_delta
    token""".split()  # noqa: SIM905 - a table of words
)
"""What agents call a chunk that is a piece of their answer, and no step on the way to it."""

_KIND: Final = ("type", "kind", "event")
_NAME: Final = ("name", "tool", "tool_name", "function", "title", "step", "stage", "node")
_MESSAGE: Final = ("message", "content", "delta", "text", "status", "detail")
_WORDS: Final = ("content", "delta", "text")
_PROGRESS: Final = ("progress", "percent", "percentage")
_TITLE: Final = 200
"""Characters of a step's title; the rest is in its details."""

_THOUGHT: Final = 2_000
"""Characters after which a thought goes on in a new step: a growing one is sent again and again."""


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
        return "\n\n".join(part for part in (self.text, ending) if part)


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
        self._steps: list[_Step] = []
        # What pages know.
        self._known_blocks = 0
        self._known_steps = 0
        self._known_tail = ""

    def take(self, event: StreamEvent) -> None:
        """Add an event of the stream: a piece of text, or a step on the way to it."""
        turn = self.turn
        turn.events.append(event)
        if event.kind in ("start", "done"):
            return
        text = _text(event)
        if text is None:
            self._add_step(event)
        else:
            turn.text += text
            self._unfed.append(text)

    def _add_step(self, event: StreamEvent) -> None:
        step = _Step.of(event)
        if self._steps and self._steps[-1].continued_by(step):
            self._steps[-1].continue_with(step)
            self._known_steps = min(self._known_steps, len(self._steps) - 1)
        else:
            self._steps.append(step)

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
        self.feed()
        self._stream.finish()
        revised = {
            str(position): markdown.typeset(html) for position, html in self._stream.revised.items()
        }
        return {**self.delta(), "revised": revised, "ending": self._ending()}

    def known(self) -> dict[str, Any]:
        """Return all that pages have been told."""
        return {
            "role": "agent",
            "blocks": [
                markdown.typeset(html) for html in self._stream.blocks[: self._known_blocks]
            ],
            "tail": self._known_tail,
            "steps": [step.shown() for step in self._steps[: self._known_steps]],
            **self._ending(),
        }

    def html(self) -> str:
        """Return the answer as HTML that stands alone in `markdown.wrap`."""
        self.feed()
        steps = "".join(step.html() for step in self._steps)
        ending = self._ending()
        notes = [ending["facts"], *ending["error"].splitlines()]
        lines = "".join(
            f'<div class="runagent-status">{markdown.escape(line)}</div>' for line in notes if line
        )
        return steps + self._stream.html() + lines

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


@dataclass
class _Step:
    """Something an agent did on the way to its answer: a tool call, a log line, progress."""

    kind: str
    name: str
    message: str
    value: Any
    is_progress: bool = False

    @classmethod
    def of(cls, event: StreamEvent) -> _Step:
        value = event.value
        facts = value if isinstance(value, dict) else {}
        kind = "" if event.kind == "chunk" else event.kind
        done = next((facts[key] for key in _PROGRESS if _is_number(facts.get(key))), None)
        message = _first(facts, _MESSAGE)
        if done is not None:
            message = " · ".join(filter(None, (_progress(done, facts), message)))
        elif not facts:
            message = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return cls(
            kind=_first(facts, _KIND) or kind,
            name=_first(facts, _NAME),
            message=message,
            value=value,
            is_progress=done is not None,
        )

    def continued_by(self, step: _Step) -> bool:
        """Whether a step is more of this one: newer progress, or the next words of a thought."""
        if (self.kind, self.name) != (step.kind, step.name):
            return False
        if self.is_progress and step.is_progress:
            return True
        return self._is_thought and step._is_thought and len(self.message) < _THOUGHT

    @property
    def _is_thought(self) -> bool:
        """Whether there is nothing in it but a piece of text."""
        value = self.value
        return isinstance(value, dict) and _says(value) and value.keys() <= {*_KIND, *_WORDS}

    def continue_with(self, step: _Step) -> None:
        """Take the place of newer progress, or the next words."""
        self.message = step.message if step.is_progress else self.message + step.message
        self.value = step.value

    def shown(self) -> dict[str, str]:
        """Return its title as text, and its details as HTML."""
        if self._is_thought:
            details = markdown.plain(self.message)
        elif isinstance(self.value, dict | list):
            details = markdown.json_tree(self.value)
        else:
            details = ""
        return {"title": self._title(), "html": details}

    def html(self) -> str:
        shown = self.shown()
        return (
            f'<details class="runagent-step"><summary>{markdown.escape(shown["title"])}</summary>'
            f"{shown['html']}</details>"
        )

    def _title(self) -> str:
        message = " ".join(self.message[: 4 * _TITLE].split())
        words = (self.kind.replace("_", " "), self.name, message)
        title = markdown.strip_controls(" · ".join(word for word in words if word)) or "step"
        return title if len(title) <= _TITLE else f"{title[:_TITLE]}…"


def describe(error: Exception | None) -> str:
    """Return what went wrong and what to do, as text for a page; empty for `None`."""
    if error is None:
        return ""
    if isinstance(error, AuthenticationError):
        way_on = "With another key: w.client = AsyncRunAgentClient(…), w being this chat; Retry."
        return f"{summary(error)}\n{way_on}"
    return summary(error)


def _text(event: StreamEvent) -> str | None:
    """Return the text that an event adds to the answer, `None` if it is a step."""
    value = event.value
    if event.kind != "chunk" or isinstance(value, list):
        return None
    if not isinstance(value, dict):
        return event.text or ""
    kind = _first(value, _KIND)
    if kind and kind.lower() not in _TEXT_TYPES:
        return None
    return event.text if _says(value) else None


def _says(facts: dict[str, Any]) -> bool:
    """Whether there is a piece of text in it."""
    return any(isinstance(facts.get(name), str) for name in _WORDS)


def _first(facts: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((facts[name] for name in names if isinstance(facts.get(name), str)), "")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _progress(done: float, facts: dict[str, Any]) -> str:
    total = facts.get("total")
    if _is_number(total):
        return f"{done:g} of {total:g}"
    is_share = "progress" in facts and 0 <= done <= 1
    return f"{done:.0%}" if is_share else f"{done:g} %"
