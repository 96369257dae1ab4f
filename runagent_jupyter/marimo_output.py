"""How a stream shows itself in a cell of marimo: while it streams, and then as it stays."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any
from weakref import WeakKeyDictionary

from runagent import AsyncStream, RunAgentError, Stream, StreamEvent
from runagent_jupyter import html, steps
from runagent_jupyter.event_log import EventLog, EventReader
from runagent_jupyter.event_loops import background
from runagent_jupyter.interrupts import TICK
from runagent_jupyter.marimo_html import marimo_html
from runagent_jupyter.pacing import rest_after
from runagent_jupyter.rendering import bundle
from runagent_jupyter.reply import Reply

INTERVAL = 0.1
"""The least number of seconds between two paintings."""

SHARE = 0.03
"""Seconds of CPU time for the news of a painting; in a flood of text, the rest waits."""

_replies: WeakKeyDictionary[Any, Reply] = WeakKeyDictionary()


def shown(stream: Stream[Any] | AsyncStream[Any]) -> Any:
    """Read a stream to its end, and paint it into the running cell meanwhile.

    Args:
        stream: The stream. What was read of it before is shown too.

    Returns:
        The whole answer, as an object of marimo's; how it ended is in it. The second time, the
        answer of the first time.
    """
    reply = _replies.get(stream)
    if reply is None:
        reply = _replies[stream] = _read(stream)
    return marimo_html(bundle(reply)["text/html"])


def _read(stream: Stream[Any] | AsyncStream[Any]) -> Reply:
    reply = Reply("", {})
    painter = _Painter(reply.events)
    began = time.monotonic()
    error: RunAgentError | None = None
    stopped = False

    def take(item: object) -> None:
        reply.take(_event(item))
        painter.paint()

    if stream.text:
        take(stream.text)
    try:
        if isinstance(stream, Stream):
            with stream:
                for item in stream:
                    take(item)
        else:
            _read_beside(stream, take)
    except RunAgentError as exc:
        error = exc
    except KeyboardInterrupt:
        stopped = True
    painter.clear()
    reply.take_facts(stream)
    reply.end(elapsed=time.monotonic() - began, error=error, stopped=stopped)
    return reply


def _read_beside(stream: AsyncStream[Any], take: Callable[[object], None]) -> None:
    """Read an asynchronous stream on another event loop, as the cell's own one is busy with this.

    Raises:
        RunAgentError: The stream failed.
        KeyboardInterrupt: The cell was interrupted; the call has ended.
    """
    items: SimpleQueue[object] = SimpleQueue()

    async def read() -> None:
        async with stream:
            async for item in stream:
                items.put(item)

    reading = asyncio.run_coroutine_threadsafe(read(), background("cells"))
    try:
        while not (reading.done() and items.empty()):
            concurrent.futures.wait([reading], TICK)
            for _ in range(items.qsize()):
                take(items.get_nowait())
    except KeyboardInterrupt:
        reading.cancel()
        raise
    reading.result()


def _event(item: object) -> StreamEvent:
    if isinstance(item, StreamEvent):
        return item
    return StreamEvent("chunk", item, item if isinstance(item, str) else None)


class _Painter:
    """Paints the answer so far into the running cell."""

    def __init__(self, events: EventLog) -> None:
        import marimo  # noqa: PLC0415 - optional

        self._output = marimo.output
        self._reader = EventReader(events)
        self._stream = html.LimitedStream()
        self._steps = steps.Steps()
        self._next = 0.0

    def paint(self) -> None:
        """Take the news and paint, if it is time to."""
        if time.monotonic() < self._next:
            return
        worked = time.thread_time()
        for item in self._reader.news(lambda: not self._stream.is_full):
            if isinstance(item, str):
                self._stream.feed(item)
            else:
                self._steps.take(item)
            if time.thread_time() - worked > SHARE:
                break
        content = [steps.folded(self._steps), *self._stream.blocks]
        self._output.replace(marimo_html(html.wrap("".join([*content, self._stream.tail()]))))
        self._next = time.monotonic() + max(INTERVAL, rest_after(worked))

    def clear(self) -> None:
        """Remove what was painted."""
        self._output.clear()
