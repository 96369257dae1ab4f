"""How a chat asks: the input that an agent gets, and the stream of its answer."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import traitlets

from runagent import AsyncRunAgentClient, RunAgentError, StreamEvent, ValidationError
from runagent_jupyter.chats.agents import Agents
from runagent_jupyter.chats.answer_view import AnswerView
from runagent_jupyter.chats.attached import ATTACHMENTS, Attached, explain_refusal, fields_of
from runagent_jupyter.chats.conversation import history_of
from runagent_jupyter.chats.turn import Turn
from runagent_jupyter.fields import context_beside
from runagent_jupyter.pacing import rest_after
from runagent_jupyter.request import read_stream

INTERVAL = 0.06
"""Seconds between two messages to the pages while an answer streams."""

SHARE = 0.02
"""Seconds of CPU time for the text of one message; in a flood, the rest waits for the next."""

_logger = logging.getLogger(__name__)


class AnswerUnderWayError(RuntimeError):
    """A chat has an answer on its way, so that nothing else can be asked or shown."""

    def __init__(self) -> None:
        super().__init__("An answer is on its way; wait for it, or call stop() first.")


class AskingChat(traitlets.HasTraits):
    """A chat that asks one of its agents."""

    context: Mapping[str, Any] | None
    turns: list[Turn]
    _agents: Agents
    _field: str
    _history: bool
    _entrypoint: str | None
    _needs_session: bool
    _lock: threading.RLock

    def _tell(self, kind: str, **content: Any) -> None:
        """Send a numbered message to all pages."""
        raise NotImplementedError

    def _is_shown(self, turn: Turn) -> bool:
        """Whether an answer is on its way and was not cleared meanwhile."""
        raise NotImplementedError

    def _input(
        self, question: str, history: Sequence[Turn], items: Sequence[Attached] = ()
    ) -> dict[str, Any]:
        """Return the input for the agent, without the session.

        Raises:
            ValidationError: Two values have the same field, or an attachment cannot be sent.
        """
        context = context_beside(self.context or {}, self._field)
        attached = fields_of(items, ATTACHMENTS)
        own = {self._field, "session_id", *context, *(["history"] if self._history else [])}
        for name in attached.keys() & own:
            raise ValidationError(
                f"{name!r} is also a field of the chat's own.",
                code="INVALID_INPUT",
                hint="Give the value another name, or take that field out of the context.",
            )
        data = {**context, **attached, self._field: question}
        if self._history:
            data["history"] = history_of(history)
        return data

    def _stream(
        self, client: AsyncRunAgentClient, session_id: str | None, data: dict[str, Any]
    ) -> Any:
        """Return the stream of an answer.

        Nothing is sent before the stream is entered, but input that cannot be sent is refused here.
        """
        session = {} if session_id is None else {"session_id": session_id}
        return client.stream_events({**session, **data}, entrypoint=self._entrypoint)

    async def _run(
        self, stream: Any, ask: Callable[[None], Any], view: AnswerView, label: str
    ) -> None:
        """Read an answer.

        Args:
            stream: The stream of the answer.
            ask: Returns another one, without a session.
            view: The view of the answer.
            label: The label of the agent.
        """
        try:
            try:
                await self._read(stream, view)
            except RunAgentError as error:
                has_run = any(event.kind == "chunk" for event in view.turn.events)
                if has_run or self._needs_session or "session_id" not in error.message:
                    raise
                # The agent is a function that takes a question and nothing else.
                self._agents.sessions[label] = None
                view.begin_again()
                await self._read(ask(None), view)
        except RunAgentError as error:
            explain_refusal(error)
            raise

    async def _read(self, stream: Any, view: AnswerView) -> None:
        news = asyncio.Event()
        painter = asyncio.ensure_future(self._paint(view, news))

        def take(event: StreamEvent) -> None:
            with self._lock:
                view.take(event)
            news.set()

        try:
            await read_stream(stream, view.turn, take)
        finally:
            painter.cancel()

    async def _paint(self, view: AnswerView, news: asyncio.Event) -> None:
        """Send the news: the first at once, the others at intervals."""
        while True:
            await news.wait()
            news.clear()
            with self._lock:
                if view.feed(SHARE):
                    news.set()
                worked = time.thread_time()
                if self._is_shown(view.turn):
                    self._tell("delta", turn=len(self.turns) - 1, **view.delta())
            await asyncio.sleep(max(INTERVAL, rest_after(worked)))

    def _set(self, name: str, value: object) -> None:
        """Set a trait; an exception of an observer is logged and stops nothing here."""
        try:
            setattr(self, name, value)
        except Exception:
            _logger.exception("An observer of the chat's %s failed", name)
