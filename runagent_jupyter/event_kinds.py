"""Tells the pieces of an answer from the steps on the way to it."""

from __future__ import annotations

from typing import Any, Final

from runagent import StreamEvent
from runagent_jupyter.data.values import as_markdown, obvious_text

_ENDS: Final = frozenset({"start", "done"})
"""Kinds of events that begin and end a stream and are part of neither the answer nor the steps."""

_TEXT_TYPES: Final = frozenset(
    """answer chunk content content_block_delta delta message output response text text_delta
    token""".split()  # noqa: SIM905 - a table of words
)
"""Types that agents give to a chunk that is a piece of the answer; other types make a step."""

KIND: Final = ("type", "kind", "event")
WORDS: Final = ("content", "delta", "text")
PROGRESS: Final = ("progress", "percent", "percentage")

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
    kind = first_text(value, KIND)
    if kind and kind.lower() not in _TEXT_TYPES:
        return None
    if has_words(value):
        return event.text
    others = value.keys() - set(KIND)
    return obvious_text(value) if len(others) == 1 else None  # text, and nothing else with it


def _pictured(value: dict[str, Any] | list[Any]) -> str | None:
    """Write a chunk that is a picture, or has pictures beside its text, as Markdown."""
    if isinstance(value, dict) and any(is_number(value.get(key)) for key in PROGRESS):
        return None
    shown = as_markdown(value)
    return None if shown == obvious_text(value) else shown


def is_step(value: object) -> bool:
    """Whether the value of a chunk is plainly a step, such as a tool call or progress."""
    if not isinstance(value, dict):
        return False
    kind = first_text(value, KIND).lower()
    return bool(kind and kind not in _TEXT_TYPES) or any(
        is_number(value.get(key)) for key in PROGRESS
    )


def has_words(facts: dict[str, Any]) -> bool:
    """Whether an object has a piece of text in it."""
    return any(isinstance(facts.get(name), str) for name in WORDS)


def first_text(facts: dict[str, Any], names: tuple[str, ...]) -> str:
    """Return the first of some fields that is a text; an empty one if none is."""
    return next((facts[name] for name in names if isinstance(facts.get(name), str)), "")


def is_number(value: object) -> bool:
    """Whether a value is a number of ordinary size; infinity is not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST
