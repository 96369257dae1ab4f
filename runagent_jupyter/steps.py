"""What an agent says besides its answer: tool calls, log lines, progress, thoughts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from runagent import StreamEvent
from runagent.wire.text import with_pairs_joined
from runagent_jupyter import markdown
from runagent_jupyter.reply import obvious_text

_ENDS: Final = frozenset({"start", "done"})
"""Events that begin and end a stream, and say nothing of the answer."""

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

_SHOWN: Final = 500
"""Steps that are folded into one line; of more of them, it says how many."""

_THOUGHT: Final = 2_000
"""Characters after which a thought goes on in a new step: a growing one is sent again and again."""


def text_of(event: StreamEvent) -> str | None:
    """Return the text that an event adds to the answer, `None` if it is a step."""
    if event.kind in _ENDS:
        return ""
    value = event.value
    if event.kind != "chunk" or isinstance(value, list):
        return None
    if not isinstance(value, dict):
        return event.text or ""
    kind = _first(value, _KIND)
    if kind and kind.lower() not in _TEXT_TYPES:
        return None
    if _says(value):
        return event.text
    words = value.keys() - set(_KIND)
    return obvious_text(value) if len(words) == 1 else None  # a piece, and nothing else with it


def take(event: StreamEvent, steps: list[Step]) -> int:
    """Add a step to those before it, or let it continue the last one.

    Returns:
        The position of the step that changed or is new.
    """
    step = Step.of(event)
    if steps and steps[-1].continued_by(step):
        steps[-1].continue_with(step)
    else:
        steps.append(step)
    return len(steps) - 1


def steps_of(events: Sequence[StreamEvent]) -> list[Step]:
    """Return the steps among the events of a stream that has ended."""
    answer = {id(event) for event in _answering(events)}
    steps: list[Step] = []
    for event in events:
        if text_of(event) is None and id(event) not in answer:
            take(event, steps)
    return steps


def answer_of(events: Sequence[StreamEvent]) -> Any:
    """Return what a stream answered: its text, or the object or objects if there is no text.

    An object that is plainly a step, such as a tool call, is the answer only if all are.
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
    """Return how many there are, and the title of the last one, as text."""
    return f"{len(steps):,} step{'' if len(steps) == 1 else 's'} · {steps[-1].title}"


def folded(steps: list[Step]) -> str:
    """Return steps folded into one line, as HTML that stands in `markdown.wrap`."""
    if not steps:
        return ""
    shown = "".join(step.html() for step in steps[:_SHOWN])
    if more := _left_out(steps):
        shown += f'<div class="runagent-step">{more}</div>'
    head = f"<summary>{markdown.escape(summary(steps))}</summary>"
    return f'<details class="runagent-steps">{head}{shown}</details>'


def lines(steps: list[Step]) -> str:
    """Return the titles of steps as lines of text."""
    titles = [step.title for step in steps[:_SHOWN]]
    return "".join(f"[{title}]\n" for title in (*titles, _left_out(steps)) if title)


def _left_out(steps: list[Step]) -> str:
    return f"… {len(steps) - _SHOWN:,} more" if len(steps) > _SHOWN else ""


@dataclass
class Step:
    """Something an agent did on the way to its answer: a tool call, a log line, progress."""

    kind: str
    name: str
    message: str
    value: Any
    is_progress: bool = False

    @classmethod
    def of(cls, event: StreamEvent) -> Step:
        """Return what an event says, in the words that agents usually choose."""
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

    def continue_with(self, step: Step) -> None:
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
        return {"title": self.title, "html": details}

    def html(self) -> str:
        """Return it folded, as HTML that stands in `markdown.wrap`."""
        shown = self.shown()
        return (
            f'<details class="runagent-step"><summary>{markdown.escape(shown["title"])}</summary>'
            f"{shown['html']}</details>"
        )

    @property
    def title(self) -> str:
        """What it is, in one line of text."""
        message = " ".join(self.message[: 4 * _TITLE].split())
        words = (self.kind.replace("_", " "), self.name, message)
        title = markdown.strip_controls(" · ".join(word for word in words if word)) or "step"
        return title if len(title) <= _TITLE else f"{title[:_TITLE]}…"


def _says(facts: dict[str, Any]) -> bool:
    """Whether there is a piece of text in it."""
    return any(isinstance(facts.get(name), str) for name in _WORDS)


def _first(facts: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((facts[name] for name in names if isinstance(facts.get(name), str)), "")


def _is_number(value: object) -> bool:
    """Whether it is a number of ordinary size, which is never an infinity."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15  # noqa: PLR2004


def _progress(done: float, facts: dict[str, Any]) -> str:
    total = facts.get("total")
    if _is_number(total):
        return f"{done:g} of {total:g}"
    is_share = "progress" in facts and 0 <= done <= 1
    return f"{done:.0%}" if is_share else f"{done:g} %"
