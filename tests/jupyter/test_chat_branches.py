"""Questions that are edited or asked again: branches, in the kernel, in pages and in files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.chat_page import ChatPage
from support.clock import PATIENCE
from support.kernel import Kernel

from runagent_jupyter.chats.chat_file import read
from runagent_jupyter.chats.conversation import Conversation

Start = Callable[..., Kernel]

AGENTS = """
import asyncio
from runagent.local import agent
from runagent_jupyter import AgentWidget

asked = []

@agent("echo")
async def echo(query: str, history: list = (), **_):
    asked.append([turn["text"] for turn in history])
    if query == "waits":
        yield "begun"
        await asyncio.Event().wait()
    yield f"You said {query}"
"""

TEXTS = "[t.text.replace('You said ', '= ') for t in w.turns]"
OTHERS = "[[t.text.replace('You said ', '= ') for t in branch] for branch in w.branches]"


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Kernel:
    return shared_kernel


def branched(kernel: Kernel, options: str = "") -> None:
    """Make a chat: a, b, c; then b again as B, and b as two of C's predecessors."""
    kernel.execute(f"{AGENTS}\nw = AgentWidget('echo', history=True{options})").ok()
    kernel.execute("for q in 'abc': w.ask(q)\nw.ask('B', instead_of=w.turns[2]) and None").ok()


def numbers(kernel: Kernel) -> list[Any]:
    """The number of each question that is shown, and those of its branches."""
    shown: list[dict[str, Any]] = kernel.value("w._transcript(0)['turns'][::2]")
    return [[turn["id"], turn["branches"]] for turn in shown]


def test_an_edited_question_begins_a_branch_and_the_old_one_stays(kernel: Kernel) -> None:
    branched(kernel)
    assert kernel.value(TEXTS) == ["a", "= a", "B", "= B"]
    assert kernel.value(OTHERS) == [["a", "= a", "b", "= b", "c", "= c"]]
    assert kernel.value("asked[-1]") == ["a", "You said a"]  # nothing of the other branch
    kernel.execute("shown, same = w.turns, w.turns[:2]\nw.show_branch(w.branches[0][3])").ok()
    assert kernel.value("w.turns is shown and w.turns[0] is same[0]") is True
    assert kernel.value(TEXTS) == ["a", "= a", "b", "= b", "c", "= c"]  # to its end
    assert kernel.value(OTHERS) == [["a", "= a", "B", "= B"]]
    kernel.execute("w.ask('d') and None").ok()
    assert kernel.value("asked[-1][-2:]") == ["c", "You said c"]
    # By the answer of a turn that is not shown; and the first question.
    kernel.execute("w.ask('B2', instead_of=w.branches[0][-1]) and None").ok()
    assert kernel.value(TEXTS) == ["a", "= a", "B2", "= B2"]
    kernel.execute("w.ask('A', instead_of=w.turns[0]) and None").ok()
    assert kernel.value(f"({TEXTS}, len(w.branches), asked[-1])") == [["A", "= A"], 3, []]
    assert numbers(kernel) == [[6, [0, 6]]]
    for wrong in ("w.show_branch(before)", "w.ask('x', instead_of=before)"):
        error = kernel.execute(f"before = w.turns[0].__class__('user', 'A')\n{wrong}").error
        assert error is not None
        assert "no turn of the chat" in error["evalue"]
    kernel.execute("w.clear()").ok()
    assert kernel.value("(w.turns, w.branches)") == [[], []]


def test_nothing_is_branched_while_an_answer_is_on_its_way(kernel: Kernel) -> None:
    branched(kernel)
    page = ChatPage(kernel)
    kernel.execute(
        "asking = asyncio.ensure_future(w.ask_async('waits', instead_of=w.turns[0]))\n"
        "while not w.turns[-1].text: await asyncio.sleep(0.01)"
    ).ok()
    for way in ("w.show_branch(w.branches[0][0])", "w.ask('x', instead_of=w.branches[0][0])"):
        error = kernel.execute(way).error
        assert error is not None
        assert "on its way" in error["evalue"]
    page.send(type="branch", at=0)
    page.send(type="ask", text="x", at=0, request="r")
    assert "on its way" in page.wait_for("refused")["text"]
    assert kernel.value(TEXTS) == ["waits", "begun"]
    kernel.execute("w.stop()\nawait asking and None\nw.show_branch(w.branches[0][0])").ok()
    assert kernel.value(TEXTS)[-2:] == ["B", "= B"]
    assert kernel.value("[b[-1].status for b in w.branches]") == ["done", "stopped"]


