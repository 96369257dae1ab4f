"""The steps of an agent on the way to its answer, as pages and terminals show them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from runagent import StreamEvent
from runagent_jupyter import html
from runagent_jupyter.control_characters import strip_controls
from runagent_jupyter.event_kinds import KIND, PROGRESS, WORDS, first_text, has_words, is_number
from runagent_jupyter.event_log import EventLog, EventReader, is_object

_NAME: Final = ("name", "tool", "tool_name", "function", "title", "step", "stage", "node")
_MESSAGE: Final = ("message", "content", "delta", "text", "status", "detail")

_TITLE: Final = 200
"""Characters of a step's title; the whole text is in its details."""

_SHOWN: Final = 500
"""Steps that are shown; of the others, only the number is."""

_THOUGHT: Final = 2_000
"""Characters after which a thought continues in a new step: a page gets a growing step whole."""


class Steps:
    """The steps on the way to an answer, of which the first 500 are shown.

    Attributes:
        shown: The first ones.
    """

    def __init__(self) -> None:
        self.shown: list[Step] = []
        self._count = 0
        self._last: Step | None = None

    def take(self, event: StreamEvent) -> int:
        """Add an event, as a new step or as more of the last one.

        Args:
            event: An event that is a step.

        Returns:
            The position of the step that is new or has changed.
        """
        step = Step.of(event)
        if self._last is not None and self._last.continued_by(step):
            self._last.continue_with(step)
        else:
            self._last = step
            self._count += 1
            if self._count <= _SHOWN:
                self.shown.append(step)
        return self._count - 1

    def __len__(self) -> int:
        return self._count

    @property
    def title(self) -> str:
        """The title of the last step; empty without steps."""
        return "" if self._last is None else self._last.title

    @property
    def left_out(self) -> str:
        """How many steps are not shown, in words; empty if all are."""
        return f"… {self._count - _SHOWN:,} more" if self._count > _SHOWN else ""


def steps_of(events: Sequence[StreamEvent]) -> Steps:
    """Find the steps of a stream that has ended.

    Args:
        events: All its events, in order.

    Returns:
        The steps.
    """
    log = events if isinstance(events, EventLog) else EventLog(events)
    steps = Steps()
    for item in EventReader(log).news():
        if isinstance(item, StreamEvent) and not is_object(item, log):
            steps.take(item)
    return steps


def summary(steps: Steps) -> str:
    """Summarize steps in one line of text.

    Args:
        steps: The steps, at least one.

    Returns:
        The number of steps, and the title of the last one.
    """
    return f"{len(steps):,} step{'' if len(steps) == 1 else 's'} · {steps.title}"


def folded(steps: Steps) -> str:
    """Render steps, folded into one line.

    Args:
        steps: The steps.

    Returns:
        Safe HTML to be put into `html.wrap`; empty if there are no steps.
    """
    if not steps:
        return ""
    shown = ((step.title, step.details()) for step in steps.shown)
    return html.folded_steps(summary(steps), shown, more=steps.left_out)


def lines(steps: Steps) -> str:
    """Render steps as text.

    Args:
        steps: The steps.

    Returns:
        A line with the title of each step.
    """
    titles = [step.title for step in steps.shown]
    return "".join(f"[{title}]\n" for title in (*titles, steps.left_out) if title)


@dataclass
class Step:
    """An agent's action on the way to its answer: a tool call, a log line, progress, a thought."""

    kind: str
    name: str
    message: str
    value: Any
    is_progress: bool = False

    @classmethod
    def of(cls, event: StreamEvent) -> Step:
        """Read an event by the names that agents usually give to its fields.

        Args:
            event: An event that is a step.

        Returns:
            The step.
        """
        value = event.value
        facts = value if isinstance(value, dict) else {}
        kind = "" if event.kind == "chunk" else event.kind
        done = next((facts[key] for key in PROGRESS if is_number(facts.get(key))), None)
        message = first_text(facts, _MESSAGE)
        if done is not None:
            message = " · ".join(filter(None, (_progress(done, facts), message)))
        elif not facts:
            message = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return cls(
            kind=first_text(facts, KIND) or kind,
            name=first_text(facts, _NAME),
            message=message,
            value=value,
            is_progress=done is not None,
        )

    def continued_by(self, step: Step) -> bool:
        """Check whether a step is more of this one: newer progress, or the next words of a thought.

        Args:
            step: The step that follows.

        Returns:
            Whether `continue_with` can take it.
        """
        if (self.kind, self.name) != (step.kind, step.name):
            return False
        if self.is_progress and step.is_progress:
            return True
        return self._is_thought and step._is_thought and len(self.message) < _THOUGHT

    @property
    def _is_thought(self) -> bool:
        """Whether there is nothing in it but a piece of text."""
        value = self.value
        return isinstance(value, dict) and has_words(value) and value.keys() <= {*KIND, *WORDS}

    def continue_with(self, step: Step) -> None:
        """Replace progress with newer progress, or append the next words of a thought."""
        self.message = step.message if step.is_progress else self.message + step.message
        self.value = step.value

    @property
    def title(self) -> str:
        """The step in one line of text."""
        message = " ".join(self.message[: 4 * _TITLE].split())
        words = (self.kind.replace("_", " "), self.name, message)
        title = strip_controls(" · ".join(word for word in words if word)) or "step"
        return title if len(title) <= _TITLE else f"{title[:_TITLE]}…"

    def details(self) -> str:
        """Render the whole of a thought or of the agent's object.

        Returns:
            Safe HTML; empty if the title says it all.
        """
        if self._is_thought:
            return html.plain(self.message)
        if isinstance(self.value, dict | list):
            return html.json_tree(self.value)
        return ""

    def shown(self) -> dict[str, str]:
        """Describe the step for a page.

        Returns:
            Its `title` as text and its details as `html`.
        """
        return {"title": self.title, "html": self.details()}


def _progress(done: float, facts: dict[str, Any]) -> str:
    total = facts.get("total")
    if is_number(total):
        return f"{done:g} of {total:g}"
    is_share = "progress" in facts and 0 <= done <= 1
    return f"{done:.0%}" if is_share else f"{done:g} %"
