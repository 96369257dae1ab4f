"""The chat widget: asks for its pages and for cells, and tells its pages the news."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import inspect
import json
import pathlib
import threading
import uuid
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import anywidget
import traitlets

from runagent import AsyncRunAgentClient, RunAgentClient, RunAgentError
from runagent_jupyter import html
from runagent_jupyter.chats.agents import AgentOrClient, Agents
from runagent_jupyter.chats.answer_view import AnswerView, beginning
from runagent_jupyter.chats.asking import AnswerUnderWayError, AskingChat
from runagent_jupyter.chats.attached import BOUNDS, Attached, attached
from runagent_jupyter.chats.branched import BranchedChat
from runagent_jupyter.chats.cell_source import cell_source
from runagent_jupyter.chats.chat_file import PathLike
from runagent_jupyter.chats.client import chat_client
from runagent_jupyter.chats.conversation import Conversation, Exchange
from runagent_jupyter.chats.from_pages import AskedFromPages
from runagent_jupyter.chats.kept import KeptInFile
from runagent_jupyter.chats.page_script import joined
from runagent_jupyter.chats.rated import RatedChat
from runagent_jupyter.chats.shown import ShownChat
from runagent_jupyter.chats.subshell_comm import SubshellComm
from runagent_jupyter.chats.turn import Turn
from runagent_jupyter.chats.uploads import Uploads
from runagent_jupyter.control_characters import sendable, strip_controls
from runagent_jupyter.event_loops import background, is_background
from runagent_jupyter.interrupts import TICK, noted
from runagent_jupyter.marimo_value import MarimoValue
from runagent_jupyter.request import Request

_STATIC = pathlib.Path(__file__).parent / "static"


class AgentWidget(
    MarimoValue,
    SubshellComm,
    AskingChat,
    AskedFromPages,
    KeptInFile,
    BranchedChat,
    RatedChat,
    ShownChat,
    anywidget.AnyWidget,
):
    """A chat with an agent. Answers stream beside the kernel, which stays free for cells.

    >>> chat = AgentWidget("demo", suggestions=["What can you do?"], context={"rows": [1, 2]})
    >>> chat.ask("What can you do?").text.splitlines()[0]
    '# Hello from the demo agent'

    Args:
        agent: An agent's id, or a client. With a list of them, or a dictionary that gives each a
            label, the reader picks one for each question; the first is picked at the beginning.
            They see one conversation, if `history` goes along, and have a session each.
        title: Shown above the chat. Default: the agent's id, or all labels.
        placeholder: Shown in the empty input.
        suggestions: Questions to begin with, as buttons.
        height: The greatest height of the conversation, in pixels; beyond it, it scrolls.
        context: Fields that go along with every question, such as `{"df": df}`, as they are then.
        field: The field that carries the question.
        history: Whether the turns so far go along, as `history`: a list of `role` and `text`,
            with the names of `attachments`, and the label of the `agent` where there are several.
        entrypoint: A streaming entrypoint under `runagent serve`. Default: the usual one.
        format: `"markdown"`, or `"wrapped"` for Markdown in which the end of a line is a space.
        session_id: Goes along with every question, so that the agent knows the conversation.
            Default: a new one for each agent, which is left out if the agent refuses it.
        store: A file in which the conversation is kept. If it is there already, the chat goes on
            with it, after a restart of the kernel too. Each question is written before it is sent
            and each answer when it has ended. The file is JSON, without a key, and only its owner
            can read it; one kernel at a time can use it. Default: none.
        on_feedback: Called with an answer when the reader has said that it is good or bad, or has
            taken that back; its `feedback`, which `turns` keep in any case, is then `"up"`,
            `"down"` or `None`. An exception is logged. Default: none.
        **client_options: Options of the client, such as `base_url`.

    Attributes:
        turns: The conversation, a list of `Turn`; to be read, not changed. A question that was
            edited or asked again begins a branch: `turns` is the one that is shown, `branches` has
            the others.
        context: The fields that go along with the next questions; it may be changed.

    The trait `agent` is the label of the agent that is asked next: its id, unless a dictionary has
    given it another one. It may be set. Two more traits can be observed: `busy`, whether an answer
    is on its way, and `value`, the text of the last answer that has ended. Observers run on the
    thread that reads the streams, so they should return quickly. The text comes from the agent:
    show it with `Textarea` or `Label`, never as `HTML`. To write into an `Output` from an observer,
    use its `append_stdout`, because text that is printed there belongs to no cell.

    Raises:
        TypeError: An option or the format is unknown, an agent is neither an id nor a client, or
            the suggestions are not a list of strings.
        ValueError: The list of agents is empty, or has the same label twice.
        ValidationError: The file of `store` is in use, damaged, another's or of a newer version.
        RunAgentError: The client refuses its settings, the context cannot be sent, or there can be
            no file at the path of `store`.
    """

    _esm = _STATIC / "widget.js"
    _css = _STATIC / "widget.css"

    title = traitlets.Unicode().tag(sync=True)
    placeholder = traitlets.Unicode().tag(sync=True)
    suggestions = traitlets.List(traitlets.Unicode()).tag(sync=True)
    height = traitlets.Int(min=80).tag(sync=True)
    agent = traitlets.Unicode().tag(sync=True)
    busy = traitlets.Bool(False).tag(sync=True)
    value = traitlets.Unicode().tag(sync=True, to_json=lambda text, _: beginning(text))
    # It is made when a page asks for the state, and so costs nothing while an answer streams.
    _snapshot = traitlets.Dict().tag(
        sync=True,
        to_json=lambda _, widget: {"deflated": _deflated(widget._transcript(0))},  # noqa: SLF001 - its own
        from_json=lambda _, __: {},
    )
    _markdown_css = traitlets.Unicode().tag(sync=True)
    _copy = traitlets.Unicode().tag(sync=True)
    _sum = traitlets.Unicode().tag(sync=True)
    _labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    _bounds = traitlets.List(BOUNDS).tag(sync=True)
    description = ""  # `interactive` of ipywidgets 7 wants every widget to have one
    _current: Request | None = None  # `close` needs it, also if the constructor failed

    def __init__(
        self,
        agent: AgentOrClient | Sequence[AgentOrClient] | Mapping[str, AgentOrClient],
        *,
        title: str | None = None,
        placeholder: str = "Ask the agent…",
        suggestions: Sequence[str] = (),
        height: int = 480,
        context: Mapping[str, Any] | None = None,
        field: str = "query",
        history: bool = False,
        entrypoint: str | None = None,
        format: str = "markdown",  # noqa: A002  # the name of the option of the magic
        session_id: str | None = None,
        store: PathLike | None = None,
        on_feedback: Callable[[Turn], object] | None = None,
        **client_options: Any,
    ) -> None:
        if isinstance(suggestions, str) or not all(isinstance(s, str) for s in suggestions):
            raise TypeError(f"suggestions is {suggestions!r}; give a list of questions.")
        for name, text in {"title": title or "", "placeholder": placeholder}.items():
            if not isinstance(text, str):
                raise TypeError(f"{name} is {text!r}; give a string.")
        if format not in {"markdown", "wrapped"}:
            raise TypeError(f'format is {format!r}; give "markdown" or "wrapped".')
        arguments = inspect.signature(AgentWidget.__init__).parameters
        self._agents = Agents(agent, client_options, arguments, session_id)
        self._conversation = Conversation(line_breaks=format == "markdown")
        self.turns: list[Turn] = self._conversation.turns
        self.context: Mapping[str, Any] | None = dict(context or {})
        self._needs_session = session_id is not None
        self._field = field
        self._history = history
        self._entrypoint = entrypoint
        self._on_feedback = on_feedback
        self._lock = threading.RLock()
        self._sequence = 0
        self._uploads = Uploads()
        self._waiting: dict[str, dict[str, Any]] = {}
        self._keep_copies()
        # This sends nothing, but raises if the context cannot be sent.
        self._stream(self.client, self.session_id, self._input("?", []))
        if store is not None:
            self._keep_in(store, session_too=session_id is None)
        super().__init__(
            title=strip_controls(", ".join(self._agents.clients) if title is None else title),
            agent=self._agents.chosen,
            _labels=list(self._agents.clients),
            placeholder=sendable(placeholder),
            suggestions=[sendable(suggestion) for suggestion in suggestions],
            height=height,
            value=self._last_text(),
            _sum=self._conversation.sum(),
            _markdown_css=html.css(),
            _copy=uuid.uuid4().hex,
            _esm=str(self._esm),
            _css=html.compact(str(self._css)),
        )
        self.on_msg(self._received)

    @traitlets.validate("_esm")
    def _join_script(self, proposal: Any) -> str:
        """Join the script at first, and whenever hot reloading sets it."""
        return joined(proposal["value"])

    @traitlets.validate("agent")
    def _choose(self, proposal: Any) -> str:
        """Ask another agent from now on."""
        return self._agents.choose(proposal["value"])

    @property
    def client(self) -> AsyncRunAgentClient:
        """The client of the agent that is asked next; assign one with a new key, for example."""
        return self._agents.client

    @client.setter
    def client(self, client: RunAgentClient | AsyncRunAgentClient) -> None:
        self._agents.clients[self._agents.chosen] = chat_client(client, {}, ())

    @property
    def session_id(self) -> str | None:
        """The session with the agent that is asked next; `None` for none. It may be set."""
        return self._agents.sessions[self._agents.chosen]

    @session_id.setter
    def session_id(self, session_id: str | None) -> None:
        self._agents.sessions[self._agents.chosen] = session_id

    def ask(
        self,
        question: str,
        attach: Sequence[Any] | Mapping[str, Any] = (),
        *,
        instead_of: Turn | None = None,
    ) -> Turn:
        """Ask, and wait for the end of the answer; the view streams it meanwhile.

        Interrupting the kernel stops the answer.

        >>> AgentWidget("shout").ask("Hello").text
        'HELLO'

        Args:
            question: The question.
            attach: What goes along with this question alone, as the field `attachments`: a list,
                or a dictionary with a name for each. Paths of files, bytes, matplotlib figures
                and PIL images are sent as `{"name": ..., "mime": ..., "data": base64}`, tables and
                other values as `{"name": ..., "value": ...}`. Each has at most 20 MB, all of them
                40 MB. Default: nothing.
            instead_of: A question of the chat, or the answer to it. The new question begins a
                branch beside it: with `history=True`, only the turns before it go along. The
                session is the same, so an agent that remembers it knows the other branches too.
                Default: the question follows the last of `turns`.

        Returns:
            The answer. A failure is in its `error`.

        Raises:
            KeyboardInterrupt: The kernel was interrupted.
            RuntimeError: An answer is on its way, or an observer of the chat calls this.
            TypeError: `attach` is neither a list nor a dictionary.
            ValueError: The question is empty, or `instead_of` is no turn of this chat.
            ValidationError: The context or something in `attach` cannot be sent.
            RunAgentError: The file of `store` cannot be written: nothing was sent, or, if the
                answer has come, it is in `turns`.
        """
        if is_background("chats"):
            raise RuntimeError("ask() would wait for itself here; use `await ask_async()`.")
        with noted() as interrupts:
            answer, ended = self._start(question, attached(attach), self._place(instead_of))
            while not (ended.done() or interrupts.came):
                concurrent.futures.wait([ended], TICK)
        if interrupts.came:
            self.stop()
            raise KeyboardInterrupt
        self._check_written()
        return answer

    async def ask_async(
        self,
        question: str,
        attach: Sequence[Any] | Mapping[str, Any] = (),
        *,
        instead_of: Turn | None = None,
    ) -> Turn:
        """Do what `ask` does, without blocking the event loop.

        >>> (await AgentWidget("shout").ask_async("Hello")).text
        'HELLO'
        """
        answer, ended = self._start(question, attached(attach), self._place(instead_of))
        waiting = asyncio.wrap_future(ended)
        try:
            # A loop that waits for other threads only would not notice an interrupt.
            while not waiting.done():
                await asyncio.wait([waiting], timeout=TICK)
        except asyncio.CancelledError:
            self.stop()
            raise
        self._check_written()
        return answer

    def stop(self) -> None:
        """Stop the answer that is on its way, if there is one; the text so far stays.

        >>> AgentWidget("demo").stop()  # there is none
        """
        request = self._current
        if request is not None:
            request.stop()

    def clear(self) -> None:
        """Forget the conversation and begin a new session; an answer on its way is stopped.

        >>> AgentWidget("demo", store="talk.json").clear()  # the file is empty then, too
        """
        with self._lock:
            self.stop()
            self._current = None
            self._conversation.clear()
            self._agents.begin_sessions()
            self._write()
            self._show(0)
        self._set("busy", False)
        self._check_written()

    def close(self) -> None:
        """Stop the answer that is on its way, and remove the chat from every page.

        >>> AgentWidget("demo", store="talk.json").close()  # another chat may have the file
        """
        self.stop()
        if self._is_resting():
            self._let_go()
        super().close()

    def to_markdown(self) -> str:
        """Return the conversation as Markdown; where it has branches, it says which one this is.

        >>> print(AgentWidget("demo", title="A new chat").to_markdown().strip())
        # A new chat
        """
        with self._lock:
            turns = list(self._conversation.markdown())
        return "\n\n".join([f"# {self.title}", *turns]) + "\n"

    def to_cell(self) -> str:
        """Return the source of a cell that asks the last question again, with the magic.

        The context is in it as far as it can be written as JSON, and the variables that a page
        has sent along; files that were attached are not, and a key never is.

        >>> AgentWidget("demo").to_cell().splitlines()
        ['%%runagent demo --text --no-template', 'Your question']
        """
        asked = [turn for turn in list(self.turns) if turn.role == "user"]
        last = asked[-1] if asked else Turn("user", "Your question")
        return cell_source(
            self.client,
            last.text,
            field=self._field,
            entrypoint=self._entrypoint,
            context=self.context or {},
            variables=[item.name for item in last.attachments if item.is_variable],
        )

    def _start(
        self,
        question: str,
        items: Sequence[Attached] = (),
        instead_of: Exchange | None = None,
        request: str = "",
    ) -> tuple[Turn, concurrent.futures.Future[None]]:
        """Ask; return the answer, and a future that is done when the answer has ended.

        The question begins a branch beside `instead_of`. `request` is the id of a page's question.
        """
        if not isinstance(question, str):
            raise TypeError(f"The question is a {type(question).__name__}; it takes a string.")
        if not question.strip():
            raise ValueError("The question is empty; it takes a string that says something.")
        with self._lock:
            if self._current is not None:
                raise AnswerUnderWayError
            label, client = self._agents.chosen, self.client
            data = self._input(question, self._conversation.history(instead_of), items)
            stream = self._stream(client, self.session_id, data)
            ask = functools.partial(self._stream, client, data=data)
            exchange, first = self._add(question, request, instead_of, items, label)
            view = exchange.view
            self._current = Request(
                functools.partial(self._run, stream, ask, view, label),
                view.turn,
                background("chats"),
                agent_id=client.agent_id,
                # It may have been cleared before it starts.
                at_start=lambda started: self._set("busy", self._current is started),
                at_end=functools.partial(self._end, view),
            )
            self._show(first)
            self._current.start()
            return view.turn, self._current.ended

    def _is_resting(self) -> bool:
        return self._current is None

    def _is_shown(self, turn: Turn) -> bool:
        """Whether an answer is on its way and was not cleared meanwhile."""
        return self._current is not None and self._current.answer is turn

    def _end(self, view: AnswerView, request: Request) -> None:
        is_shown = False
        try:
            with self._lock:
                is_shown = self._current is request
                if is_shown:
                    self._current = None
                ending = view.end()
                if is_shown:
                    self._write()
                    if self.comm is None:  # closed meanwhile
                        self._let_go()
                    self._tell("delta", turn=len(self.turns) - 1, **ending)
        finally:
            if is_shown:
                self._set("_sum", self._conversation.sum())
                self._set("value", sendable(view.turn.text))
                self._set("busy", False)
                self._copies.renew_soon()

    def _transcript(self, first: int) -> dict[str, Any]:
        """Return the turns from `first` on, as pages have them after the last message."""
        with self._lock:
            turns = self._conversation.known(first)
            return {"seq": self._sequence, "first": first, "turns": turns}

    def _show(self, first: int) -> None:
        """Send the turns from `first` on."""
        transcript = self._transcript(first)
        del transcript["seq"]
        self._tell("turns", **transcript)
        self._set("_sum", self._conversation.sum())
        self._copies.renew_soon()
        asyncio.run_coroutine_threadsafe(self._catch_up_beside(), background("chats"))

    def _tell(self, kind: str, **content: Any) -> None:
        """Send a numbered message to all pages."""
        with self._lock:
            self._sequence += 1
            self.send({"type": kind, "seq": self._sequence}, [_deflated(content)])

    def _received(self, _: Any, content: Any, buffers: Any) -> None:
        """Carry out a page's message."""
        content = content if isinstance(content, dict) else {}
        match content.get("type"):
            case "ask":
                self._ask_for_page(content)
            case "piece":
                self._take_piece(content, buffers)
            case "choose":
                with suppress(traitlets.TraitError):
                    self.agent = str(content.get("agent"))
            case "names":
                self._name_variables(content)
            case "stop":
                self.stop()
            case "clear":
                with suppress(RunAgentError):  # the pages have a note of it
                    self.clear()
            case "sync":
                self._bring_up_to_date(content.get("seq"))
            case "feedback":
                self._rate(content.get("at"), content.get("value"))
            case "branch":
                with suppress(RuntimeError):  # an answer began meanwhile
                    self._show_numbered(content.get("at"))
            case "export":
                self._tell("export", markdown=self.to_markdown(), cell=self.to_cell())
                if any(turn.attachments for turn in self.turns):
                    self._tell("note", text="Attachments are exported by name, without content.")

    def _bring_up_to_date(self, known: object) -> None:
        """Answer a page that may have missed something; without an answer, it asks again."""
        with self._lock:
            if known == self._sequence:
                self.send({"type": "current", "seq": known}, [_deflated({})])
                asyncio.run_coroutine_threadsafe(self._catch_up_beside(), background("chats"))
            else:
                self._show(0)


def chat(
    agent: AgentOrClient | Sequence[AgentOrClient] | Mapping[str, AgentOrClient], **options: Any
) -> AgentWidget:
    """Return a chat with an agent; the arguments are those of `AgentWidget`.

    >>> talk = chat("demo", title="My chat")
    """
    return AgentWidget(agent, **options)


def _deflated(content: dict[str, Any]) -> bytes:
    """Return deflated JSON: it is a fraction of the size, and servers limit bytes per second."""
    return zlib.compress(json.dumps(content, ensure_ascii=False).encode("utf-8", "replace"))
