"""The conversation of a chat: its turns, and how each answer is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runagent_jupyter import html
from runagent_jupyter.chats.answer_view import AnswerView
from runagent_jupyter.chats.attached import Attached
from runagent_jupyter.chats.turn import Turn
from runagent_jupyter.control_characters import strip_controls


class Conversation:
    """The turns of a chat. The caller sees to it that one thread at a time uses it.

    Attributes:
        turns: Questions and answers, in order.
    """

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self._views: dict[int, AnswerView] = {}  # by the identity of their turn
        self._requests: dict[int, str] = {}  # the page's id of a question that a page asked

    def add(
        self,
        question: str,
        request: str,
        items: Sequence[Attached] = (),
        agent: str | None = None,
    ) -> AnswerView:
        """Add a question and the beginning of its answer.

        Args:
            question: The question.
            request: The page's id of the question, if a page asked it.
            items: What goes along with it.
            agent: The label of the agent that is asked, if there are several.

        Returns:
            The view of the answer.
        """
        asked = Turn("user", question, attachments=list(items))
        answer = Turn("agent", status="streaming", agent=agent)
        self.turns += [asked, answer]
        self._requests[id(asked)] = request
        self._views[id(answer)] = AnswerView(answer)
        return self._views[id(answer)]

    def restore(self, turns: Sequence[Turn]) -> None:
        """Begin with turns that ended before, such as those in a file."""
        for turn in turns:
            if turn.role == "agent":
                self._views[id(turn)] = AnswerView.of(turn)
            else:
                self._requests[id(turn)] = ""
            self.turns.append(turn)
        if turns and turns[-1].role == "user":  # the kernel was killed while it waited
            self.restore([Turn("agent", status="stopped", stopped=True)])

    def cut(self, first: int) -> None:
        """Forget the turns from `first` on."""
        for turn in self.turns[first:]:
            self._views.pop(id(turn), None)
            self._requests.pop(id(turn), None)
        del self.turns[first:]

    def answer_at(self, position: object) -> AnswerView | None:
        """Return the view of an answer that has ended; `None` if there is none at that position."""
        if not isinstance(position, int) or not 0 <= position < len(self.turns):
            return None
        turn = self.turns[position]
        return None if turn.status == "streaming" else self._views.get(id(turn))

    def attachments_at(self, position: int | None, kept: object) -> list[Attached]:
        """Return some of what went along with a question, but no variables: its text names them.

        Args:
            position: The question's position.
            kept: The positions among what went along with it.
        """
        if position is None or not isinstance(kept, list) or not 0 <= position < len(self.turns):
            return []
        found = enumerate(self.turns[position].attachments)
        return [item for index, item in found if index in kept and not item.is_variable]

    def last_question(self) -> int:
        """Return the position of the last question, -1 if there is none."""
        asked = (i for i, turn in enumerate(self.turns) if turn.role == "user")
        return max(asked, default=-1)

    def known(self, first: int) -> list[dict[str, Any]]:
        """Return the turns from `first` on, as far as all pages have them."""
        return [
            self._views[id(turn)].known() if turn.role == "agent" else self._asked(turn)
            for turn in self.turns[first:]
        ]

    def _asked(self, turn: Turn) -> dict[str, Any]:
        known: dict[str, Any] = {
            "role": "user",
            "text": strip_controls(turn.text),
            "request": self._requests[id(turn)],
        }
        if turn.attachments:
            known["attached"] = [strip_controls(item.label) for item in turn.attachments]
            known["files"] = sum(not item.is_variable for item in turn.attachments)
        return known

    def html(self) -> str:
        """Return all turns as HTML, to be put into `html.saved_chat`."""
        return "".join(
            html.question(turn.text, [item.label for item in turn.attachments])
            if turn.role == "user"
            else self._views[id(turn)].html()
            for turn in self.turns
        )

    def answer_length(self) -> int:
        """Return the number of characters of all answers."""
        return sum(len(view.turn.text) for view in self._views.values())


def history_of(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Return turns as they are sent to an agent that wants the conversation so far."""
    history = []
    for turn in turns:
        said: dict[str, Any] = {"role": turn.role, "text": turn.text}
        if turn.agent is not None:
            said["agent"] = turn.agent
        if turn.attachments:
            said["attachments"] = [item.name for item in turn.attachments]
        history.append(said)
    return history
