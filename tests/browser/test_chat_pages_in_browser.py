"""A chat while much happens at once: files and questions during an answer, two pages, a reload."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect
from support.chats import OPEN, TOLD, answer, ask, chat_in, chips, drop, finished, note
from support.lab import Lab, LabNotebook

AGENT = TOLD + 'w = AgentWidget("told", height=900)\nw'


@pytest.fixture
def notebook(lab: Lab) -> Iterator[LabNotebook]:
    """Return a notebook with a chat in its first cell."""
    opened = lab.open([AGENT, OPEN])
    opened.run(0)
    yield opened
    assert lab.watch.console == []


@pytest.fixture
def other(notebook: LabNotebook) -> Iterator[LabNotebook]:
    """Return the same notebook in a second page."""
    notebook.save()
    page = notebook.page.context.new_page()
    yield LabNotebook(notebook.lab, page, notebook.path).load()
    page.close()


def test_files_and_a_question_come_while_an_answer_runs(notebook: LabNotebook) -> None:
    chat = chat_in(notebook)
    question = chat.get_by_label("Question")
    ask(chat, "wait")
    expect(answer(chat)).to_contain_text("begun")
    drop(question, "drop", ("a.txt", 3, "text/plain"))
    drop(question, "paste", ("b.png", 6, "image/png"))
    expect(chips(chat)).to_have_count(2)
    ask(chat, "and then")
    expect(note(chat)).to_contain_text("is sent when this answer ends")
    question.press("End")
    question.press("?")
    expect(note(chat)).to_have_text("")
    question.press("Enter")
    expect(note(chat)).to_contain_text("is sent when this answer ends")
    for theme in ("light", "dark"):
        notebook.theme(theme)
        notebook.screenshot(f"widget-queued-{theme}", of=chat)
    expect(chat.locator(".runagent-turn")).to_have_count(2)
    notebook.run(1)
    finished(chat, 4)
    expect(answer(chat)).to_contain_text("and then?, a.txt 4, b.png 8")
    expect(question).to_have_value("")
    expect(chips(chat)).to_have_count(0)
    expect(note(chat)).to_have_text("")


def test_two_pages_share_branches_but_no_draft(notebook: LabNotebook, other: LabNotebook) -> None:
    here, there = chat_in(notebook), chat_in(other)
    drop(here.get_by_label("Question"), "drop", ("a.txt", 3, "text/plain"))
    expect(chips(here)).to_have_count(1)
    ask(here, "one")
    finished(there)
    expect(there.locator(".runagent-question")).to_contain_text("a.txt · 1 kB")
    here.get_by_label("Question").fill("mine")

    # A branch that one page begins is in both; what they are writing is their own.
    there.get_by_role("button", name="Edit").click()
    expect(chips(there)).to_have_count(1)
    expect(chips(here)).to_have_count(0)
    ask(there, "uno")
    for chat in (here, there):
        finished(chat)
        expect(chat.get_by_role("group", name="Branch 2 of 2")).to_be_visible()
        expect(answer(chat)).to_contain_text("uno, a.txt 4")
    expect(here.get_by_label("Question")).to_have_value("mine")
    here.get_by_role("button", name="Previous branch").click()
    expect(there.get_by_role("group", name="Branch 1 of 2")).to_be_visible()

    # The other page leaves the branch whose question is being edited here.
    here.get_by_role("button", name="Edit").click()
    here.get_by_label("Question").fill("half of")
    there.get_by_role("button", name="Next branch").click()
    expect(note(here)).to_contain_text("would be sent as a new question")
    expect(here.get_by_label("Question")).to_have_value("half of")
    expect(chips(here)).to_have_count(1)
    expect(here.locator(".runagent-edited")).to_have_count(0)

    # Both ask at a time: each question is answered.
    ask(there, "wait")
    expect(answer(here)).to_contain_text("begun")
    here.get_by_label("Question").press("Enter")
    notebook.run(1)
    for chat in (here, there):
        finished(chat, 6)
        expect(answer(chat)).to_contain_text("half of, a.txt 4")


def test_a_page_reloads_in_the_middle_of_an_upload(notebook: LabNotebook) -> None:
    chat = chat_in(notebook)
    notebook.save()
    notebook.page.evaluate(
        """() => {
          const { send } = WebSocket.prototype;
          window.pieces = 0;
          WebSocket.prototype.send = function (data) {
            if ((data.byteLength ?? data.size ?? 0) > 1e6) window.pieces += 1;
            if (window.pieces < 2) send.call(this, data);
          };
        }"""
    )
    drop(chat.get_by_label("Question"), "drop", ("large.bin", 9_000_000, ""))
    expect(chips(chat)).to_have_text("large.bin · 9000 kB×")
    ask(chat, "what is it")
    notebook.page.wait_for_function("window.pieces >= 2")
    notebook.reload()
    chat = chat_in(notebook)
    expect(chat.get_by_text("Enter sends it")).to_be_visible()
    expect(chips(chat)).to_have_count(0)
    drop(chat.get_by_label("Question"), "drop", ("large.bin", 9_000_000, ""))
    expect(chips(chat)).to_have_count(1)
    ask(chat, "again")
    finished(chat)
    expect(answer(chat)).to_contain_text("again, large.bin 12000000")
