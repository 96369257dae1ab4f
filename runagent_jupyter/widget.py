"""A chat with an agent, inside the notebook."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import difflib
import functools
import inspect
import json
import logging
import pathlib
import shlex
import threading
import time
import uuid
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anywidget
import ipywidgets
import traitlets
from IPython.display import display, update_display

from runagent import AsyncRunAgentClient, RunAgentClient, RunAgentError, ValidationError
from runagent_jupyter import html
from runagent_jupyter.call import WAITED
from runagent_jupyter.control_characters import strip_controls
from runagent_jupyter.loops import background
from runagent_jupyter.pacing import rest_after
from runagent_jupyter.page_script import joined
from runagent_jupyter.turns import Answer, Turn, describe

INTERVAL = 0.06
"""Seconds between two messages to the page while an answer streams."""

REST = 0.06
"""Seconds that reading rests after it had to wait, so that chunks come by the dozen."""

BEFORE_REST = 10
"""Events that are read as they come: a short answer waits for nothing."""

COPY_DELAY = 1.0
"""Seconds after a change until the copy for viewers without a kernel is renewed."""

COPY_BYTES_PER_SECOND = 100_000
"""What renewing that copy may take; a long conversation's is renewed later."""

_STATIC = pathlib.Path(__file__).parent / "static"

_logger = logging.getLogger(__name__)


