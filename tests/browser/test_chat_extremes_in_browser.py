"""What readers of a chat type, paste and attach at the extremes; there is no kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from support.chats import ask, drop
from support.chromium import new_page
from support.staged_chat import sent, show_chat, tell

from runagent import StreamEvent
from runagent_jupyter.chats.conversation import Conversation

NAMES = [
    "<img src=x onerror=alert(1)>.png",
    "\u202egnp.exe",
    "..",
    "a\u0000b\nc.txt",
    "\u05d0\u05d1 \u0639.csv",
    "\U0001f600" * 60 + ".pdf",
    "x" * 4_000,
    "__proto__",
]


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    page = new_page(browser, viewport={"width": 700, "height": 800})
    page.set_content("<!doctype html><body class=jp-NotebookPanel><div id=widget></div>")
    yield page
    page.close()


@pytest.fixture
def chat(page: Page) -> Locator:
    show_chat(page, [], height=400)
    return page.locator(".runagent-chat")


def is_wider_than_it_may_be(chat: Locator) -> Any:
    return chat.evaluate(
        """(chat) => [...chat.querySelectorAll("*")].filter((node) =>
          node.getBoundingClientRect().right > chat.getBoundingClientRect().right + 1
          && !node.closest(".runagent-spoken")).map((node) => node.className)"""
    )


def test_names_of_files_are_text_of_one_line(page: Page, chat: Locator) -> None:
    question = chat.get_by_label("Question")
    drop(question, "drop", *((name, 5, "") for name in NAMES))
    chips = chat.locator(".runagent-form .runagent-chip")
    expect(chips).to_have_count(len(NAMES))
    expect(chat.locator(".runagent-chip img")).to_have_count(0)
    expect(chips.nth(1)).to_have_text("gnp.exe \u00b7 1 kB\u00d7")
    expect(chips.nth(3)).to_have_text("abc.txt \u00b7 1 kB\u00d7")
    assert is_wider_than_it_may_be(chat) == []
    ask(chat, "What are they?")
    (asked,) = sent(page, "ask")
    assert [file["name"] for file in asked["files"]] == NAMES
    assert len(sent(page, "piece")) == len(NAMES)


def test_a_hundred_files_are_taken_and_no_more(chat: Locator) -> None:
    drop(chat.get_by_label("Question"), "drop", *((f"{n}.txt", 1, "") for n in range(102)))
    expect(chat.locator(".runagent-form .runagent-chip")).to_have_count(100)
    expect(chat.locator(".runagent-note")).to_contain_text("2 not attached (100.txt \u00b7 1 kB)")
    expect(chat.get_by_role("button", name="Send")).to_be_in_viewport()


def test_the_enter_of_a_composition_sends_nothing(page: Page, chat: Locator) -> None:
    question = chat.get_by_label("Question")
    question.focus()
    keyboard = page.context.new_cdp_session(page)
    keyboard.send(
        "Input.imeSetComposition",
        {"text": "\u304b\u3093\u3058", "selectionStart": 3, "selectionEnd": 3},
    )
    enter = {"type": "rawKeyDown", "key": "Enter", "windowsVirtualKeyCode": 229}
    keyboard.send("Input.dispatchKeyEvent", enter)
    expect(question).to_have_value("\u304b\u3093\u3058")
    keyboard.send("Input.insertText", {"text": "\u6f22\u5b57"})
    # Safari ends the composition before its key comes.
    question.dispatch_event("keydown", {"key": "Enter", "keyCode": 229, "bubbles": True})
    assert sent(page, "ask") == []
    page.keyboard.press("Enter")
    assert [message["text"] for message in sent(page, "ask")] == ["\u6f22\u5b57"]


def test_a_question_of_one_endless_line_stays_in_its_place(page: Page, chat: Locator) -> None:
    long = "x" * 300_000
    question = chat.get_by_label("Question")
    question.fill(long)
    question.press("Enter")
    (asked,) = sent(page, "ask")
    made = Conversation()
    made.add(long, asked["request"])
    tell(page, "turns", 2, first=0, turns=made.known(0))
    expect(question).to_have_value("")
    assert is_wider_than_it_may_be(chat) == []
    expect(chat.get_by_role("button", name="Stop")).to_be_in_viewport()


def test_right_to_left_questions_have_their_direction(page: Page, chat: Locator) -> None:
    text = "\u05de\u05d4 \u05e9\u05dc\u05d5\u05de\u05da?"
    made = Conversation()
    made.add(text, "")
    tell(page, "turns", 2, first=0, turns=made.known(0))
    shown = chat.locator(".runagent-question")
    expect(shown).to_have_css("direction", "rtl")
    chat.get_by_label("Question").fill(text)
    expect(chat.get_by_label("Question")).to_have_css("direction", "rtl")


def test_a_thousand_branches_of_a_question_are_one_step_apart(page: Page, chat: Locator) -> None:
    made = Conversation()
    for number in range(1_000):
        first = made._all[0] if number else None
        view = made.add(f"Question {number}", "", first)[0].view
        view.turn.end(elapsed=0.0, error=None, stopped=False)
        view.end()
    tell(page, "turns", 2, first=0, turns=made.known(0))
    expect(chat.get_by_role("group", name="Branch 1000 of 1000")).to_be_visible()
    chat.get_by_role("button", name="Next branch").click()
    chat.get_by_role("button", name="Previous branch").click()
    assert [message["at"] for message in sent(page, "branch")] == [0, 998]
    assert is_wider_than_it_may_be(chat) == []
    made.show(made._all[998])
    tell(page, "turns", 3, first=0, turns=made.known(0))
    expect(chat.get_by_role("group", name="Branch 999 of 1000")).to_be_visible()
    assert made.sum().endswith("1,000 branches")


def test_a_table_is_copied_for_a_spreadsheet(page: Page, chat: Locator) -> None:
    made = Conversation()
    view = made.add("And?", "")[0].view
    text = "| Left | Right |\n|--|--|\n| *a*  b | 1 |\n| `c` | |\n\nEnd"
    view.take(StreamEvent("chunk", text, text))
    view.turn.end(elapsed=0.0, error=None, stopped=False)
    view.end()
    tell(page, "turns", 2, first=0, turns=made.known(0))
    copy = chat.get_by_role("button", name="Copy table")
    expect(copy).to_have_css("opacity", "0")
    copy.focus()
    page.keyboard.press("Enter")
    expect(copy).to_have_css("opacity", "1")
    chat.get_by_label("Question").press("Control+V")
    expect(chat.get_by_label("Question")).to_have_value("Left\tRight\na b\t1\nc\t")
