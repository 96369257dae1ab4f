"""A chat that can be saved, loaded, and kept in a file from one kernel to the next."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar

import ipywidgets
from typing_extensions import Self

from runagent import AsyncRunAgentClient, RunAgentClient, RunAgentError
from runagent_jupyter.chats import chat_file
from runagent_jupyter.chats.answer_view import describe
from runagent_jupyter.chats.chat_file import ChatFile, KeptChat, PathLike
from runagent_jupyter.chats.conversation import Conversation, Exchange
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
    session_id: str | None
    _lock: threading.RLock
    _conversation: Conversation
    _file: ChatFile | None = None
    _unwritten: RunAgentError | None = None
    """Why the file has not the last turn; it is raised where the chat was asked."""

    @classmethod
    def load(
        cls,
        path: PathLike,
        agent: str | RunAgentClient | AsyncRunAgentClient | None = None,
        **options: Any,
    ) -> Self:
        """Return a chat that goes on with a saved conversation, without keeping the file.

        Args:
            path: A file of `save` or `store=`.
            agent: The agent's id, or a client. Default: the id of the agent that was asked.
            **options: As for `AgentWidget`. By default, the title and the session are the saved
                ones. A file has no key and no address of a server.

        Raises:
            ValidationError: There is no such file, or it holds no chat, or was written by a newer
                version.
            RunAgentError: As for `AgentWidget`.
        """
        kept = chat_file.read(path)
        if agent is None:
            agent = kept.agent_id
        chat = cls(agent, **{"title": kept.title, **options})
        chat._restore(kept, session_too="session_id" not in options)
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
            `request_id`, `feedback` and `error`. The agent's id and the session are in its `attrs`.

        Raises:
            ModuleNotFoundError: pandas is not installed.
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
        if session_too:
            self.session_id = kept.session_id

    def _last_text(self) -> str:
        return sendable(self.turns[-1].text) if self.turns else ""

    def _kept(self) -> KeptChat:
        turns = self._conversation.all_turns()
        places = self._conversation.places()
        return KeptChat(self.client.agent_id, self.title, self.session_id, turns, *places)

    def _add(
        self, question: str, request: str, instead_of: Exchange | None
    ) -> tuple[Exchange, int]:
        """Add a question to the conversation and to the file, before it is sent.

        Returns:
            What `Conversation.add` returns.

        Raises:
            RunAgentError: It cannot be written, so that it should not be sent; nothing has changed.
        """
        shown = list(self.turns)
        exchange, first = self._conversation.add(question, request, instead_of)
        if self._file is not None:
            try:
                self._file.write(self._kept())
            except BaseException:
                self._conversation.take_back(exchange, shown)
                raise
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