def test_a_page_edits_any_question_and_goes_from_branch_to_branch(kernel: Kernel) -> None:
    branched(kernel)
    page = ChatPage(kernel)
    assert numbers(kernel) == [[0, [0]], [3, [1, 3]]]
    before = len(turns_messages(page))
    page.send(type="branch", at=1)
    shown = page.wait_for("turns", before + 1)
    assert (shown["first"], [turn.get("text") for turn in shown["turns"][::2]]) == (2, ["b", "c"])
    count, ended = len(page.messages()), ends(page)
    numbers_of_none: list[Any] = [99, None, "x", []]
    for number in (1, *numbers_of_none):  # the first is shown already
        page.send(type="branch", at=number)
    page.send(type="ask", text="new", at=0)
    page.wait_for_end(ended + 1)
    begun = page.messages()[count]
    assert (begun["type"], begun["first"]) == ("turns", 0)
    assert kernel.value(TEXTS) == ["new", "= new"]
    assert numbers(kernel) == [[4, [0, 4]]]
    # A question in place of one that is not shown: pages get all that is another turn now.
    before = len(turns_messages(page))
    kernel.execute("w.ask('c2', instead_of=w.branches[0][4]) and None").ok()
    shown = page.wait_for("turns", before + 1)
    assert (shown["first"], len(shown["turns"])) == (0, 6)
    assert kernel.value(TEXTS) == ["a", "= a", "b", "= b", "c2", "= c2"]
    kernel.execute("w.show_branch(w.branches[-1][0])").ok()
    # What the reader thinks of an answer stays with it, also where another branch is shown.
    page.send(type="feedback", at=3, value="down")
    page.send(type="feedback", at=4, value="up")
    kernel.wait_for(lambda: (1, "up") in ratings(page), PATIENCE, "the rating")
    assert "down" not in [value for _, value in ratings(page)]
    assert kernel.value("[t.feedback for t in w.turns]") == [None, "up"]
    found = kernel.value("{t.text: t.feedback for b in w.branches for t in b if t.feedback}")
    assert found == {"You said B": "down"}


def turns_messages(page: ChatPage) -> list[dict[str, Any]]:
    return [message for message in page.messages() if message["type"] == "turns"]


def ratings(page: ChatPage) -> list[tuple[int, str]]:
    found = [message for message in page.messages() if "ending" in message]
    return [(message["turn"], message["ending"]["feedback"]) for message in found]


def ends(page: ChatPage) -> int:
    return sum("ending" in message for message in page.messages())


def test_exports_say_which_branch_they_show(kernel: Kernel) -> None:
    branched(kernel)
    text = kernel.value("w.to_markdown()")
    assert "> a\n\nYou said a\n\n> B\n\n*Branch 2 of 2*\n\nYou said B\n" in text
    saved = kernel.value("w._static()['text/html']")
    assert saved.count("Branch 2 of 2") == 1
    assert "You said b" not in saved
    assert kernel.value("w._sum").startswith("4 answers · ")
    assert kernel.value("w._sum").endswith(" · 2 branches")
    assert kernel.value("w.to_cell()").endswith("\nB")
    assert kernel.value("list(w.to_frame().text)") == ["a", "You said a", "B", "You said B"]
    rows = kernel.value(
        "[list(row) for row in w.to_frame(branches=True)[['shown', 'text']].values]"
    )
    assert rows == [
        [question in "aB", text]
        for question in "abcB"
        for text in (question, f"You said {question}")
    ]


