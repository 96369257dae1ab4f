"""A chat that can be saved, loaded, and kept in a file from one kernel to the next."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import ipywidgets
from typing_extensions import Self

from runagent import RunAgentError
from runagent_jupyter.chats import chat_file
from runagent_jupyter.chats.agents import AgentOrClient, Agents
from runagent_jupyter.chats.answer_view import describe
from runagent_jupyter.chats.attached import Attached, forget_oldest
from runagent_jupyter.chats.chat_file import ChatFile, KeptChat, PathLike
from runagent_jupyter.chats.conversation import Conversation, Exchange
from runagent_jupyter.chats.saved_copies import SavedCopies
from runagent_jupyter.chats.turn import Turn
from runagent_jupyter.chats.turn_records import row_of
from runagent_jupyter.control_characters import sendable
from runagent_jupyter.data.frames import frame_of

if TYPE_CHECKING:
    import pandas as pd

C = TypeVar("C", bound="KeptInFile")


class KeptInFile(ipywidgets.Widget):  # type: ignore[misc, name-defined] # untyped
    """The files of a chat."""

    title: Any
    value: Any
    client: Any
    turns: list[Turn]
    session_id: Any
    agent: Any
    _agents: Agents
    _copies: SavedCopies
    _lock: threading.RLock
    _conversation: Conversation
    _file: ChatFile | None = None
    _unwritten: RunAgentError | None = None
    """Why the file has not the last turn; it is raised where the chat was asked."""

    @classmethod
    def load(
        cls,
        path: PathLike,
        agent: AgentOrClient | Sequence[AgentOrClient] | Mapping[str, AgentOrClient] | None = None,
        **options: Any,
    ) -> Self:
        """Return a chat that goes on with a saved conversation, without keeping the file.

        Args:
            path: A file of `save` or `store=`.
            agent: As for `AgentWidget`. Default: the agents of the saved chat.
            **options: As for `AgentWidget`. By default, the title and the sessions are the saved
                ones. A file has no key and no address of a server, and of attachments no content.

        Raises:
            ValidationError: There is no such file, or it holds no chat, or was written by a newer
                version.
            RunAgentError: As for `AgentWidget`.

        Example:
            >>> chat = AgentWidget("shout")
            >>> answer = chat.ask("Hello")
            >>> chat.save("talk.json")
            >>> [turn.text for turn in AgentWidget.load("talk.json").turns]
            ['Hello', 'HELLO']
        """
        kept = chat_file.read(path)
        if agent is None:
            agent = kept.agents or kept.agent_id
        chat = cls(agent, **{"title": kept.title, **options})
        chat._restore(kept, session_too="session_id" not in options)
        chat.agent = chat._agents.chosen
        chat.value = chat._last_text()
        chat._show(0)
        return chat

    def save(self, path: PathLike) -> None:
        """Write the conversation to a file, from which `AgentWidget.load` makes a chat again.

        The file is JSON, without a key, and only its owner can read it. It takes the place of an
        older chat in that file, but of nothing else.

        Raises:
            ValidationError: Another chat is kept in that file, or it holds something else.
            RunAgentError: It cannot be written; what was there before is still there.

        Example:
            >>> AgentWidget("shout", title="Capitals").save("talk.json")
            >>> AgentWidget.load("talk.json").title
            'Capitals'
        """
        with self._lock:
            kept = self._kept()
            if self._file is not None and self._file.is_at(path):
                self._file.write(kept)
            else:
                chat_file.save(path, kept)

    def to_frame(self, *, branches: bool = False) -> pd.DataFrame:
        """Return the conversation as a table.

        Args:
            branches: Whether to include the turns of the other branches. Each turn has one row
                then, in the order in which they were asked, and a column `shown` says whether it
                is in `turns`. Default: the rows are those of `turns`.

        Returns:
            A pandas DataFrame with a row for each turn: `role`, `text`, `status`, `input_tokens`,
            `output_tokens`, `total_tokens`, `cost`, `elapsed` and `execution_time` in seconds,
            `request_id`, `feedback`, `error`, the label of the `agent` where there are several, and
            the names of `attachments`. The agent's id and the session are in its `attrs`.

        Raises:
            ModuleNotFoundError: pandas is not installed.

        Example:
            >>> chat = AgentWidget("shout")
            >>> answer = chat.ask("Hello")
            >>> chat.to_frame()[["role", "text", "status"]]
                role   text status
            0   user  Hello   done
            1  agent  HELLO   done
        """
        columns = list(row_of(Turn("user")))
        with self._lock:
            turns = list(self.turns)
            rows = [row_of(turn) for turn in turns]
            if branches:
                columns.insert(0, "shown")
                shown = {id(turn) for turn in turns}
                everything = self._conversation.all_turns()
                rows = [{"shown": id(turn) in shown, **row_of(turn)} for turn in everything]
        facts = {"agent_id": self.client.agent_id, "session_id": self.session_id}
        return frame_of(rows, facts, columns=columns)

    def _show(self, first: int) -> None:
        """Send the turns from `first` on to the pages."""
        raise NotImplementedError

    def _is_resting(self) -> bool:
        """Whether no answer is on its way."""
        raise NotImplementedError

    def _keep_in(self, path: PathLike, *, session_too: bool) -> None:
        """Go on with the conversation in a file, and keep it there."""
        self._file = ChatFile(path, self._is_resting)
        if self._file.found is not None:
            self._restore(self._file.found, session_too=session_too)

    def _restore(self, kept: KeptChat, *, session_too: bool) -> None:
        self._conversation.restore(kept.turns, kept.after, kept.shown)
        self._copies.renew_soon()  # at the end of this cell, all answers are rendered
        agents = self._agents
        if kept.chosen in agents.clients:
            agents.chosen = kept.chosen
        if session_too and kept.sessions:
            agents.sessions.update((k, v) for k, v in kept.sessions.items() if k in agents.sessions)
        elif session_too:
            self.session_id = kept.session_id

    def _last_text(self) -> str:
        return sendable(self.turns[-1].text) if self.turns else ""

    def _kept(self) -> KeptChat:
        turns = self._conversation.all_turns()
        places = self._conversation.places()
        kept = KeptChat(self.client.agent_id, self.title, self.session_id, turns, *places)
        if self._agents.is_choice:
            kept.agents, kept.sessions = self._agents.ids(), dict(self._agents.sessions)
            kept.chosen = self._agents.chosen
        return kept

    def _add(
        self,
        question: str,
        request: str,
        instead_of: Exchange | None,
        items: Sequence[Attached],
        label: str,
    ) -> tuple[Exchange, int]:
        """Add a question to the conversation and to the file, before it is sent.

        Args:
            question: The question.
            request: The page's id of the question, if a page asked it.
            instead_of: The exchange beside which it begins a branch.
            items: What goes along with it.
            label: The label of the agent that is asked.

        Returns:
            What `Conversation.add` returns.

        Raises:
            RunAgentError: It cannot be written, so that it should not be sent; nothing has changed.
        """
        agent = label if self._agents.is_choice else None
        exchange, first = self._conversation.add(question, request, instead_of, items, agent)
        if self._file is not None:
            try:
                self._file.write(self._kept())
            except BaseException:
                self._conversation.take_back()
                raise
        forget_oldest(item for turn in self._conversation.all_turns() for item in turn.attachments)
        return exchange, first

    def _write(self) -> None:
        """Write all turns. If that fails, the pages say so, and so does `_check_written`."""
        if self._file is None:
            return
        try:
            self._file.write(self._kept())
        except RunAgentError as error:
            self._unwritten = error
            self._tell("note", text=describe(error))

    def _let_go(self) -> None:
        """Leave the file to other chats."""
        if self._file is not None:
            self._file.close()

    def _check_written(self) -> None:
        """Raise the error of the last writing, if it failed."""
        error, self._unwritten = self._unwritten, None
        if error is not None:
            raise error
