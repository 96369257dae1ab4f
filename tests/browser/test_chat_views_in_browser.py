"""One chat in several views of a page: two outputs, and an output that JupyterLab shows once more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect
from support.chats import OPEN, TOLD, answer, ask, chat_in, chips, drop, finished, note
from support.lab import Lab, LabNotebook

AGENT = TOLD + 'w = AgentWidget(["told", "demo"], height=300)\nw'

CLEAR, ASKED, AGAIN = "w.clear()", "print(asked)", "w"


def views_of(notebook: LabNotebook, way: str) -> tuple[Locator, Locator]:
    """Return two views of the chat in the first cell."""
    chat = chat_in(notebook)
    expect(chat).to_be_visible()
    if way == "two outputs":
        notebook.run(4)
        return chat, chat_in(notebook, 4)
    notebook.cell(0).locator(".jp-OutputPrompt, .jp-Cell-outputArea").first.click()
    notebook.command("notebook:create-output-view")
    return chat, notebook.page.locator(".jp-LinkedOutputView .runagent-chat")


@pytest.fixture
def notebook(lab: Lab) -> Iterator[LabNotebook]:
    """Return a notebook with a chat in its first cell."""
    opened = lab.open([AGENT, OPEN, CLEAR, ASKED, AGAIN])
    opened.run(0)
    yield opened
    assert lab.watch.console == []


@pytest.fixture(params=["two outputs", "New View for Output"])
def views(notebook: LabNotebook, request: pytest.FixtureRequest) -> tuple[Locator, Locator]:
    """Return two views of the chat."""
    return views_of(notebook, request.param)


def test_what_is_typed_is_of_one_view_and_what_is_asked_of_both(
    notebook: LabNotebook, views: tuple[Locator, Locator]
) -> None:
    here, there = views
    here.get_by_label("Question").fill("mine")
    drop(here.get_by_label("Question"), "drop", ("a.txt", 3, "text/plain"))
    expect(chips(here)).to_have_count(1)
    expect(there.get_by_label("Question")).to_have_value("")
    expect(chips(there)).to_have_count(0)
    ask(there, "wait")
    for chat in views:
        expect(answer(chat)).to_contain_text("begun")
        expect(chat.get_by_role("button", name="Stop")).to_be_visible()
    expect(here.get_by_label("Question")).to_have_value("mine")
    here.get_by_label("Question").press("Enter")
    expect(note(here)).to_contain_text("It is sent when this answer ends")
    expect(note(there)).to_have_text("Waits in another view: mine")
    notebook.screenshot("widget-views-queued")
    notebook.run(1)
    for chat in views:
        finished(chat, 4)
        expect(answer(chat)).to_contain_text("mine, a.txt 4")
        expect(chat.locator(".runagent-question").last).to_contain_text("a.txt · 1 kB")
        expect(note(chat)).to_have_text("")
    expect(chips(here)).to_have_count(0)
    notebook.run(3).wait_for_text(3, "['wait', 'mine']")

    # The menu is of one view; the branch and the agent are of the chat.
    here.get_by_text("Export", exact=True).click()
    expect(here.get_by_role("button", name="Save as Markdown")).to_be_visible()
    expect(there.get_by_role("button", name="Save as Markdown")).to_be_hidden()
    here.get_by_text("Export", exact=True).click()
    there.get_by_role("button", name="Edit").first.click()
    expect(here.locator(".runagent-edited")).to_have_count(0)
    expect(here.get_by_label("Question")).to_have_value("")
    there.get_by_label("Question").press("Escape")
    there.get_by_role("button", name="Retry").last.click()
    for chat in views:
        expect(chat.get_by_role("group", name="Branch 2 of 2")).to_be_visible()
        finished(chat, 4)
    here.get_by_role("button", name="Previous branch").click()
    expect(there.get_by_role("group", name="Branch 1 of 2")).to_be_visible()
    here.get_by_label("Send to").select_option("demo")
    expect(there.get_by_label("Send to")).to_have_value("demo")


def test_both_views_have_a_question_that_waits_and_each_is_asked_once(
    notebook: LabNotebook, views: tuple[Locator, Locator]
) -> None:
    here, there = views
    ask(here, "wait")
    expect(answer(there)).to_contain_text("begun")
    ask(here, "one")
    ask(there, "two")
    expect(note(here)).to_contain_text("It is sent when this answer ends")
    expect(note(here)).to_contain_text("Waits in another view: two")
    expect(note(there)).to_contain_text("Waits in another view: one")
    there.get_by_label("Question").press("End")
    there.get_by_label("Question").press("!")
    expect(note(here)).to_have_text("It is sent when this answer ends, unless you change it.")
    expect(note(there)).to_have_text("Waits in another view: one")
    there.get_by_label("Question").press("Enter")
    notebook.run(1)
    for chat in views:
        finished(chat, 6)
        expect(chat.locator(".runagent-question")).to_have_text(["wait", "one", "two!"])
        expect(chat.get_by_label("Question")).to_have_value("")
        expect(note(chat)).to_have_text("")
    notebook.run(3).wait_for_text(3, "['wait', 'one', 'two!']")


def test_a_view_that_goes_takes_its_question_along(notebook: LabNotebook) -> None:
    here, there = views_of(notebook, "two outputs")
    ask(here, "wait")
    expect(answer(there)).to_contain_text("begun")
    ask(there, "never")
    expect(note(here)).to_have_text("Waits in another view: never")
    notebook.command("notebook:clear-cell-output")
    expect(there).to_have_count(0)
    expect(note(here)).to_have_text("")
    notebook.run(1)
    finished(here)
    ask(here, "next")
    finished(here, 4)
    notebook.run(3).wait_for_text(3, "['wait', 'next']")
