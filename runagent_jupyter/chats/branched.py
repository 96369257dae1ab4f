"""A chat whose conversation has branches, one of which is shown."""

from __future__ import annotations

import threading
from typing import Any

import ipywidgets

from runagent_jupyter.chats.asking import AnswerUnderWayError
from runagent_jupyter.chats.conversation import Conversation, Exchange
from runagent_jupyter.chats.turn import Turn


class BranchedChat(ipywidgets.Widget):  # type: ignore[misc, name-defined] # untyped
    """The branches of a chat."""

    turns: list[Turn]
    _conversation: Conversation
    _lock: threading.RLock
    _check_written: Any
    _is_resting: Any
    _show: Any
    _write: Any

    @property
    def branches(self) -> list[list[Turn]]:
        """The branches that are not shown.

        Returns:
            For each branch its turns from the beginning of the conversation, as `turns` has them
            when the branch is shown. A turn of several branches is the same object in all of them.

        Example:
            >>> chat = AgentWidget("shout")
            >>> first = chat.ask("Hello")
            >>> other = chat.ask("Good evening", instead_of=first)
            >>> [turn.text for turn in chat.branches[0]]
            ['Hello', 'HELLO']
        """
        with self._lock:
            return self._conversation.branches()

    def show_branch(self, turn: Turn) -> None:
        """Show another branch, on which the conversation goes on.

        Args:
            turn: A turn of the branch. Where the branch divides behind it, it is shown as it was
                last.

        Raises:
            RuntimeError: An answer is on its way.
            ValueError: It is no turn of this chat.
            RunAgentError: The file of `store` cannot be written; the branch is shown.

        Example:
            >>> chat = AgentWidget("shout")
            >>> first = chat.ask("Hello")
            >>> other = chat.ask("Goodbye", instead_of=first)
            >>> chat.show_branch(first)
            >>> [turn.text for turn in chat.turns]
            ['Hello', 'HELLO']
        """
        with self._lock:
            self._show_branch(self._conversation.exchange_of(turn))
        self._check_written()

    def _show_branch(self, exchange: Exchange) -> None:
        if not self._is_resting():
            raise AnswerUnderWayError
        first = self._conversation.show(exchange)
        if first < len(self.turns):
            self._write()
            self._show(first)

    def _show_numbered(self, number: object) -> None:
        """Show the branch that a page has chosen, if there still is one."""
        with self._lock:
            exchange = self._conversation.numbered(number)
            if exchange is not None:
                self._show_branch(exchange)

    def _place_in_page(self, at: object, after: object) -> Exchange | None:
        """Return the exchange beside which a page asks; `None` if it asks behind the last one.

        A page may not know yet that the chat was cleared or shows another branch. Its question
        belongs to what it showed, and would cost money in a conversation that it knows nothing of.

        Args:
            at: The number of the exchange beside which the question begins a branch, if it does.
            after: The number of the last exchange that the page showed, if there was one.

        Raises:
            RuntimeError: There is no such exchange any more, or the question would follow others.
        """
        named = after if at is None else at
        exchange = self._conversation.numbered(named)
        if exchange is None and named is not None:
            raise RuntimeError("The chat was cleared meanwhile; send it as a new question.")
        if at is not None or exchange is None:
            return exchange
        if self._conversation.position(exchange) is None:
            raise RuntimeError("Another branch is shown by now; send it there, or go back first.")
        return None

    def _place(self, turn: Turn | None) -> Exchange | None:
        with self._lock:
            return None if turn is None else self._conversation.exchange_of(turn)
