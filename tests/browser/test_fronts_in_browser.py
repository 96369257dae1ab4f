"""Answers and chats in the pages of many front ends: everything can be read there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from support.answers import ANSWER, conversation, outputs
from support.chromium import new_page
from support.contrast import contrasts
from support.fronts import FRONTS
from support.staged_chat import show_chat, tell

from runagent_jupyter import html

UNFOLD = """
() => {
  const roots = [document, document.querySelector("#widget").shadowRoot].filter(Boolean);
  for (const root of roots) for (const fold of root.querySelectorAll("details")) fold.open = true;
}
"""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    page = new_page(browser, viewport={"width": 900, "height": 1200})
    yield page
    page.close()


def show(page: Page, name: str) -> None:
    """Show the answers and the chat in a front end, with all folds open."""
    front = FRONTS[name]
    page.goto("about:blank")
    page.set_content(front.page(outputs()))
    show_chat(page, conversation().known(0), shadow=front.shadow)
    page.evaluate(UNFOLD)


@pytest.mark.parametrize("name", FRONTS)
def test_all_text_can_be_read_in_every_front(page: Page, name: str) -> None:
    show(page, name)
    for system in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if system == "dark" else "light")
        found = contrasts(page)
        texts = {text for _, text in found}
        assert len(found) > 400
        assert {"A heading", "# a comment", "Retry", "::placeholder", "Save as Markdown"} <= texts
        assert found[0][0] >= 4.5, found[:12]


STYLES = """
() => [...document.querySelectorAll(".runagent-markdown, .runagent-markdown *")].map((node) =>
  [null, "::before"].map((part) => {
    const style = getComputedStyle(node, part);
    // Text without letters from right to left and without tabs needs no rules for them.
    const own = [...style].filter((name) => !/^--|^unicode-bidi$|^tab-size$/.test(name));
    return own.map((name) => `${node.tagName} ${name}: ${style[name]}`).join("; ");
  }))
"""


@pytest.mark.parametrize("name", ["JupyterLab dark", "vscode-light"])
def test_the_rules_that_an_answer_carries_look_like_the_whole_sheet(page: Page, name: str) -> None:
    front = FRONTS[name]
    rows = [{"name": "a", "size": 1.5}] * 3
    contents = [
        html.with_copy_buttons(html.render(text)) for text in (ANSWER, *ANSWER.split("\n\n"))
    ]
    contents += [html.record_table(rows), html.json_tree({"a": [1, "b", None]}), html.plain("x")]
    for content in contents:
        looks = []
        for styled in (html.style_element() + html.wrap(content, styled=False), html.wrap(content)):
            page.set_content(front.page(styled))
            looks.append(page.evaluate(STYLES))
        whole, carried = looks
        assert len(whole) > 1
        assert carried == whole


def test_a_guess_would_be_found(page: Page) -> None:
    page.emulate_media(color_scheme="dark")
    page.set_content(
        "<p style='color: light-dark(#999, white)'>pale <b style='color: #000'>black</b>"
    )
    (pale, _), (black, _) = contrasts(page)
    assert (round(pale, 1), black) == (2.8, 21)


def test_code_goes_into_no_notebook_that_nobody_sees(page: Page) -> None:
    # The manager of widgets in VS Code has a model of JupyterLab's for itself.
    page.set_content(FRONTS["vscode-dark"].page(""))
    notebook = {"addCell": True, "insertCell": True, "cells": []}
    manager = {"context": {"model": {"sharedModel": notebook}}}
    show_chat(page, conversation().known(0), manager=manager)
    new_cell = page.get_by_role("button", name="To a new cell")
    expect(page.get_by_role("button", name="Copy code").first).to_be_attached()
    expect(new_cell).to_have_count(0)
    page.evaluate("document.body.classList.add('jp-Notebook')")
    show_chat(page, conversation().known(0), manager=manager)
    expect(new_cell.first).to_be_attached()
    notebook.pop("addCell")  # before 3.6, JupyterLab inserts cells of another kind
    show_chat(page, conversation().known(0), manager=manager)
    expect(page.get_by_role("button", name="Copy code").first).to_be_attached()
    expect(new_cell).to_have_count(0)


def test_a_chat_that_may_not_copy_says_so_and_shows_the_cell(page: Page) -> None:
    page.set_content(FRONTS["vscode-dark"].page(""))
    show_chat(page, conversation().known(0))
    page.evaluate("document.execCommand = () => false")
    copy = page.get_by_role("button", name="Copy code").first
    copy.click()
    expect(copy).to_have_attribute("value", "Not allowed here")
    page.locator("summary", has_text="Export").click()
    page.get_by_role("button", name="Copy as notebook cell").click()
    tell(page, "export", 2, markdown="", cell="%%runagent works\nHow many?")
    note = page.locator(".runagent-note")
    expect(note).to_contain_text("The browser did not allow copying. The cell is:")
    expect(note).to_contain_text("%%runagent works\nHow many?")


def test_nothing_is_missing_in_a_picture_of_a_whole_page(page: Page) -> None:
    show(page, "nothing but a page")
    ways = "[...document.querySelectorAll('*')].map((n) => getComputedStyle(n).contentVisibility)"
    assert set(page.evaluate(ways)) == {"visible"}