class AgentWidget(anywidget.AnyWidget, ipywidgets.ValueWidget):  # type: ignore[misc, name-defined] # untyped
    """A chat with one agent. Streams run beside the kernel, which stays free for cells.

    Args:
        agent: An agent's id, or a client.
        title: Shown above the chat. Default: the agent's id.
        placeholder: Shown in the empty input.
        suggestions: Questions to begin with, as buttons.
        height: Of the conversation at most, in pixels; it scrolls.
        context: Fields that go along with every question, such as `{"df": df}`; they are read
            each time, so that a variable's content is what it is then.
        field: The field that carries the question.
        history: Whether the turns so far go along, as `history`: a list of `role` and `text`.
        entrypoint: The agent's entrypoint, of those that `runagent serve` serves and that stream.
            Default: the usual one.
        session_id: Goes along with every question, so that the agent knows the conversation.
            Default: a new one, which is left out for an agent that refuses to be given any.
        **client_options: The client's, such as `base_url`.

    Attributes:
        turns: The conversation, a list of `Turn`; to be read, not changed.
        client: Calls the agent; another one may take its place, with a new key for example.
        context: May be changed, for the questions to come.
        session_id: What goes along with the questions to come; `None` for nothing.

    Traits to observe, on the thread that reads the streams, which an observer should not hold up:
    `busy`, whether an answer is on its way, and `value`, the last answer's text once it has ended.
    That text is the agent's: show it with `Textarea` or `Label`, never as `HTML`. To write into an
    `Output` from there, use its `append_stdout`: what is printed belongs to no cell any more.

    Raises:
        TypeError: An unknown option, an agent that is neither an id nor a client, or suggestions
            that are no list of strings.
        RunAgentError: The client refuses its settings, or the context cannot be sent.
    """

    _esm = _STATIC / "widget.js"
    _css = _STATIC / "widget.css"

    title = traitlets.Unicode().tag(sync=True)
    placeholder = traitlets.Unicode().tag(sync=True)
    suggestions = traitlets.List(traitlets.Unicode()).tag(sync=True)
    height = traitlets.Int(min=80).tag(sync=True)
    busy = traitlets.Bool(False).tag(sync=True)
    value = traitlets.Unicode().tag(sync=True)
    # Made when a page asks for the state, so that it costs nothing while an answer streams.
    _snapshot = traitlets.Dict().tag(
        sync=True,
        to_json=lambda _, widget: {"deflated": _deflated(widget._transcript(0))},  # noqa: SLF001 - its own
        from_json=lambda _, __: {},
    )
    _markdown_css = traitlets.Unicode().tag(sync=True)
    _copy = traitlets.Unicode().tag(sync=True)
    _current: Turn | None = None  # for `close`, of a chat that could not be made too

    def __init__(
        self,
        agent: str | RunAgentClient | AsyncRunAgentClient,
        *,
        title: str | None = None,
        placeholder: str = "Ask the agent…",
        suggestions: Sequence[str] = (),
        height: int = 480,
        context: Mapping[str, Any] | None = None,
        field: str = "query",
        history: bool = False,
        entrypoint: str | None = None,
        session_id: str | None = None,
        **client_options: Any,
    ) -> None:
        if isinstance(suggestions, str) or not all(isinstance(s, str) for s in suggestions):
            raise TypeError(f"suggestions is {suggestions!r}; give a list of questions.")
        for name, text in {"title": title or "", "placeholder": placeholder}.items():
            if not isinstance(text, str):
                raise TypeError(f"{name} is {text!r}; give a string.")
        self._client = _client(agent, client_options)
        self.turns: list[Turn] = []
        self.context: Mapping[str, Any] | None = dict(context or {})
        self.session_id: str | None = session_id or uuid.uuid4().hex
        self._needs_session = session_id is not None
        self._field = field
        self._history = history
        self._entrypoint = entrypoint
        self._lock = threading.RLock()
        self._sequence = 0
        self._answers: dict[int, Answer] = {}  # by the identity of their turn
        self._requests: dict[int, str] = {}  # the page's name for a question of its
        self._tasks: dict[int, asyncio.Task[None]] = {}  # by the identity of their turn
        self._displayed: deque[tuple[str, contextvars.Context]] = deque(maxlen=20)
        self._renewal: asyncio.TimerHandle | None = None
        self._stream("?", [])  # refuses what cannot be sent, and sends nothing
        super().__init__(
            title=strip_controls(self._client.agent_id if title is None else title),
            placeholder=_sendable(placeholder),
            suggestions=[_sendable(suggestion) for suggestion in suggestions],
            height=height,
            _markdown_css=html.css(),
            _copy=uuid.uuid4().hex,
            _esm=str(self._esm),
        )
        self.on_msg(self._received)

    @traitlets.validate("_esm")
    def _join_script(self, proposal: Any) -> str:
        """Join the script at first, and whenever hot reloading sets it."""
        return joined(proposal["value"])

    @property
    def client(self) -> AsyncRunAgentClient:
        """What calls the agent; another one, with a new key for example, may take its place."""
        return self._client

    @client.setter
    def client(self, client: RunAgentClient | AsyncRunAgentClient) -> None:
        self._client = _client(client, {})

    def ask(self, question: str) -> Turn:
        """Ask, and wait for the end of the answer; the view streams it meanwhile.

        Interrupting the kernel stops the answer.

        Returns:
            The answer. A failure is in its `error`.

        Raises:
            RuntimeError: An answer is on its way, or this is called by what observes the chat.
            ValueError: The question is empty.
            ValidationError: The context cannot be sent.
        """
        if _is_background():
            raise RuntimeError("ask() would wait for itself here; use `await ask_async()`.")
        answer, ended = self._start(question)
        try:
            concurrent.futures.wait([ended])
        except KeyboardInterrupt:
            self.stop()
            raise
        return answer

    async def ask_async(self, question: str) -> Turn:
        """Do what `ask` does, without blocking the event loop."""
        answer, ended = self._start(question)
        try:
            await asyncio.wait([asyncio.wrap_future(ended)])
        except asyncio.CancelledError:
            self.stop()
            raise
        return answer

    def stop(self) -> None:
        """Stop the answer that is on its way, if any; what came of it stays."""
        turn = self._current
        if turn is not None:
            background().call_soon_threadsafe(self._cancel, turn)  # after its `_begin`

    def clear(self) -> None:
        """Forget the conversation and begin a new session; an answer on its way is stopped."""
        with self._lock:
            self.stop()
            self._current = None
            self._cut(0)
            self.session_id = self.session_id and uuid.uuid4().hex
            self._show(0)
        self._set("busy", False)

    def close(self) -> None:
        """Stop what is on its way, and remove the chat from every page."""
        self.stop()
        super().close()

    def to_markdown(self) -> str:
        """Return the conversation as Markdown."""
        turns = (turn.to_markdown() for turn in list(self.turns))
        return "\n\n".join([f"# {self.title}", *turns]) + "\n"

    def to_cell(self) -> str:
        """Return the source of a cell that asks the last question again, with the magic.

        What goes along with it is in the cell where it can be written as JSON; a key never is.
        """
        client = self.client
        last = self._last_question()
        question = self.turns[last].text if last >= 0 else "Your question"
        options = ["--text", "--no-template"]
        if self._field != "query":
            options += ["--field", self._field]
        if self._entrypoint is not None:
            options += ["--entrypoint", self._entrypoint]
        if client.base_url != _default_base_url(client.agent_id):
            options += ["--base-url", client.base_url]
        for name, value in (self.context or {}).items():
            with contextlib.suppress(TypeError, ValueError):
                options += ["--set", f"{name}={json.dumps(value, ensure_ascii=False)}"]
        line = shlex.join(["%%runagent", client.agent_id, *options])
        return f"{line}\n{question}"

    # --- Asking ---------------------------------------------------------------------------------

    def _start(
        self, question: str, *, at: int | None = None, request: str = ""
    ) -> tuple[Turn, concurrent.futures.Future[None]]:
        """Ask, in the place of the turns from `at` on; return the answer, and when it has ended."""
        if not isinstance(question, str):
            raise TypeError(f"The question is a {type(question).__name__}; it takes a string.")
        if not question.strip():
            raise ValueError("The question is empty; it takes a string that says something.")
        with self._lock:
            if self._current is not None:
                raise RuntimeError("An answer is on its way; wait for it, or call stop() first.")
            first = len(self.turns) if at is None else at
            if at is not None and (at < 0 or at != self._last_question()):
                raise RuntimeError("The conversation went on meanwhile; send it as a new question.")
            ask = functools.partial(self._stream, question, self.turns[:first])
            stream = ask()
            asked, answer = Turn("user", question), Turn("agent", status="streaming")
            self._cut(first)
            self.turns += [asked, answer]
            self._requests[id(asked)] = request
            shown = self._answers[id(answer)] = Answer(answer)
            self._current = answer
            self._show(first)
            ended: concurrent.futures.Future[None] = concurrent.futures.Future()
            background().call_soon_threadsafe(self._begin, stream, ask, shown, ended)
        return answer, ended

    def _last_question(self) -> int:
        """Return the position of the last question, -1 if there is none."""
        asked = (i for i, turn in enumerate(self.turns) if turn.role == "user")
        return max(asked, default=-1)

    def _stream(self, question: str, history: Sequence[Turn]) -> Any:
        """Return the events of an answer. Sends nothing yet, but refuses what cannot be sent."""
        context = self.context or {}
        if self._field in context:
            raise ValidationError(
                f"context has {self._field!r}, which is the field that carries the question.",
                code="INVALID_INPUT",
                hint="Pass another field=, if the agent takes the question under another name.",
            )
        session = {} if self.session_id is None else {"session_id": self.session_id}
        data = {**session, **context, self._field: question}
        if self._history:
            data["history"] = [{"role": turn.role, "text": turn.text} for turn in history]
        return self.client.stream_events(data, entrypoint=self._entrypoint)

    def _begin(
        self,
        stream: Any,
        ask: Callable[[], Any],
        answer: Answer,
        ended: concurrent.futures.Future[None],
    ) -> None:
        self._set("busy", self._current is answer.turn)  # it may have been cleared meanwhile
        began = time.monotonic()
        task = background().create_task(self._run(stream, ask, answer))
        self._tasks[id(answer.turn)] = task
        # Not in the task itself, of which nothing runs if it is cancelled before its first step.
        task.add_done_callback(lambda task: self._end(task, answer, began, ended))

    def _cancel(self, turn: Turn) -> None:
        if id(turn) in self._tasks:
            self._tasks[id(turn)].cancel()

    async def _run(self, stream: Any, ask: Callable[[], Any], answer: Answer) -> None:
        try:
            await self._read(stream, answer)
        except RunAgentError as error:
            has_run = any(event.kind == "chunk" for event in answer.turn.events)
            if has_run or self._needs_session or "session_id" not in error.message:
                raise
            # A function that takes a question and nothing else.
            self.session_id = None
            answer.turn.events.clear()
            await self._read(ask(), answer)

    async def _read(self, stream: Any, answer: Answer) -> None:
        turn = answer.turn
        news = asyncio.Event()
        painter = asyncio.ensure_future(self._paint(answer, news))
        asked = time.monotonic()
        try:
            async with stream:
                async for event in stream:
                    waited = time.monotonic() - asked > WAITED
                    with self._lock:
                        answer.take(event)
                    news.set()
                    if waited and len(turn.events) > BEFORE_REST:
                        await asyncio.sleep(REST)
                    asked = time.monotonic()
        finally:
            painter.cancel()
            turn.usage = dict(stream.usage or {})
            turn.execution_time, turn.request_id = stream.execution_time, stream.request_id

    async def _paint(self, answer: Answer, news: asyncio.Event) -> None:
        """Send what is new: the first of it at once, and then at intervals."""
        while True:
            await news.wait()
            news.clear()
            with self._lock:
                answer.feed()
                worked = time.thread_time()
                if self._current is answer.turn:
                    self._tell("delta", turn=len(self.turns) - 1, **answer.delta())
            await asyncio.sleep(max(INTERVAL, rest_after(worked)))

    def _end(
        self,
        task: asyncio.Task[None],
        answer: Answer,
        began: float,
        ended: concurrent.futures.Future[None],
    ) -> None:
        turn = answer.turn
        del self._tasks[id(turn)]
        turn.elapsed = time.monotonic() - began
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, RunAgentError):
            error = RunAgentError(f"{type(error).__name__}: {error}", code="INTERNAL_ERROR")
        turn.error = error
        turn.status = "stopped" if task.cancelled() else "done" if error is None else "error"
        try:
            with self._lock:
                is_current = self._current is turn  # and was not cleared meanwhile
                if is_current:
                    self._current = None
                ending = answer.end()
                if is_current:
                    self._tell("delta", turn=len(self.turns) - 1, **ending)
        finally:
            if is_current:
                self._set("value", _sendable(turn.text))
                self._set("busy", False)
                self._renew_copy_soon()
            ended.set_result(None)

    def _set(self, name: str, value: object) -> None:
        """Set a trait; what its observers raise is theirs, and stops nothing here."""
        try:
            setattr(self, name, value)
        except Exception:
            _logger.exception("An observer of the chat's %s failed", name)

    def _cut(self, first: int) -> None:
        for turn in self.turns[first:]:
            self._answers.pop(id(turn), None)
            self._requests.pop(id(turn), None)
        del self.turns[first:]

    # --- Pages ----------------------------------------------------------------------------------

    def _transcript(self, first: int) -> dict[str, Any]:
        """Return the turns from `first` on, as pages know them after the last message."""
        with self._lock:
            turns = [self._known(turn) for turn in self.turns[first:]]
            return {"seq": self._sequence, "first": first, "turns": turns}

    def _known(self, turn: Turn) -> dict[str, Any]:
        if turn.role == "agent":
            return self._answers[id(turn)].known()
        text = strip_controls(turn.text)
        return {"role": "user", "text": text, "request": self._requests[id(turn)]}

    def _show(self, first: int) -> None:
        """Send the turns from `first` on."""
        transcript = self._transcript(first)
        del transcript["seq"]
        self._tell("turns", **transcript)
        self._renew_copy_soon()

    def _tell(self, kind: str, **content: Any) -> None:
        """Send a numbered message to all pages."""
        with self._lock:
            self._sequence += 1
            self.send({"type": kind, "seq": self._sequence}, [_deflated(content)])

    def _received(self, _: Any, content: Any, __: Any) -> None:
        """Do what a page asks for."""
        content = content if isinstance(content, dict) else {}
        match content.get("type"):
            case "ask":
                self._ask_for_page(content)
            case "stop":
                self.stop()
            case "clear":
                self.clear()
            case "sync":
                if content.get("seq") != self._sequence:
                    self._show(0)
            case "export":
                self._tell("export", markdown=self.to_markdown(), cell=self.to_cell())

    def _ask_for_page(self, content: dict[str, Any]) -> None:
        at, request = content.get("at"), str(content.get("request", ""))
        try:
            self._start(
                content.get("text", ""), at=at if isinstance(at, int) else None, request=request
            )
        except Exception as error:  # noqa: BLE001 - shown in the chat, where the question was asked
            self._tell("refused", request=request, text=describe(error))

    # --- Viewers without a kernel ---------------------------------------------------------------

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Return the live view, and the conversation so far for viewers that have no kernel."""
        made = super()._repr_mimebundle_(**options)
        data, *rest = made if isinstance(made, tuple) else (made,)
        if data is None:
            return made
        data = {**data, **self._static()}
        return (data, *rest) if rest else data

    def _ipython_display_(self) -> None:
        """Display the live view, and below it, hidden by it, a copy that grows with the chat.

        The output of a widget holds what the chat was when it was displayed. To update it would
        make another view of it each time, so the copy is an output of its own.
        """
        if self.comm is None:  # closed
            display(self._static(), raw=True)
            return
        made: Any = super()._repr_mimebundle_()
        data, metadata = made if isinstance(made, tuple) else (made, {})
        name = uuid.uuid4().hex
        display({**data, "text/html": ""}, metadata=metadata, raw=True)
        display(self._static(is_below=True), raw=True, display_id=name)
        # The kernel finds the cell of an output by the context that displays it.
        self._displayed.append((name, contextvars.copy_context()))

    def _static(self, *, is_below: bool = False) -> dict[str, str]:
        """Return the conversation as safe HTML and as text, to stand below its live view or not."""
        with self._lock:
            turns = [
                html.question(turn.text) if turn.role == "user" else self._answers[id(turn)].html()
                for turn in self.turns
            ]
        names = (self._copy, "below") if is_below else (self._copy,)
        return {
            "text/html": html.saved_chat(html.status_line(self.title), "".join(turns), *names),
            "text/plain": strip_controls(self.to_markdown()),
        }

    def _renew_copy_soon(self) -> None:
        """Renew the displayed copies, once the conversation has been left alone for a moment."""
        if self._displayed:
            background().call_soon_threadsafe(self._schedule_renewal)

    def _schedule_renewal(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
        with self._lock:
            size = sum(len(answer.turn.text) for answer in self._answers.values())
        delay = max(COPY_DELAY, size * len(self._displayed) / COPY_BYTES_PER_SECOND)
        self._renewal = background().call_later(delay, self._renew_copies)

    def _renew_copies(self) -> None:
        if self._current is not None:
            return  # its end renews them
        bundle = self._static(is_below=True)
        for name, context in list(self._displayed):
            context.run(update_display, bundle, raw=True, display_id=name)


def chat(agent: str | RunAgentClient | AsyncRunAgentClient, **options: Any) -> AgentWidget:
    """Return a chat with an agent; the arguments are `AgentWidget`'s."""
    return AgentWidget(agent, **options)


