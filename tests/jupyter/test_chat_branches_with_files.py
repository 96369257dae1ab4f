"""Branches of a chat whose questions have attachments and go to several agents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.chat_page import ChatPage
from support.kernel import Kernel

AGENTS = """
import asyncio
from runagent.local import agent
from runagent_jupyter import AgentWidget

asked = []

@agent("planner")
async def planner(query: str, **fields):
    asked.append(fields)
    yield f"plan {query}"
    if query == "waits":
        await asyncio.Event().wait()

@agent("critic")
def critic(query: str, **fields):
    asked.append(fields)
    return f"weak {query}"

digits = [1, 2]
"""

LABELS = "[[item.label for item in turn.attachments] for turn in w.turns[::2]]"


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Kernel:
    shared_kernel.execute(AGENTS).ok()
    return shared_kernel


def ask(page: ChatPage, text: str, *files: tuple[str, bytes], **place: Any) -> None:
    """Send a question of a page with its files."""
    for position, (_, content) in enumerate(files):
        page.send(content, type="piece", request=text, file=position, at=0)
    described = [{"name": name, "size": len(content)} for name, content in files]
    page.send(type="ask", text=text, request=text, files=described, **place)


def talk(kernel: Kernel, path: Path) -> ChatPage:
    """Begin a chat: a question to one agent with two files and a variable, then one to the other."""
    options = f"history=True, store={str(path)!r}"
    kernel.execute(f"w = AgentWidget({{'Plan': 'planner', 'Judge': 'critic'}}, {options})").ok()
    page = ChatPage(kernel)
    ask(page, "See @digits", ("a.txt", b"a"), ("b.csv", b"b,c"))
    page.wait_for_end()
    page.send(type="choose", agent="Judge")
    ask(page, "two", ("c.txt", b"c"))
    page.wait_for_end(2)
    return page


def test_an_edited_question_keeps_what_went_along(kernel: Kernel, tmp_path: Path) -> None:
    page = talk(kernel, tmp_path / "talk.json")
    ask(page, "Only @digits", ("d.txt", b"d"), at=0, kept=[[0, 1], [0, 2]])
    page.wait_for_end(3)
    assert kernel.value(LABELS) == [["b.csv · 1 kB", "d.txt · 1 kB", "@digits · list of 2"]]
    assert kernel.value("[i['name'] for i in asked[-1]['attachments']]") == ["b.csv", "d.txt"]
    assert kernel.value("(asked[-1]['digits'], asked[-1]['history'])") == [[1, 2], []]
    shown = page.wait_for("turns", count=3)["turns"]
    assert (shown[0]["id"], shown[0]["branches"], shown[0]["files"]) == (2, [0, 2], 2)
    assert (shown[0]["attached"][0], shown[1]["agent"]) == ("b.csv · 1 kB", "Judge")
    # The old branch has its own, and its history is what goes along when it goes on.
    page.send(type="branch", at=0)
    old = page.wait_for("turns", count=4)["turns"]
    assert [turn["attached"] for turn in old[::2]] == [
        ["a.txt · 1 kB", "b.csv · 1 kB", "@digits · list of 2"],
        ["c.txt · 1 kB"],
    ]
    assert [turn["agent"] for turn in old[1::2]] == ["Plan", "Judge"]
    ask(page, "three")
    page.wait_for_end(4)
    names = ["a.txt", "b.csv", "digits"]
    assert kernel.value("asked[-1]['history']") == [
        {"role": "user", "text": "See @digits", "attachments": names},
        {"role": "agent", "text": "plan See @digits", "agent": "Plan"},
        {"role": "user", "text": "two", "attachments": ["c.txt"]},
        {"role": "agent", "text": "weak two", "agent": "Judge"},
    ]
    # A question of a page whose branch is not shown any more: its files are still known.
    ask(page, "four", kept=[[2, 0]])
    page.wait_for_end(5)
    assert kernel.value(LABELS)[-1] == ["b.csv · 1 kB"]
    kernel.execute("digits.append(3)\nw.ask('five', [b'x'], instead_of=w.turns[0]) and None").ok()
    assert kernel.value(LABELS) == [["file.bin · 1 kB"]]
    page.send(type="clear")
    ask(page, "six", kept=[[2, 0]])
    assert "cleared meanwhile; attach the files anew" in page.wait_for("refused")["text"]


def test_a_question_that_is_asked_again_has_the_same_files(kernel: Kernel, tmp_path: Path) -> None:
    page = talk(kernel, tmp_path / "talk.json")
    kernel.execute("old = w.turns[:2]").ok()
    ask(page, "See @digits", at=0, kept=[[0, 0], [0, 1]])
    page.wait_for_end(3)
    assert kernel.value(f"{LABELS}[0] == [item.label for item in old[0].attachments]") is True
    assert kernel.value(
        "[new is old for new, old in zip(w.turns[0].attachments, old[0].attachments)]"
    ) == [
        *(True, True),  # the files, whose content is there once
        False,  # the variable, which is read anew
    ]
    text = kernel.value("w.to_markdown()")
    attached = "> Attached: `a.txt · 1 kB`, `b.csv · 1 kB`, `@digits · list of 2`"
    assert f"> See @digits\n>\n{attached}\n\n*Branch 2 of 2*\n\n**Judge**\n\nweak See" in text
    saved = kernel.value("w._static()['text/html']")
    assert "Branch 2 of 2" in saved
    assert saved.index("b.csv · 1 kB") < saved.index("Branch 2 of 2") < saved.rindex("Judge")
    assert "--input digits\nSee @digits" in kernel.value("w.to_cell()")
    frame = "w.to_frame(branches=True)[['shown', 'agent', 'attachments']]"
    names = ["a.txt", "b.csv", "digits"]
    assert json.loads(kernel.value(f"{frame}.to_json(orient='values')")) == [
        [False, None, names],
        [False, "Plan", None],
        [False, None, ["c.txt"]],
        [False, "Judge", None],
        [True, None, names],
        [True, "Judge", None],
    ]
    assert kernel.value("list(w.to_frame().agent.dropna())") == ["Judge"]


def test_a_file_has_branches_agents_and_attachments(kernel: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    page = talk(kernel, path)
    ask(page, "See @digits", at=0, kept=[[0, 0], [0, 1]])
    page.wait_for_end(3)
    kernel.execute("w.show_branch(w.branches[0][-1])\nw.agent = 'Plan'").ok()
    kernel.execute(
        "asking = asyncio.ensure_future(w.ask_async('waits', [b'x'], instead_of=w.turns[2]))\n"
        "while not w.turns[-1].text: await asyncio.sleep(0.01)"
    ).ok()
    kept = json.loads(path.read_text())
    assert (kept["shown"], kept["agents"]) == (7, {"Plan": "planner", "Judge": "critic"})
    assert (kept["agent"], list(kept["sessions"])) == ("Plan", ["Plan", "Judge"])
    assert [turn.get("after") for turn in kept["turns"][::2]] == [None, None, -1, 1]
    assert [len(turn.get("attachments", ())) for turn in kept["turns"][::2]] == [3, 1, 3, 1]
    kernel.execute(f"v = AgentWidget.load({str(path)!r}, history=True)").ok()
    whole = "[(t.text, t.agent, t.attachments) for b in [{0}.turns, *{0}.branches] for t in b]"
    loaded = "[(t.agent, t.status) for t in v.turns[1::2]]"
    assert kernel.value(loaded) == [["Plan", "done"], ["Plan", "stopped"]]
    kernel.execute("w.stop()\nawait asking and None").ok()
    kernel.execute(f"v = AgentWidget.load({str(path)!r}, history=True)").ok()
    assert kernel.value(f"{whole.format('v')} == {whole.format('w')}") is True
    # Their content is not in the file, and a question without it is not asked.
    page = ChatPage(kernel, "v")
    ask(page, "again", at=3, kept=[[3, 0]])
    assert "'file.bin' is not kept any more" in page.wait_for("refused")["text"]
    assert kernel.value(f"{whole.format('v')} == {whole.format('w')}") is True
    # Without them it is a branch.
    ask(page, "again", at=3, kept=[])
    page.wait_for_end()
    assert kernel.value("[turn.text for turn in v.turns[::2]]") == ["See @digits", "again"]


def test_an_edited_question_that_is_refused_changes_nothing(kernel: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    page = talk(kernel, path)
    before = kernel.value("[turn.text for turn in w.turns]")
    text = path.read_text()
    kernel.execute("from runagent_jupyter.chats import from_pages; from_pages.SILENCE = 0").ok()
    page.send(b"not all", type="piece", request="r", file=0, at=0)
    file = {"name": "big.txt", "size": 70}
    page.send(type="ask", text="edited", request="r", files=[file], at=0, kept=[[0, 0]])
    assert "'big.txt' did not arrive as a whole" in page.wait_for("refused")["text"]
    assert path.read_text() == text
    path.write_text(f"{text} ")  # something else has changed it
    ask(page, "edited", ("d.txt", b"d"), at=0, kept=[[0, 0]])
    assert "something else has changed it" in page.wait_for("refused", count=2)["text"]
    assert kernel.value("[turn.text for turn in w.turns]") == before
    assert kernel.value("(w.branches, w.busy, len(asked))") == [[], False, 2]
    path.unlink()
    ask(page, "edited", ("d.txt", b"d"), at=0, kept=[[0, 0]])
    page.wait_for_end(3)
    assert kernel.value(LABELS) == [["a.txt · 1 kB", "d.txt · 1 kB"]]
