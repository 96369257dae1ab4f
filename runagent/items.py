"""The items of a stream: the events that came, as their user wants them. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from runagent.results import StreamEvent
from runagent.stream import StreamState
from runagent.wire import StreamReader
from runagent.wire.text import PairJoiner

T = TypeVar("T")


def items_of(
    events: list[StreamEvent],
    select: Callable[[StreamEvent], T | None],
    state: StreamState,
    reader: StreamReader,
    pairs: PairJoiner,
) -> Iterator[T]:
    """Yield the items of a stream's next events, up to its end."""
    idle = True
    for event in events:
        if event.kind == "error":
            state.failed = event
            return
        text = event.text
        if text is not None:
            if pairs.held or not text.isascii():
                text = pairs.feed(text)
                if text is not event.text:
                    event = replace(event, text=text)  # noqa: PLW2901
        elif event.kind == "done" and (text := pairs.finish()):
            half = StreamEvent("chunk", text, text)
            state.take(half)
            if (item := select(half)) is not None:
                yield item
        state.take(event)
        item = select(event)
        if item is not None:
            if idle and item != "":
                idle = False
                reader.effort = 0
            yield item
        if state.done:
            return
