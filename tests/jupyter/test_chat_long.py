"""A long chat from a file: it is there at once, and its older answers are rendered beside all else."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from support.chat_page import ChatPage
from support.clock import PATIENCE
from support.kernel import Kernel

from runagent import StreamEvent
from runagent_jupyter.chats import conversation
from runagent_jupyter.chats.chat_file import KeptChat, read, save
from runagent_jupyter.chats.conversation import Conversation
from runagent_jupyter.chats.turn import Turn
from runagent_jupyter.event_log import EventLog

COUNT = 50
STEP = {"type": "tool_call", "name": "search", "args": {"q": "<b>"}}


def turns() -> list[Turn]:
    """Questions and answers with a step, a link whose address comes last, and a table."""
    made = []
    for number in range(COUNT):
        text = f"**Answer {number}** [x]\n\n| a |\n|--|\n| {number} |\n\n[x]: https://example.org/{number}\n"
        events = EventLog([StreamEvent("chunk", STEP), StreamEvent("chunk", text, text)])
        made += [Turn("user", f"Question {number}"), Turn("agent", text, events=events)]
    return made


def restored() -> Conversation:
    made = Conversation()
    made.restore(turns(), {})
    return made


def without_time(known: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [turn | {"since": None} for turn in known]


def test_older_answers_are_their_text_until_they_are_rendered() -> None:
    chat = restored()
    known = chat.known(0)
    assert known[1]["blocks"] == known[1]["steps"] == []
    assert known[1]["tail"].startswith('<pre class="runagent-plain" dir="auto">**Answer 0** [x]')
    assert "<strong>Answer 49</strong>" in "".join(known[-1]["blocks"])
    for news in chat.catch_up():
        assert "ending" not in news
        turn = known[news["turn"]]
        assert turn["role"] == "agent"
        parts = [turn["tail"][: news["keep"]] + news["parts"][0], *news["parts"][1:]]
        turn |= {"blocks": turn["blocks"] + parts[:-1], "tail": parts[-1], "steps": news["steps"]}
    assert without_time(known) == without_time(chat.known(0))
    assert list(chat.catch_up()) == []
    assert all("https://example.org/" in "".join(turn["blocks"]) for turn in known[1::2])
    assert [len(turn["steps"]) for turn in known[1::2]] == COUNT * [1]


def test_exports_need_no_page_and_change_none() -> None:
    chat = restored()
    before = chat.known(0)
    assert chat.html().count("<strong>Answer ") == chat.html().count("runagent-steps") == COUNT
    assert "".join(chat.markdown()).count("**Answer ") == COUNT
    assert without_time(chat.known(0)) == without_time(before)
    news = {found["turn"]: found for found in chat.catch_up()}
    assert "<strong>Answer 0</strong>" in "".join(news[1]["parts"])


def test_a_long_text_is_cut_off_before_and_after_it_is_rendered() -> None:
    long = Turn("agent", 600_000 * "x ")
    chat = Conversation()
    chat.restore([Turn("user", "?"), long, *turns()], {})
    assert "cut off after 500,000 of 1,200,000 characters" in chat.known(0)[1]["tail"]
    *_, news = chat.catch_up()
    assert "cut off after 512,000 " in news["ending"]["facts"]


def test_of_far_too_much_the_last_answers_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "_MOST_SHOWN", 3_000)
    chat = Conversation()
    long = [Turn("agent", f"**Answer {number}**\n\n{200 * 'word '}") for number in range(COUNT)]
    branch = [Turn("user", "instead"), Turn("agent", "of the last")]
    asked = [turn for answer in long for turn in (Turn("user", "?"), answer)]
    chat.restore([*asked, *branch], {2 * COUNT: 2 * COUNT - 3}, shown=2 * COUNT - 1)
    short = "cut off after 200 of 1,0"
    assert [short in turn["tail"] for turn in chat.known(0)[1::2]] == (COUNT - 3) * [True] + [
        *3 * [False]
    ]
    assert list(chat.catch_up()) == []  # the others are rendered already
    assert chat.html().count(short) == COUNT - 3
    assert chat.html().count("<strong>Answer ") == 3
    assert "".join(chat.markdown()).count("**Answer ") == COUNT
    assert chat.answer_length() < 4_000
    # On a branch that is shorter, an answer before it stays as pages have it.
    chat.show(chat.exchange_of(branch[1]))
    assert short in chat.known(0)[2 * COUNT - 7]["tail"]
    # Pages get an answer as a whole when it is rated.
    exchange = chat.exchange_of(long[0])
    assert "<strong>Answer 0</strong>" in "".join(exchange.view.catch_up()["parts"])
    assert short not in chat.known(0)[1]["tail"]
    assert chat.html().count(short) == COUNT - 4


def test_an_answer_that_is_not_rendered_yet_is_not_lost_when_it_is_rated(kernel: Kernel) -> None:
    kernel.execute(
        f"""
        from runagent_jupyter import AgentWidget
        from runagent_jupyter.chats.turn import Turn
        w = AgentWidget("demo")
        w._conversation.restore({COUNT} * [Turn("user", "?"), Turn("agent", "**Yes**")], {{}})
        """
    ).ok()
    page = ChatPage(kernel)
    page.send(type="feedback", at=0, value="up")
    page.wait_for_end()
    (told,) = (message for message in page.messages() if "ending" in message)
    assert "<strong>Yes</strong>" in "".join(told["parts"])
    assert told["ending"]["feedback"] == "up"


def test_a_notebook_has_all_of_it_when_its_cell_has_ended(kernel: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    save(path, KeptChat("demo", "Talk", None, turns()))
    kernel.execute("from runagent_jupyter import AgentWidget").ok()
    ran = kernel.execute(f"w = AgentWidget('demo', store={str(path)!r}); w").ok()
    _, copy = ran.outputs
    assert copy["data"]["text/html"].count("<strong>Answer ") == COUNT
    page = ChatPage(kernel)
    states = [
        (data["state"]["_snapshot"], message.buffers)
        for message in kernel.comm_messages(page.comm)
        if "_snapshot" in (data := message.content["data"]).get("state", {})
    ]
    first, last = (
        [turn["blocks"] for turn in json.loads(zlib.decompress(buffers[0]))["turns"][1::2]]
        for _, buffers in states
    )
    assert [bool(blocks) for blocks in first] == (COUNT - 20) * [False] + 20 * [True]
    assert all("<strong>" in "".join(blocks) for blocks in last)
    # A page that has opened with the first state gets the rest as news.
    told = [news["turn"] for message in page.messages() for news in message.get("news", ())]
    assert sorted(told) == list(range(1, 2 * (COUNT - 20), 2))


def test_a_branch_that_was_not_shown_is_rendered_when_it_is(kernel: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    begun = [Turn("user", "instead"), Turn("agent", "of it")]
    save(path, KeptChat("demo", "Talk", None, [*turns(), *begun], {2 * COUNT: -1}))
    kernel.execute("from runagent_jupyter import AgentWidget").ok()
    kernel.execute(f"w = AgentWidget('demo', store={str(path)!r})").ok()
    assert kernel.value("[t.text for t in w.turns]") == ["instead", "of it"]
    page = ChatPage(kernel)
    page.send(type="branch", at=0)
    assert len(page.wait_for("turns")["turns"]) == 2 * COUNT

    def told() -> set[int]:
        return {news["turn"] for message in page.messages() for news in message.get("news", ())}

    kernel.wait_for(lambda: len(told()) == COUNT - 20, PATIENCE)
    assert (
        kernel.value("sum(view.is_plain for view in (e.view for e in w._conversation._all))") == 0
    )
    assert read(path).turns[1].text.startswith("**Answer 0**")
