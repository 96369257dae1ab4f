"""What is under way when a chat is cleared, closed, or shows something else: nothing of it goes astray."""

from __future__ import annotations

from typing import Any

import pytest
from support.chat_page import ChatPage
from support.clock import MOMENT
from support.kernel import Kernel

AGENTS = """
import asyncio
from runagent.local import agent
from runagent_jupyter import AgentWidget

asked, rated = [], []

@agent("echo")
async def echo(query: str, attachments=(), **_):
    asked.append(query)
    yield "begun"
    if query == "waits":
        await asyncio.Event().wait()

@agent("plain")
async def plain(query: str):
    asked.append(f"plain {query}")
    yield "plain"

w = AgentWidget(["echo", "plain"], on_feedback=rated.append)
"""

FILES = [{"name": "a.txt", "size": 6}]


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Kernel:
    shared_kernel.execute(AGENTS).ok()
    return shared_kernel


@pytest.fixture
def page(kernel: Kernel) -> ChatPage:
    """Return a page that shows a question, 0, and its answer."""
    page = ChatPage(kernel)
    page.send(type="ask", text="one", request="r-0")
    page.wait_for_end()
    return page


def begin_to_wait(page: ChatPage) -> None:
    """Have an answer come that has no end of its own."""
    page.send(type="ask", text="waits", after=0, request="r-waits")
    page.kernel.execute("while w.turns[-1].text != 'begun': await asyncio.sleep(0.01)").ok()


@pytest.mark.parametrize("way", ["as it is", "with files", "faster than its files", "edited"])
def test_a_question_of_a_conversation_that_was_cleared_is_not_sent(
    page: ChatPage, way: str
) -> None:
    ask: dict[str, Any] = {"type": "ask", "text": "two", "request": "r-1", "after": 0}
    if way == "as it is":
        page.send(type="clear")
        page.send(**ask)
    elif way == "edited":
        page.send(type="clear")
        page.send(**ask, at=0)
    else:
        page.send(b"abc", type="piece", request="r-1", file=0, at=0)
        if way == "faster than its files":
            page.send(**ask, files=FILES)
        page.send(type="clear")
        page.send(b"def", type="piece", request="r-1", file=0, at=3)
        if way == "with files":
            page.send(**ask, files=FILES)
    refused = page.wait_for("refused")
    assert refused["request"] == "r-1"
    assert "cleared meanwhile; send it as a new question" in refused["text"]
    assert not refused["early"]
    assert page.kernel.value("(asked, w.turns, w._waiting, len(w._uploads._files))") == [
        *(["one"], [], {}, 0)
    ]
    page.send(type="ask", text="three", request="r-2")  # of a page that knows that it is empty
    page.wait_for_end(2)
    assert page.kernel.value("asked") == ["one", "three"]


def test_a_question_does_not_follow_a_branch_that_its_page_did_not_show(page: ChatPage) -> None:
    page.kernel.execute("w.ask('uno', instead_of=w.turns[0]) and w.ask('due') and None").ok()
    page.send(type="ask", text="two", after=0, request="r-1")
    assert "Another branch is shown by now" in page.wait_for("refused")["text"]
    # Behind turns that the page knows, others may have come.
    page.send(type="ask", text="tre", after=1, request="r-2")
    page.wait_for_end(4)
    page.send(type="ask", text="two", at=0, after=0, request="r-3")  # a branch of its own
    page.wait_for_end(5)
    assert page.kernel.value("asked") == ["one", "uno", "due", "tre", "two"]


def test_a_question_that_comes_too_early_says_so(page: ChatPage) -> None:
    begin_to_wait(page)
    page.send(type="ask", text="two", after=0, request="r-1")
    refused = page.wait_for("refused")
    assert refused["early"]
    assert "An answer is on its way" in refused["text"]
    page.send(type="clear")
    page.send(type="ask", text="two", after=1, request="r-1")
    assert not page.wait_for("refused", count=2)["early"]
    assert page.kernel.value("asked") == ["one", "waits"]


def test_an_answer_on_its_way_belongs_to_the_agent_that_was_asked(page: ChatPage) -> None:
    begin_to_wait(page)
    page.send(type="choose", agent="plain")
    page.kernel.execute("sessions = dict(w._agents.sessions)\nw.stop()").ok()
    page.wait_for_end(2)
    assert page.kernel.value("(w.turns[-1].agent, w.turns[-1].status)") == ["echo", "stopped"]
    # The agent that refuses a session loses its own, whoever is picked meanwhile.
    page.send(type="ask", text="two", after=1, request="r-1")
    page.send(type="choose", agent="echo")
    page.wait_for_end(3)
    assert page.kernel.value("asked") == ["one", "waits", "plain two"]
    assert page.kernel.value("w._agents.sessions['echo'] == sessions['echo']") is True
    assert page.kernel.value("w.turns[-1].agent") == "plain"


def test_feedback_to_what_is_gone_is_not_told(page: ChatPage) -> None:
    begin_to_wait(page)
    page.send(type="feedback", at=1, value="up")  # it has not ended
    page.send(type="feedback", at=0, value="up")
    page.wait_for_end(2)
    assert page.kernel.value("[t.feedback for t in rated]") == ["up"]
    page.send(type="clear")
    page.send(type="feedback", at=0, value="down")
    page.send(type="feedback", at=1, value="down")
    page.kernel.execute("w.ask('new') and None").ok()
    assert page.kernel.value("[t.feedback for t in rated]") == ["up"]
    assert page.kernel.value("[t.feedback for t in w.turns]") == [None, None]


@pytest.mark.parametrize("end", ["w.close()", "w.close(); del w", "w.clear(); w.close()"])
def test_a_chat_that_is_closed_sends_nothing_more(page: ChatPage, end: str) -> None:
    kernel = page.kernel
    kernel.execute(
        f"from runagent_jupyter.chats import from_pages; from_pages.SILENCE = {MOMENT}"
    ).ok()
    begin_to_wait(page)
    page.send(b"abc", type="piece", request="r-1", file=0, at=0)
    page.send(type="ask", text="two", request="r-1", after=1, files=FILES)
    kernel.execute(f"chat, answer = w, w.turns[-1]\n{end}").ok()
    page.send(b"def", type="piece", request="r-1", file=0, at=3)
    page.send(type="ask", text="three", request="r-2", after=1)
    kernel.execute("while answer.status == 'streaming': await asyncio.sleep(0.01)").ok()
    kernel.execute("while chat._waiting: await asyncio.sleep(0.01)").ok()
    assert kernel.value("asked") == ["one", "waits"]
    assert kernel.value("(answer.status, chat.busy)") == ["stopped", False]
