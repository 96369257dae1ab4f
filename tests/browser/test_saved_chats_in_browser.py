"""A chat in the page of an executed notebook: the view of the saved state, or the copy below it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from playwright.sync_api import Browser, Page, expect
from support.notebooks import executed

# What ipywidgets and anywidget do in an exported page: a model of the saved state, and no kernel.
SHOW = """
async (states) => {
  for (const { state, buffers } of JSON.parse(states)) {
    for (const { path, data } of buffers ?? []) {
      const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
      state[path[0]][path[1]] = new DataView(bytes.buffer);
    }
    const model = {
      get: (name) => state[name], on() {}, off() {}, set() {},
      send() { throw new Error("no kernel"); },
    };
    const el = document.querySelector(".jp-OutputArea-output").appendChild(document.createElement("div"));
    const style = el.appendChild(document.createElement("style"));
    style.textContent = state._css;
    const url = URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" }));
    const widget = (await import(url)).default();
    await widget.initialize({ model });
    widget.render({ model, el });
  }
}
"""


@pytest.fixture(scope="module")
def notebook() -> NotebookNode:
    return executed(
        "from runagent_jupyter import AgentWidget\nw = AgentWidget('demo', context={'delay': 0})",
        "w",
        "w.ask('first') and None",
        "w.ask('second') and None",
    )


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 900, "height": 1000})
    yield page
    page.close()


def show(page: Page, notebook: NotebookNode, *, without_turns: bool = False) -> None:
    """Show the notebook as exported.

    Args:
        page: The page.
        notebook: The notebook.
        without_turns: Whether the saved state of the chat has no turns.
    """
    saved = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"].state
    states: list[dict[str, Any]] = [one for one in saved.values() if "_esm" in one.state]
    if without_turns:
        states = [
            {"state": {**one["state"], "_snapshot": {"first": 0, "seq": 0, "turns": []}}}
            for one in states
        ]
    plain = HTMLExporter(exclude_input=True)
    exported, _ = plain.from_notebook_node(notebook)
    page.route("**", lambda route: route.abort())
    page.set_content(exported, wait_until="domcontentloaded")
    page.evaluate(SHOW, json.dumps(states))


def test_the_view_of_the_saved_state_has_the_turns_and_hides_the_copy(
    page: Page, notebook: NotebookNode
) -> None:
    show(page, notebook)
    questions = page.locator(".runagent-chat .runagent-question")
    expect(questions).to_have_text(["first", "second"])
    expect(page.locator(".runagent-chat .runagent-markdown h1")).to_have_count(2)
    expect(page.locator(".runagent-saved")).to_be_hidden()


def test_a_copy_that_knows_more_than_the_saved_state_is_shown(
    page: Page, notebook: NotebookNode
) -> None:
    show(page, notebook, without_turns=True)
    expect(page.locator(".runagent-chat")).to_be_hidden()
    saved = page.locator(".runagent-saved")
    expect(saved).to_be_visible()
    expect(saved.locator(".runagent-question")).to_have_count(2)
    expect(saved).to_contain_text("second")
