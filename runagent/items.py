"""The items of a stream: the events that came, as their user wants them. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from runagent.results import Event
from runagent.stream import StreamState
from runagent.wire import StreamReader
from runagent.wire.text import PairJoiner

T = TypeVar("T")


def items_of(
    events: list[Event],
    select: Callable[[str, Any, str | None], T | None],
    state: StreamState,
    reader: StreamReader,
    pairs: PairJoiner,
) -> Iterator[T]:
    """Yield the items of a stream's next events, up to its end."""
    idle = True
    texts = state.texts.recent()
    for event in events:
        kind, value, text = event
        if kind == "error":
            state.failed = event
            return
        if text is None:
            if kind == "done" and (half := pairs.finish()):
                texts.append(half)
                if (item := select("chunk", half, half)) is not None:
                    yield item
            state.take(kind, value)
        else:
            if pairs.held or not text.isascii():
                text = pairs.feed(text)
            texts.append(text)
        item = select(kind, value, text)
        if item is not None:
            if idle and item != "":
                idle = False
                reader.effort = 0
            yield item
        if state.done:
            return
