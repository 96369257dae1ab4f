"""Branches of a chat in the page: edit any question, and go from one branch to another."""

from __future__ import annotations

from playwright.sync_api import expect
from support.chats import CHAT, ask, chat_in, finished
from support.lab import Lab


def test_any_question_is_edited_and_the_old_branch_is_reached_by_keyboard(lab: Lab) -> None:
    notebook = lab.open([CHAT])
    notebook.run(0)
    chat = chat_in(notebook)
    for count, text in enumerate(("one", "two", "three"), 1):
        ask(chat, text)
        finished(chat, 2 * count)
    questions = chat.locator(".runagent-question")
    edits = chat.get_by_role("button", name="Edit")
    expect(edits).to_have_count(3)
    expect(edits.first).to_have_css("opacity", "0")
    edits.first.focus()
    expect(edits.first).to_have_css("opacity", "1")
    notebook.page.keyboard.press("Enter")
    question = chat.get_by_label("Question")
    expect(question).to_be_focused()
    expect(question).to_have_value("one")
    notebook.screenshot("widget-edit-earlier")
    question.fill("uno")
    question.press("Enter")
    expect(questions).to_have_text(["uno"])
    finished(chat)
    branches = chat.get_by_role("group", name="Branch 2 of 2")
    expect(branches).to_contain_text("2/2")
    notebook.screenshot("widget-branch")
    previous = chat.get_by_role("button", name="Previous branch")
    previous.focus()
    notebook.page.keyboard.press("Enter")
    expect(questions).to_have_text(["one", "two", "three"])
    expect(chat.get_by_role("group", name="Branch 1 of 2")).to_be_visible()
    expect(previous).to_be_focused()  # that of the branch, which took the old one's place
    expect(questions.first).to_be_in_viewport()
    notebook.page.keyboard.press("Enter")  # around
    expect(questions).to_have_text(["uno"])
    # Where there is no kernel, nothing leads to another branch, but the page says which it shows.
    chat.get_by_role("button", name="Retry").click()
    expect(chat.get_by_role("group", name="Branch 3 of 3")).to_be_visible()
    finished(chat)
    notebook.restart()  # the page has a kernel, but it is another one
    expect(chat.get_by_text("The kernel behind this chat is gone")).to_be_visible()
    expect(previous).to_be_hidden()
    expect(chat.get_by_role("group", name="Branch 3 of 3")).to_be_visible()
