"""A question that waits for an answer, while the chat is cleared, closed, or shows something else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect
from support.chats import OPEN, TOLD, answer, ask, chat_in, drop, finished, note
from support.chromium import new_page
from support.lab import Lab, LabNotebook
from support.staged_chat import sent, show_chat, tell

from runagent_jupyter.chats.conversation import Conversation

AGENT = TOLD + 'w = AgentWidget({"Told": "told", "Demo": "demo"}, height=900)\nw'

CLEAR, CLOSE, ASKED = "w.clear()", "w.close()", "print(asked)"

CHANGED = "The chat has changed: your text would be sent as a new question."


@pytest.fixture
def notebook(lab: Lab) -> Iterator[LabNotebook]:
    """Return a notebook with a chat in its first cell."""
    opened = lab.open([AGENT, OPEN, CLEAR, CLOSE, ASKED])
    opened.run(0)
    yield opened
    assert lab.watch.console == []


@pytest.fixture
def chat(notebook: LabNotebook) -> Locator:
    """Return the chat, in which a question waits for an answer, with a file."""
    chat = chat_in(notebook)
    ask(chat, "wait")
    expect(answer(chat)).to_contain_text("begun")
    drop(question(chat), "drop", ("a.txt", 3, "text/plain"))
    ask(chat, "and then")
    expect(note(chat)).to_contain_text("It is sent when this answer ends")
    return chat


def question(chat: Locator) -> Locator:
    return chat.get_by_label("Question")


@pytest.mark.parametrize("way", ["in the view", "in Python", "and asked again"])
def test_it_is_not_sent_into_a_chat_that_was_cleared(
    notebook: LabNotebook, chat: Locator, way: str
) -> None:
    if way == "in the view":
        chat.get_by_role("button", name="Clear").click()
        chat.get_by_role("button", name="Clear everything?").click()
    else:
        if way == "and asked again":
            notebook.source(2, f"{CLEAR}\nw.ask('another') and None")
        notebook.run(2)
    expect(note(chat)).to_have_text(CHANGED)
    expect(question(chat)).to_have_value("and then")
    expect(question(chat)).to_be_editable()
    notebook.screenshot("widget-queued-cleared", of=chat)
    notebook.run(1)
    before = ["wait", "another"] if way == "and asked again" else ["wait"]
    notebook.run(4).wait_for_text(4, str(before))
    question(chat).press("Enter")
    finished(chat, 2 * len(before))
    expect(answer(chat)).to_contain_text("and then, a.txt 4")
    expect(question(chat)).to_have_value("")


def test_it_goes_to_the_agent_that_is_picked_when_it_is_sent(
    notebook: LabNotebook, chat: Locator
) -> None:
    chat.get_by_label("Send to").select_option("Demo")
    expect(note(chat)).to_contain_text("It is sent when this answer ends")
    notebook.run(1)
    finished(chat, 4)
    expect(answer(chat)).to_have_attribute("aria-label", "Demo")


def test_feedback_meanwhile_does_not_send_it(notebook: LabNotebook) -> None:
    chat = chat_in(notebook)
    ask(chat, "one")
    finished(chat)
    ask(chat, "wait")
    expect(answer(chat)).to_contain_text("begun")
    ask(chat, "and then")
    good = chat.get_by_role("button", name="Good").first
    good.click()
    expect(good).to_have_attribute("aria-pressed", "true")
    expect(note(chat)).to_contain_text("It is sent when this answer ends")
    notebook.run(1)
    finished(chat, 6)
    notebook.run(4).wait_for_text(4, "['one', 'wait', 'and then']")


def test_it_is_not_sent_when_the_chat_is_closed(notebook: LabNotebook, chat: Locator) -> None:
    notebook.run(3)
    expect(chat).to_have_count(0)
    notebook.run(1)
    notebook.run(4).wait_for_text(4, "['wait']")


def test_a_kernel_that_restarts_leaves_it_in_the_input(
    notebook: LabNotebook, chat: Locator
) -> None:
    notebook.restart()
    expect(note(chat)).to_contain_text("The kernel behind this chat is gone")
    expect(question(chat)).to_have_value("and then")
    expect(chat.locator(".runagent-form .runagent-chip")).to_have_count(1)
    notebook.run(0)
    expect(chat.locator(".runagent-empty")).to_be_visible()
    notebook.run(4).wait_for_text(4, "[]")


def test_a_draft_outlives_an_edit_whose_question_is_gone(notebook: LabNotebook) -> None:
    chat = chat_in(notebook)
    ask(chat, "one")
    finished(chat)
    question(chat).fill("a draft")
    drop(question(chat), "drop", ("draft.txt", 3, "text/plain"))
    chips = chat.locator(".runagent-form .runagent-chip")
    expect(chips).to_have_count(1)
    chat.get_by_role("button", name="Edit").click()
    question(chat).fill("one, edited")
    expect(chips).to_have_count(0)
    notebook.run(2)
    expect(note(chat)).to_have_text(CHANGED)
    expect(question(chat)).to_have_value("one, edited")
    question(chat).press("Enter")
    finished(chat)
    expect(chat.locator(".runagent-question")).to_have_text("one, edited")
    expect(question(chat)).to_have_value("a draft")
    expect(chips).to_have_count(1)


def test_an_edit_that_is_refused_can_be_sent_as_a_new_question(browser: Browser) -> None:
    conversation = Conversation()
    conversation.add("one", "")[0].view.turn.end(elapsed=1, error=None, stopped=False)
    page = new_page(browser)
    page.set_content("<!doctype html><div id=widget></div>")
    show_chat(page, conversation.known(0))
    chat = page.locator(".runagent-chat")
    chat.get_by_role("button", name="Edit").click()
    ask(chat, "one, edited")
    (asked,) = sent(page, "ask")
    assert (asked["at"], asked["after"]) == (0, 0)
    # Another page has cleared the chat before the kernel took the question.
    tell(page, "turns", 2, first=0, turns=[])
    tell(page, "refused", 3, request=asked["request"], text="It was cleared.", early=False)
    expect(note(chat)).to_have_text("It was cleared.")
    expect(question(chat)).to_have_value("one, edited")
    question(chat).press("Enter")
    page.wait_for_function("sent.filter(({ type }) => type === 'ask').length === 2")
    again = sent(page, "ask")[1]
    assert again["text"] == "one, edited"
    assert (again["at"], again["after"]) == (None, None)
    page.close()


def test_a_file_that_is_being_read_goes_along(notebook: LabNotebook) -> None:
    chat = chat_in(notebook)
    notebook.page.evaluate(
        """() => {
          const { arrayBuffer } = Blob.prototype;
          const opened = new Promise((open) => { window.openFile = open; });
          File.prototype.arrayBuffer = function () {
            return opened.then(() => arrayBuffer.call(this));
          };
        }"""
    )
    drop(question(chat), "drop", ("slow.txt", 3, "text/plain"))
    ask(chat, "what is it")
    question(chat).press("Enter")
    notebook.page.evaluate("openFile()")
    finished(chat)
    expect(answer(chat)).to_contain_text("what is it, slow.txt 4")
    expect(question(chat)).to_have_value("")
    notebook.page.evaluate("delete File.prototype.arrayBuffer")
    notebook.run(4).wait_for_text(4, "['what is it']")
