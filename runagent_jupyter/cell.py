"""Shows an answer in its cell while it comes, and stops it when the kernel is interrupted."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import wait
from typing import TYPE_CHECKING

from runagent import AsyncRunAgentClient, StreamEvent
from runagent_jupyter.event_log import EventReader
from runagent_jupyter.event_loops import background
from runagent_jupyter.failure import as_agent_error
from runagent_jupyter.interrupts import TICK, Interrupts, noted
from runagent_jupyter.reply import Reply
from runagent_jupyter.request import Request, read_stream

if TYPE_CHECKING:
    from runagent_jupyter.outputs.display import Display

SHARE = 0.03
"""Seconds of CPU time for the news between two paintings; in a flood of text, the rest waits."""

GATHERING = 0.01
"""Seconds from the first news to a look at them, as events come in groups after each rest."""

LAST = 0.1
"""Seconds of CPU time for the news that is still shown of an answer that was stopped."""


class CellRequest:
    """A request whose answer is shown in a cell.

    The request runs on an event loop in another thread. The thread that calls `run` only waits and
    shows, so an interrupt ends its wait at once.

    Args:
        client: Asks the agent; it is closed at the end.
        reply: The answer, with the input for the agent.
        display: Shows the answer.
        entrypoint: The agent's entrypoint; `None` for the usual one.
        streams: Whether the answer comes as a stream or in one piece.
    """

    def __init__(
        self,
        client: AsyncRunAgentClient,
        reply: Reply,
        display: Display,
        *,
        entrypoint: str | None,
        streams: bool,
    ) -> None:
        self._client = client
        self._reply = reply
        self._display = display
        self._entrypoint = entrypoint
        self._streams = streams
        self._reader = EventReader(reply.events)
        self._news = threading.Event()
        self._is_stopping = False

    def run(self, at_end: Callable[[Reply], None]) -> bool:
        """Ask, and show the answer until it ends. A failure is in the reply afterwards.

        Args:
            at_end: Called with the complete reply, even if its last display fails.

        Returns:
            Whether the kernel was interrupted meanwhile.
        """
        with noted() as interrupts:
            self._follow(interrupts)
            try:
                self._display.end(self._reply)
            finally:
                at_end(self._reply)
        return interrupts.came

    def stop(self) -> None:
        """Stop the answer, from any thread; the reply keeps what has come."""
        self._is_stopping = True

    def _follow(self, interrupts: Interrupts) -> None:
        """Show the events as they come, until the request has ended."""
        request = Request(
            self._ask, self._reply, background("cells"), agent_id=self._reply.agent_id
        )
        request.ended.add_done_callback(lambda _: self._news.set())
        request.start()
        is_told = False
        try:
            while not request.ended.done():
                self._display.tick()
                if self._news.wait(TICK):
                    wait([request.ended], GATHERING)
                self._news.clear()
                if not (self._is_stopping or interrupts.came):
                    self._show_news(SHARE, interrupts)
                elif not is_told:
                    request.stop()
                    is_told = True
            self._show_news(math.inf, interrupts)
        except Exception as exc:  # noqa: BLE001 - the display failed; the reply says so
            _end_now(request)
            self._reply.error = as_agent_error(exc)
        except BaseException:
            _end_now(request)
            raise

    def _show_news(self, most: float, interrupts: Interrupts) -> None:
        """Give the display what has come.

        Args:
            most: Seconds of CPU time after which the rest has to wait, as the thread that reads the
                stream cannot work meanwhile.
            interrupts: With one of them, or when the answer was stopped, the rest is given up soon.
        """
        began = time.thread_time()
        for item in self._reader.news(self._display.takes_text):
            if isinstance(item, str):
                self._display.add(item)
            else:
                self._display.step(item)
            worked = time.thread_time() - began
            if worked > (LAST if self._is_stopping or interrupts.came else most):
                return

    async def _ask(self) -> None:
        async with self._client as client:
            data, entrypoint = self._reply.input_data, self._entrypoint
            if self._streams:
                stream = client.stream_events(data, entrypoint=entrypoint)
                await read_stream(stream, self._reply, self._take)
            elif entrypoint is not None:
                self._reply.take_result(await client.run(data, entrypoint=entrypoint))
            else:
                self._reply.take_result(await client.run_generic_with_metadata(data))

    def _take(self, event: StreamEvent) -> None:
        self._reply.take(event)
        if not self._news.is_set():
            self._news.set()


def _end_now(request: Request) -> None:
    request.stop()
    request.ended.result()
