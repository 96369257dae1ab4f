"""The conversation of a chat: its turns and branches, and how each answer is shown."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runagent_jupyter import html
from runagent_jupyter.chats.answer_view import AnswerView
from runagent_jupyter.chats.attached import Attached
from runagent_jupyter.chats.turn import Turn
from runagent_jupyter.chats.turn_records import sum_of
from runagent_jupyter.control_characters import strip_controls

_AT_ONCE = 20
"""Answers from a file that are rendered at once; they are more than a page shows at a time."""

_MOST_SHOWN = 2_000_000
"""Characters of answers behind which pages and copies have only the beginnings of older ones. To
render all of a file of 75 MB takes the kernel 14 s, and each copy in the notebook would have as
much."""


@dataclass(eq=False)
class Exchange:
    """A question and its answer.

    Attributes:
        number: Tells it from all others that the chat has ever had.
        question: The question.
        view: The answer, as pages show it.
        before: The exchange that it follows; `None` if the conversation begins with it.
        request: The page's id of the question, if a page asked it.
    """

    number: int
    question: Turn
    view: AnswerView
    before: Exchange | None
    request: str = ""

    @property
    def turns(self) -> tuple[Turn, Turn]:
        """The question and the answer."""
        return self.question, self.view.turn


class Conversation:
    """The turns of a chat. The caller sees to it that one thread at a time uses it.

    Exchanges that follow the same one, or that all begin the conversation, are branches: one of
    them is shown.

    Args:
        line_breaks: Whether the end of a line in an answer is kept.

    Attributes:
        turns: Questions and answers of the branch that is shown, in order.
    """

    def __init__(self, *, line_breaks: bool = True) -> None:
        self.turns: list[Turn] = []
        self._line_breaks = line_breaks
        self._numbers = itertools.count()
        self._path: list[Exchange] = []  # whose turns are shown
        self._all: list[Exchange] = []  # in the order in which they were asked
        self._following: dict[Exchange | None, list[Exchange]] = {}
        self._chosen: dict[Exchange | None, Exchange] = {}  # among those that follow
        self._chosen_before = self._chosen  # the last question

    def add(
        self,
        question: str,
        request: str,
        instead_of: Exchange | None = None,
        items: Sequence[Attached] = (),
        agent: str | None = None,
    ) -> tuple[Exchange, int]:
        """Add a question and the beginning of its answer.

        Args:
            question: The question.
            request: The page's id of the question, if a page asked it.
            instead_of: The exchange beside which the question begins a branch. Default: none; it
                follows the turns that are shown.
            items: What goes along with it.
            agent: The label of the agent that is asked, if there are several.

        Returns:
            The new exchange, which is shown now, and what `show` returns.
        """
        before = self._last() if instead_of is None else instead_of.before
        self._chosen_before = dict(self._chosen)
        asked = Turn("user", question, attachments=list(items))
        view = AnswerView(
            Turn("agent", status="streaming", agent=agent), line_breaks=self._line_breaks
        )
        exchange = self._add(asked, view, before, request)
        return exchange, self.show(exchange)

    def _add(
        self, question: Turn, view: AnswerView, before: Exchange | None, request: str = ""
    ) -> Exchange:
        exchange = Exchange(next(self._numbers), question, view, before, request)
        self._all.append(exchange)
        self._following.setdefault(before, []).append(exchange)
        self._chosen[before] = exchange
        return exchange

    def take_back(self) -> None:
        """Forget the exchange that was added last, as if it had never been asked."""
        exchange = self._all.pop()
        self._following[exchange.before].pop()
        self._chosen = self._chosen_before
        self._follow()

    def show(self, exchange: Exchange) -> int:
        """Show the branch that an exchange is in, to the end at which it was left.

        Of answers from a file, only the last are rendered; see `catch_up`. Old ones are shortened,
        if all of them are too much for a page.

        Returns:
            The position of the first turn that is another one now.
        """
        above: Exchange | None = exchange
        while above is not None:
            self._chosen[above.before] = above
            above = above.before
        first = self._follow()
        recent = self._recent()
        plain = [shown for shown in self._path[first // 2 :] if shown.view.is_plain]
        for shown in plain:
            shown.view.shorten(is_short=shown not in recent)
        for shown in plain[-_AT_ONCE:]:
            if not shown.view.is_short:
                shown.view.catch_up()
        return first

    def _recent(self) -> set[Exchange]:
        """Return the last exchanges, whose answers are shown as a whole."""
        found: set[Exchange] = set()
        characters = 0
        for exchange in reversed(self._path):
            if characters > _MOST_SHOWN:
                break
            found.add(exchange)
            characters += len(exchange.view.turn.text)
        return found

    def _follow(self) -> int:
        """Bring the path up to date."""
        known, self._path = self._path, []
        while (following := self._chosen.get(self._last())) is not None:
            self._path.append(following)
        pairs = enumerate(zip(known, self._path, strict=False))
        same = next(
            (i for i, (old, new) in pairs if old is not new), min(len(known), len(self._path))
        )
        self.turns[2 * same :] = [turn for exchange in self._path[same:] for turn in exchange.turns]
        return 2 * same

    def _last(self) -> Exchange | None:
        return self._path[-1] if self._path else None

    def clear(self) -> None:
        """Forget all turns."""
        for known in (self.turns, self._path, self._all, self._following, self._chosen):
            known.clear()

    def exchange_of(self, turn: object) -> Exchange:
        """Return the exchange of a question or an answer, in whatever branch.

        Raises:
            ValueError: It is none of this chat.
        """
        for exchange in self._all:
            if any(own is turn for own in exchange.turns):
                return exchange
        raise ValueError("This is no turn of the chat; give one of its `turns` or `branches`.")

    def numbered(self, number: object) -> Exchange | None:
        """Return the exchange with a number; `None` if there is none."""
        return next((exchange for exchange in self._all if exchange.number == number), None)

    def position(self, exchange: Exchange) -> int | None:
        """Return the position of the question; `None` if another branch is shown."""
        return 2 * self._path.index(exchange) if exchange in self._path else None

    def attachments(self, kept: object) -> list[Attached]:
        """Return what goes along again, but no variables: the text of a question names them.

        Args:
            kept: For each, the number of an exchange and the position among what went along with
                its question.

        Raises:
            RuntimeError: There is no such exchange any more.
        """
        found = []
        for number, position in kept if isinstance(kept, list) else ():
            exchange = self.numbered(number)
            if exchange is None:
                raise RuntimeError("The chat was cleared meanwhile; attach the files anew.")
            found.append(exchange.question.attachments[position])
        return [item for item in found if not item.is_variable]

    def history(self, instead_of: Exchange | None = None) -> list[Turn]:
        """Return the turns before the next question, or before one in place of an old one."""
        if instead_of is None:
            return list(self.turns)
        return [turn for exchange in _path_to(instead_of.before) for turn in exchange.turns]

    def all_turns(self) -> list[Turn]:
        """Return the turns of all branches, in the order in which they were asked."""
        return [turn for exchange in self._all for turn in exchange.turns]

    def branches(self) -> list[list[Turn]]:
        """Return the turns of each branch that is not shown, from the beginning."""
        return [
            [turn for exchange in _path_to(end) for turn in exchange.turns]
            for end in self._hidden()
        ]

    def _hidden(self) -> list[Exchange]:
        """Return the last exchange of each branch that is not shown."""
        last = self._last()
        return [end for end in self._all if not self._following.get(end) and end is not last]

    def sum(self) -> str:
        """Say how many answers there are, and their sums, those of other branches included."""
        return sum_of(self.all_turns(), len(self._hidden()) + 1)

    # --- Files ----------------------------------------------------------------------------------

    def places(self) -> tuple[dict[int, int], int | None]:
        """Return where the turns of `all_turns` belong, as far as their order does not say it.

        Returns:
            The position of the answer that a question follows, -1 for none, by the position of the
            question; and the position of the last turn that is shown, `None` if there is none.
        """
        positions = {exchange: 2 * i for i, exchange in enumerate(self._all)}
        after = {
            positions[exchange]: -1 if exchange.before is None else positions[exchange.before] + 1
            for previous, exchange in zip(self._all, self._all[1:], strict=False)
            if exchange.before is not previous
        }
        last = self._last()
        return after, None if last is None else positions[last] + 1

    def restore(
        self, turns: Sequence[Turn], after: Mapping[int, int], shown: int | None = None
    ) -> None:
        """Begin with turns that ended before, such as those in a file.

        Args:
            turns: The turns, as `all_turns` returns them. A question may lack its answer, if the
                kernel was killed while it waited.
            after: As `places` returns it.
            shown: As `places` returns it. Default: the last turn.
        """
        found: list[Exchange] = []  # by the position of their turns
        for position, turn in enumerate(turns):
            if turn.role == "agent":
                found.append(found[-1])
                continue
            answer = next(iter(turns[position + 1 : position + 2]), turn)
            if answer.role == "user":
                answer = Turn("agent", status="stopped", stopped=True)
            before = after.get(position, position - 1)
            view = AnswerView.of(answer, line_breaks=self._line_breaks)
            exchange = self._add(turn, view, found[before] if before >= 0 else None)
            found.append(exchange)
        if found:
            self.show(found[-1 if shown is None else shown])

    # --- Showing --------------------------------------------------------------------------------

    def answer_length(self) -> int:
        """Return the number of characters of the answers that are shown as a whole."""
        return sum(len(exchange.view.turn.text) for exchange in self._recent())

    def known(self, first: int) -> list[dict[str, Any]]:
        """Return the turns from a question on, as far as all pages have them."""
        return [
            known
            for exchange in self._path[first // 2 :]
            for known in (self._asked(exchange), exchange.view.known())
        ]

    def catch_up(self) -> Iterator[dict[str, Any]]:
        """Render the answers that pages have as plain text, the last one first.

        Yields:
            The news for all pages.
        """
        for position, exchange in reversed(list(enumerate(self._path))):
            if exchange.view.is_plain and not exchange.view.is_short:
                yield {"turn": 2 * position + 1, **exchange.view.catch_up()}

    def _asked(self, exchange: Exchange) -> dict[str, Any]:
        question = exchange.question
        known: dict[str, Any] = {
            "role": "user",
            "text": strip_controls(question.text),
            "request": exchange.request,
            "id": exchange.number,
            "branches": [other.number for other in self._following[exchange.before]],
        }
        if question.attachments:
            known["attached"] = [strip_controls(label) for label in _labels(question)]
            known["files"] = sum(not item.is_variable for item in question.attachments)
        return known

    def html(self) -> str:
        """Return the turns as HTML, to be put into `html.saved_chat`."""
        recent = self._recent()
        return "".join(
            f"{html.question(exchange.question.text, _labels(exchange.question))}"
            f"{html.status_line(branch) if branch else ''}"
            f"{exchange.view.html(is_short=exchange not in recent)}"
            for exchange, branch in self._with_branches()
        )

    def markdown(self) -> Iterator[str]:
        """Yield the turns as Markdown."""
        for exchange, branch in self._with_branches():
            yield exchange.question.to_markdown()
            if branch:
                yield f"*{branch}*"
            yield exchange.view.turn.to_markdown()

    def _with_branches(self) -> Iterator[tuple[Exchange, str]]:
        """Yield the exchanges that are shown, and which branch it is where there are several."""
        for exchange in list(self._path):
            others = self._following[exchange.before]
            place = f"Branch {others.index(exchange) + 1} of {len(others)}"
            yield exchange, place if len(others) > 1 else ""


def _labels(question: Turn) -> list[str]:
    return [item.label for item in question.attachments]


def _path_to(end: Exchange | None) -> list[Exchange]:
    """Return the exchanges from the beginning of the conversation to one of them."""
    path: list[Exchange] = []
    while end is not None:
        path.append(end)
        end = end.before
    return path[::-1]


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
