"""A chat with an agent, inside the notebook."""

from __future__ import annotations

import asyncio
import concurrent.futures
import difflib
import inspect
import json
import pathlib
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anywidget
import traitlets

from runagent import AsyncRunAgentClient, RunAgentClient, RunAgentError, StreamEvent
from runagent_jupyter import markdown
from runagent_jupyter.loops import background

INTERVAL = 0.05
"""Seconds between two messages to the page while an answer streams."""

_STATIC = pathlib.Path(__file__).parent / "static"


@dataclass
class Turn:
    """A question, or an answer as far as it came.

    Attributes:
        role: `"user"` or `"agent"`.
        text: What was said.
        events: The events of the answer's stream, in order.
        error: What the answer ended with, if it failed.
        usage: Token counts by name, empty if the server sent none.
        execution_time: Seconds the agent took, as the server measured them.
        elapsed: Seconds from the question to the end of the answer.
        status: `"done"`, `"streaming"`, `"stopped"` or `"error"`.
    """

    role: str
    text: str = ""
    events: list[StreamEvent] = field(default_factory=list, repr=False)
    error: RunAgentError | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    execution_time: float | None = None
    elapsed: float = 0.0
    status: str = "done"
    _stream: markdown.MarkdownStream = field(
        default_factory=markdown.MarkdownStream, repr=False, compare=False
    )
    _steps: list[str] = field(default_factory=list, repr=False, compare=False)

    def _shown(self) -> dict[str, Any]:
        """Return what the page shows of it: agent text only as HTML of the markdown room."""
        if self.role == "user":
            return {"role": "user", "text": self.text}
        return {
            "role": "agent",
            "blocks": list(self._stream.blocks),
            "tail": self._stream.tail(),
            "steps": list(self._steps),
            "status": self.status,
            "error": _message(self.error),
        }