def test_branches_outlive_a_kill_in_the_middle_of_one(start_kernel: Start, tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    store = f", store={str(path)!r}"
    kernel = start_kernel()
    branched(kernel, store)
    kernel.execute(
        "w.show_branch(w.branches[0][-1])\n"
        "asking = asyncio.ensure_future(w.ask_async('waits', instead_of=w.turns[2]))\n"
        "while not w.turns[-1].text: await asyncio.sleep(0.01)"
    ).ok()
    others = kernel.value(OTHERS)
    assert len(others) == 2
    kernel.kill()

    kernel = start_kernel()
    kernel.execute(f"{AGENTS}\nw = AgentWidget('echo', history=True{store})").ok()
    assert kernel.value("[(t.text, t.status) for t in w.turns[2:]]") == [
        ["waits", "done"],
        ["", "stopped"],
    ]
    assert kernel.value(OTHERS) == others
    # The branch that is shown, and where each branch belongs, is in the file.
    kernel.execute("w.show_branch(w.branches[0][-1])").ok()
    kernel.execute(f"w.close()\nw = AgentWidget('echo', history=True{store})").ok()
    assert kernel.value(TEXTS) == ["a", "= a", "b", "= b", "c", "= c"]
    assert numbers(kernel) == [[0, [0]], [1, [1, 3, 4]], [2, [2]]]
    kernel.execute("w.ask('A', instead_of=w.turns[0]) and None").ok()
    kernel.execute(f"w = AgentWidget.load({str(path)!r}, history=True)").ok()
    assert kernel.value(TEXTS) == ["A", "= A"]
    assert len(kernel.value(OTHERS)) == 3
    assert [record.get("after") for record in json.loads(path.read_text())["turns"][::2]] == [
        *(None, None, None),  # each after the one before it
        *(1, 1, -1),
    ]


def test_a_branch_that_cannot_be_written_is_not_begun(kernel: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    branched(kernel, f", store={str(path)!r}")
    text = path.read_text()
    path.write_text(text + " ")
    for place in ("w.turns[0]", "w.turns[2]", "w.branches[0][4]", "None"):
        error = kernel.execute(f"w.ask('x', instead_of={place})").error
        assert error is not None
        assert "something else has changed it" in error["evalue"]
        assert kernel.value(TEXTS) == ["a", "= a", "B", "= B"]
        assert kernel.value(OTHERS) == [["a", "= a", "b", "= b", "c", "= c"]]
    assert len(kernel.value("asked")) == 4


def test_an_older_file_goes_on(kernel: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    head = '{"format": "runagent chat", "version": 1, "agent_id": "echo", "title": "T", "turns": ['
    turns = ['{"role": "user", "text": "a"}', '{"role": "agent", "text": "b", "status": "done"}']
    path.write_text(head + ", ".join([*turns, turns[0]]) + "]}")
    kernel.execute(f"{AGENTS}\nw = AgentWidget('echo', store={str(path)!r})").ok()
    assert kernel.value("[(t.text, t.status) for t in w.turns]") == [
        ["a", "done"],
        ["b", "done"],
        ["a", "done"],
        ["", "stopped"],
    ]
    kernel.execute("w.ask('B', instead_of=w.turns[0]) and None").ok()
    assert read(path).after == {4: -1}


def test_a_question_that_is_taken_back_changes_no_branch() -> None:
    chat = Conversation()
    first = chat.add("1", "")[0]
    for number in range(3):
        chat.add(f"2.{number}", "", None if number == 0 else chat._all[1])
    middle = chat._all[2]
    chat.show(middle)
    other = chat.add("other", "", first)[0]  # the branch that is left is not shown any more
    chat.add("refused", "", chat._all[3])
    chat.take_back()
    assert [turn.text for turn in chat.turns[::2]] == ["other"]
    chat.show(first)
    assert [turn.text for turn in chat.turns[::2]] == ["1", "2.1"]
    assert len(chat.branches()) == 3
    chat.show(other)
    chat.add("refused too", "")
    chat.take_back()
    assert [turn.text for turn in chat.turns[::2]] == ["other"]
