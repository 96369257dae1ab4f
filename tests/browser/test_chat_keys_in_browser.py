"""With the focus in a chat: the notebook's shortcuts work, and no key of the chat changes a cell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Locator, Page, expect
from support.chats import CHAT, ask, finished
from support.clock import PATIENCE, milliseconds, until
from support.lab import Lab, LabNotebook


@contextmanager
def opened(lab: Lab, program: str) -> Iterator[tuple[LabNotebook, Page]]:
    """Open a notebook with a chat and a second cell that was edited, in JupyterLab or Notebook 7."""
    notebook = lab.open([CHAT, "1 + 1"])
    notebook.command("docmanager:toggle-autosave")
    page = notebook.page
    if program == "Notebook 7":
        page = page.context.new_page()
        page.goto(f"{lab.server.url}notebooks/{notebook.path}?token={lab.server.token}")
    editors = page.locator(".jp-Cell .cm-content")
    editors.nth(1).click(timeout=milliseconds(PATIENCE))
    page.keyboard.press("End")
    page.keyboard.type("9")
    editors.first.click()
    page.keyboard.press("Control+Enter")
    yield notebook, page
    if page is not notebook.page:
        page.close()
    notebook.command("docmanager:toggle-autosave")


def save_by_key(notebook: LabNotebook, page: Page) -> list[tuple[str, str]]:
    """Press Ctrl+S, wait for the file, and return the kinds and sources of its cells."""
    path = notebook.lab.server.directory / notebook.path
    before = path.stat().st_mtime_ns
    page.keyboard.press("Control+s")
    until(lambda: path.stat().st_mtime_ns != before and path.read_text().endswith("}\n"))
    return [(cell.cell_type, cell.source) for cell in notebook.file().cells]


@pytest.mark.parametrize("program", ["JupyterLab", "Notebook 7"])
def test_keys_in_the_chat(lab: Lab, program: str) -> None:
    cells = [("code", CHAT), ("code", "1 + 19")]
    with opened(lab, program) as (notebook, page):
        chat = page.locator(".runagent-chat")
        question = chat.get_by_label("Question")
        question.click(timeout=milliseconds(PATIENCE))
        edit_text(page, question)
        assert save_by_key(notebook, page) == cells
        ask(chat, "hello")
        finished(chat)
        chat.get_by_role("button", name="Retry").focus()
        for key in ("b", "x", "m", "d", "d", "Control+Shift+M", "Control+a", "Control+Backspace"):
            page.keyboard.press(key)
        assert save_by_key(notebook, page) == cells
        expect(page.locator(".jp-Dialog")).to_have_count(0)


def edit_text(page: Page, question: Locator) -> None:
    """Type, undo, redo, copy and paste in the chat's input."""
    keyboard = page.keyboard
    keyboard.type("add max")
    keyboard.press("Control+a")
    keyboard.press("Control+x")
    expect(question).to_have_value("")
    keyboard.press("Control+z")
    expect(question).to_have_value("add max")
    keyboard.press("Control+Shift+z")
    expect(question).to_have_value("")
    keyboard.press("Control+v")
    keyboard.press("Shift+Enter")
    keyboard.press("Control+v")
    expect(question).to_have_value("add max\nadd max")
    expect(question).to_be_focused()