def _deflated(content: dict[str, Any]) -> bytes:
    """Return JSON, deflated: HTML shrinks to a fraction, and servers limit the bytes per second."""
    return zlib.compress(json.dumps(content, ensure_ascii=False).encode("utf-8", "replace"))


def _sendable(text: str) -> str:
    """Return a text without lone surrogates, which no message can carry."""
    return text.encode("utf-8", "replace").decode()


def _is_background() -> bool:
    try:
        return asyncio.get_running_loop() is background()
    except RuntimeError:
        return False


def _default_base_url(agent_id: str) -> str | None:
    """Return the base URL that a client of an agent has by itself."""
    try:
        return AsyncRunAgentClient(agent_id, api_key="none").base_url
    except RunAgentError:
        return None


def _client(agent: Any, options: dict[str, Any]) -> AsyncRunAgentClient:
    known = inspect.signature(AsyncRunAgentClient).parameters.keys() - {"agent_id"}
    own = inspect.signature(AgentWidget.__init__).parameters.keys()
    for name in options.keys() - known:
        near = difflib.get_close_matches(name, [*known, *own], 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise TypeError(f"AgentWidget has no option {name!r}{hint}")
    if isinstance(agent, str):
        return AsyncRunAgentClient(agent, **options)
    if isinstance(agent, AsyncRunAgentClient):
        return agent.with_options(**options) if options else agent
    if isinstance(agent, RunAgentClient):
        return AsyncRunAgentClient(**{**agent.resolved_arguments(), **options})
    raise TypeError(f"agent is a {type(agent).__name__}; give an agent's id, or a RunAgentClient.")