class AgentWidget(anywidget.AnyWidget):
    """A chat with one agent. Streams run beside the kernel, which stays free for cells.

    Args:
        agent: An agent's id, or a client.
        title: Shown above the chat. Default: the agent's id.
        placeholder: Shown in the empty input.
        suggestions: Questions to begin with, as buttons.
        height: Of the transcript at most, in pixels.
        context: Fields that go along with every question.
        field: The field that carries the question.
        history: Whether the turns so far go along, as `history`.
        **client_options: The client's, such as `base_url`.

    Raises:
        TypeError: An unknown option, or an agent that is neither an id nor a client.
        RunAgentError: The client refuses its settings.
    """

    _esm = _STATIC / "widget.js"
    _css = markdown.css() + (_STATIC / "widget.css").read_text("utf-8")

    title = traitlets.Unicode().tag(sync=True)
    placeholder = traitlets.Unicode("Ask the agent…").tag(sync=True)
    suggestions = traitlets.List(traitlets.Unicode()).tag(sync=True)
    height = traitlets.Int(480, min=80).tag(sync=True)
    busy = traitlets.Bool(False).tag(sync=True)
    """Whether an answer is on its way."""
    value = traitlets.Unicode().tag(sync=False)
    """The last answer's text, set when it ends."""
    # Made when a page asks for the state, so that it costs nothing while an answer streams.
    _snapshot = traitlets.Dict().tag(
        sync=True,
        to_json=lambda _, widget: widget._transcript(),  # noqa: SLF001 - its own
        from_json=lambda _, __: {},
    )

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
        **client_options: Any,
    ) -> None:
        self.client = _client(agent, client_options)
        self.turns: list[Turn] = []
        self.context = dict(context or {})
        self.session_id = uuid.uuid4().hex
        self._field = field
        self._history = history
        self._lock = threading.RLock()
        self._sequence = 0
        self._running: concurrent.futures.Future[None] | None = None
        super().__init__(
            title=markdown.strip_controls(self.client.agent_id if title is None else title),
            placeholder=placeholder,
            suggestions=list(suggestions),
            height=height,
        )
        self.on_msg(self._received)

    def ask(self, question: str) -> Turn:
        """Ask, and wait for the end of the answer; the view streams it meanwhile.

        Returns:
            The answer. A failure is in its `error`.

        Raises:
            RuntimeError: An answer is on its way.
            ValueError: The question is empty.
            ValidationError: The context cannot be sent.
        """
        answer, running = self._start(question)
        try:
            concurrent.futures.wait([running])
        except KeyboardInterrupt:
            self.stop()
            raise
        return answer

    async def ask_async(self, question: str) -> Turn:
        """Do what `ask` does, without blocking the event loop."""
        answer, running = self._start(question)
        try:
            await asyncio.wait([asyncio.wrap_future(running)])
        except asyncio.CancelledError:
            self.stop()
            raise
        return answer

    def stop(self) -> None:
        """Stop the answer that is on its way, if any; what came of it stays."""
        if self._running is not None:
            self._running.cancel()

    def clear(self) -> None:
        """Forget the conversation and begin a new session."""
        self.stop()
        with self._lock:
            self.turns.clear()
            self.session_id = uuid.uuid4().hex
            self._show_all()

    def to_markdown(self) -> str:
        """Return the conversation as Markdown."""
        parts = [f"# {self.title}"]
        for turn in self.turns:
            if turn.role == "user":
                parts.append("\n".join(f"> {line}" for line in turn.text.splitlines()))
            else:
                parts.append(turn.text + (f"\n\n*{turn.status}*" if turn.status != "done" else ""))
        return "\n\n".join(parts) + "\n"

    def _start(self, question: str) -> tuple[Turn, concurrent.futures.Future[None]]:
        if not question.strip():
            raise ValueError("The question is empty; it takes a string that says something.")
        with self._lock:
            if self.busy:
                raise RuntimeError("An answer is on its way; wait for it, or call stop() first.")
            data = {**self.context, self._field: question, "session_id": self.session_id}
            if self._history:
                data["history"] = [{"role": t.role, "text": t.text} for t in self.turns]
            stream = self.client.stream_events(data)  # checks the input, sends nothing yet
            answer = Turn("agent", status="streaming")
            self.turns += [Turn("user", question), answer]
            self.busy = True
            self._show_all(last=2)
            # Not the task's own future: that is done once cancelled, before the clean-up.
            ended: concurrent.futures.Future[None] = concurrent.futures.Future()
            self._running = asyncio.run_coroutine_threadsafe(
                self._run(stream, answer, ended), background()
            )
        return answer, ended

    async def _run(self, stream: Any, answer: Turn, ended: concurrent.futures.Future[None]) -> None:
        began = time.monotonic()
        painter = asyncio.ensure_future(self._paint(answer))
        try:
            async with stream:
                async for event in stream:
                    with self._lock:
                        self._take(answer, event)
            answer.status = "done"
        except asyncio.CancelledError:
            answer.status = "stopped"
        except RunAgentError as error:
            answer.status, answer.error = "error", error
        except Exception as error:  # noqa: BLE001 - shown in the chat; nobody awaits the task
            answer.status = "error"
            answer.error = RunAgentError(f"{type(error).__name__}: {error}", code="INTERNAL_ERROR")
        finally:
            painter.cancel()
            answer.elapsed = time.monotonic() - began
            answer.usage = dict(stream.usage or {})
            answer.execution_time = stream.execution_time
            self._end(answer)
            ended.set_result(None)

    def _take(self, answer: Turn, event: StreamEvent) -> None:
        answer.events.append(event)
        if event.text is not None:
            answer.text += event.text
            answer._stream.feed(event.text)  # noqa: SLF001 - its own
        elif event.kind not in ("start", "done"):
            shown = json.dumps(event.value, ensure_ascii=False, indent=1, default=str)
            answer._steps.append(markdown.strip_controls(f"{event.kind}: {shown}"))  # noqa: SLF001

    async def _paint(self, answer: Turn) -> None:
        blocks = steps = 0
        seen = 0
        while True:
            await asyncio.sleep(INTERVAL)
            with self._lock:
                if len(answer.events) == seen or answer not in self.turns:
                    continue
                seen = len(answer.events)
                shown = answer._shown()  # noqa: SLF001 - its own
                self._tell(
                    "delta",
                    blocks=shown["blocks"][blocks:],
                    tail=shown["tail"],
                    steps=shown["steps"][steps:],
                    at=[blocks, steps],
                )
                blocks, steps = len(shown["blocks"]), len(shown["steps"])

    def _end(self, answer: Turn) -> None:
        with self._lock:
            answer._stream.finish()  # noqa: SLF001 - its own
            self._running = None
            self.busy = False
            self.value = answer.text
            if answer in self.turns:
                self._show_all(last=1)

    def _transcript(self, last: int | None = None) -> dict[str, Any]:
        with self._lock:
            first = 0 if last is None else max(0, len(self.turns) - last)
            shown = [turn._shown() for turn in self.turns[first:]]  # noqa: SLF001 - its own
            return {"first": first, "turns": shown, "seq": self._sequence}

    def _show_all(self, last: int | None = None) -> None:
        self._tell("turns", **self._transcript(last))

    def _tell(self, kind: str, **content: Any) -> None:
        self._sequence += 1
        self.send({**content, "type": kind, "seq": self._sequence})

    def _received(self, _: Any, content: Any, __: Any) -> None:
        kind = content.get("type") if isinstance(content, dict) else None
        if kind == "ask" and not self.busy:
            if isinstance(at := content.get("at"), int):  # an edited or repeated question
                with self._lock:
                    del self.turns[at:]
                    self._show_all()
            try:
                self._start(str(content.get("text", "")))
            except (ValueError, RuntimeError, RunAgentError) as error:
                self._tell("refused", text=_message(error))
        elif kind == "stop":
            self.stop()
        elif kind == "clear":
            self.clear()
        elif kind == "sync":
            self._show_all()
        elif kind == "export":
            self._tell("export", text=self.to_markdown())

    def _repr_mimebundle_(self, **options: Any) -> Any:
        made = super()._repr_mimebundle_(**options)
        data, *rest = made if isinstance(made, tuple) else (made,)
        if data is None:
            return made
        parts = [
            markdown.plain(turn.text) if turn.role == "user" else turn._stream.html()  # noqa: SLF001
            for turn in self.turns
        ]
        html = markdown.wrap(f"<p>{markdown.escape(self.title)}</p>" + "<hr>".join(parts))
        text = markdown.strip_controls(self.to_markdown())
        data = {**data, "text/html": html, "text/plain": text}
        return (data, *rest) if rest else data


def chat(agent: str | RunAgentClient | AsyncRunAgentClient, **options: Any) -> AgentWidget:
    """Return a chat with an agent; the arguments are `AgentWidget`'s."""
    return AgentWidget(agent, **options)


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
        arguments = agent.__reduce__()[1][1]  # what pickle would make the same client from
        return AsyncRunAgentClient(**{**arguments, **options})
    raise TypeError(f"agent is a {type(agent).__name__}; give an agent's id, or a RunAgentClient.")


def _message(error: Exception | None) -> str:
    if error is None:
        return ""
    hint = getattr(error, "hint", None)
    return markdown.strip_controls(f"{error}\n{hint}" if hint else str(error))
