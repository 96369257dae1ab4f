"""The events of a stream, sorted into the answer and the steps on the way to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from runagent import StreamEvent
from runagent.wire.text import with_pairs_joined
from runagent_jupyter import html
from runagent_jupyter.control_characters import strip_controls
from runagent_jupyter.data.values import as_markdown, obvious_text

_ENDS: Final = frozenset({"start", "done"})
"""Kinds of events that begin and end a stream and are part of neither the answer nor the steps."""

_TEXT_TYPES: Final = frozenset(
    """answer chunk content content_block_delta delta message output response text text_delta
    token""".split()  # noqa: SIM905 - a table of words
)
"""Types that agents give to a chunk that is a piece of the answer; other types make a step."""

_KIND: Final = ("type", "kind", "event")
_NAME: Final = ("name", "tool", "tool_name", "function", "title", "step", "stage", "node")
_MESSAGE: Final = ("message", "content", "delta", "text", "status", "detail")
_WORDS: Final = ("content", "delta", "text")
_PROGRESS: Final = ("progress", "percent", "percentage")

_TITLE: Final = 200
"""Characters of a step's title; the whole text is in its details."""

_SHOWN: Final = 500
"""Steps that are shown; of the others, only the number is."""

_THOUGHT: Final = 2_000
"""Characters after which a thought continues in a new step: a page gets a growing step whole."""

_LARGEST: Final = 1e15
"""Numbers beyond it are not taken as progress."""


def text_of(event: StreamEvent) -> str | None:
    """Tell a piece of the answer from a step.

    Args:
        event: An event of a stream.

    Returns:
        The text that the event adds to the answer, or `None` if the event is a step.
    """
    if event.kind in _ENDS:
        return ""
    value = event.value
    if event.kind == "chunk" and isinstance(value, (dict, list)) and (shown := _pictured(value)):
        return f"\n\n{shown}\n\n"
    if event.kind != "chunk" or isinstance(value, list):
        return None
    if not isinstance(value, dict):
        return event.text or ""
    kind = _first(value, _KIND)
    if kind and kind.lower() not in _TEXT_TYPES:
        return None
    if _has_words(value):
        return event.text
    others = value.keys() - set(_KIND)
    return obvious_text(value) if len(others) == 1 else None  # text, and nothing else with it


def _pictured(value: dict[str, Any] | list[Any]) -> str | None:
    """Write a chunk that is a picture, or has pictures beside its text, as Markdown."""
    if isinstance(value, dict) and any(_is_number(value.get(key)) for key in _PROGRESS):
        return None
    shown = as_markdown(value)
    return None if shown == obvious_text(value) else shown


def take(event: StreamEvent, steps: list[Step]) -> int:
    """Add an event to the steps before it, as a new step or as more of the last one.

    Args:
        event: An event that is a step.
        steps: The steps so far.

    Returns:
        The position of the step that is new or has changed.
    """
    step = Step.of(event)
    if steps and steps[-1].continued_by(step):
        steps[-1].continue_with(step)
    else:
        steps.append(step)
    return len(steps) - 1


def steps_of(events: Sequence[StreamEvent]) -> list[Step]:
    """Find the steps of a stream that has ended.

    Args:
        events: All its events, in order.

    Returns:
        The steps.
    """
    answer = {id(event) for event in _answering(events)}
    steps: list[Step] = []
    for event in events:
        if text_of(event) is None and id(event) not in answer:
            take(event, steps)
    return steps


def answer_of(events: Sequence[StreamEvent]) -> Any:
    """Find the answer of a stream that has ended.

    An object that is plainly a step, such as a tool call, belongs to the answer only if all objects
    are.

    Args:
        events: All its events, in order.

    Returns:
        The text of the answer, or the object or the list of objects if there is no text.
    """
    answer = _answering(events)
    texts = [text_of(event) for event in answer]
    if len(answer) == 1 and (texts[0] is None or len(_chunks(events)) == 1):
        return answer[0].value
    if None in texts:
        return [event.value for event in answer]
    return with_pairs_joined("".join(text for text in texts if text))


def _answering(events: Sequence[StreamEvent]) -> list[StreamEvent]:
    chunks = _chunks(events)
    return (
        [event for event in chunks if text_of(event) is not None]
        or [event for event in chunks if not _is_step(event.value)]
        or chunks
    )


def _chunks(events: Sequence[StreamEvent]) -> list[StreamEvent]:
    return [event for event in events if event.kind == "chunk" and event.value is not None]


def _is_step(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    kind = _first(value, _KIND).lower()
    return bool(kind and kind not in _TEXT_TYPES) or any(
        _is_number(value.get(key)) for key in _PROGRESS
    )


def summary(steps: list[Step]) -> str:
    """Summarize steps in one line of text.

    Args:
        steps: The steps, at least one.

    Returns:
        The number of steps, and the title of the last one.
    """
    return f"{len(steps):,} step{'' if len(steps) == 1 else 's'} · {steps[-1].title}"


def folded(steps: list[Step]) -> str:
    """Render steps, folded into one line.

    Args:
        steps: The steps.

    Returns:
        Safe HTML to be put into `html.wrap`; empty if there are no steps.
    """
    if not steps:
        return ""
    shown = ((step.title, step.details()) for step in steps[:_SHOWN])
    return html.folded_steps(summary(steps), shown, more=_left_out(steps))


def lines(steps: list[Step]) -> str:
    """Render steps as text.

    Args:
        steps: The steps.

    Returns:
        A line with the title of each step.
    """
    titles = [step.title for step in steps[:_SHOWN]]
    return "".join(f"[{title}]\n" for title in (*titles, _left_out(steps)) if title)


def _left_out(steps: list[Step]) -> str:
    return f"… {len(steps) - _SHOWN:,} more" if len(steps) > _SHOWN else ""


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
        return isinstance(value, dict) and _has_words(value) and value.keys() <= {*_KIND, *_WORDS}

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


def _has_words(facts: dict[str, Any]) -> bool:
    """Whether an object has a piece of text in it."""
    return any(isinstance(facts.get(name), str) for name in _WORDS)


def _first(facts: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((facts[name] for name in names if isinstance(facts.get(name), str)), "")


def _is_number(value: object) -> bool:
    """Whether a value is a number of ordinary size; infinity is not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


def _progress(done: float, facts: dict[str, Any]) -> str:
    total = facts.get("total")
    if _is_number(total):
        return f"{done:g} of {total:g}"
    is_share = "progress" in facts and 0 <= done <= 1
    return f"{done:.0%}" if is_share else f"{done:g} %"
