"""Chats and cells can be used by all: axe finds nothing in any state, and answers are told."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect
from support.answers import new_conversation, outputs
from support.chromium import new_page
from support.fronts import FRONTS
from support.staged_chat import lose_kernel, show_chat, tell

from runagent import StreamEvent
from runagent_jupyter.chats.conversation import Conversation

Turns = list[dict[str, Any]]

RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
FRONT = {
    "light": "JupyterLab light",
    "dark": "JupyterLab dark",
    "high contrast": "nothing but a page",
}
STATES = (
    *("empty", "waits", "running", "queued", "ended", "stopped"),
    *("branch", "menu", "editing", "along", "gone"),
)


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    page = new_page(browser, viewport={"width": 800, "height": 900})
    yield page
    page.close()


@cache
def answered() -> Turns:
    """An answer of all kinds that the reader likes, one that failed, and one that was stopped."""
    made = new_conversation()
    made.exchange_of(made.turns[1]).view.turn.feedback = "up"
    view = made.add("Stop soon", "")[0].view
    view.take(StreamEvent("chunk", "Half a sen", "Half a sen"))
    view.turn.end(elapsed=1.0, error=None, stopped=True)
    view.end()
    return made.known(0)


@cache
def running() -> Turns:
    made = Conversation()
    view = made.add("Why?", "")[0].view
    view.take(StreamEvent("chunk", {"type": "tool_call", "name": "search"}))
    view.take(StreamEvent("chunk", "One.\n\nTwo", "One.\n\nTwo"))
    view.feed()
    view.delta()
    return made.known(0)


def waiting() -> Turns:
    made = Conversation()
    made.add("Why?", "")
    return made.known(0)


def branched() -> Turns:
    turns = copy.deepcopy(answered())
    turns[0]["branches"] = [-1, turns[0]["id"], 9]
    return turns


def attached() -> Turns:
    """A question with files of short names, beside each other, and an answer of one of two agents."""
    turns = branched()
    turns[0] |= {"attached": [*(f"{n} · 1 kB" for n in "abc"), "@df · int"], "files": 3}
    turns[1]["agent"] = "Plan"
    return turns


def nothing() -> Turns:
    return []


TURNS: dict[str, Callable[[], Turns]] = {
    "empty": nothing,
    "waits": waiting,
    "running": running,
    "queued": running,
    "branch": branched,
    "along": attached,
}


def stage(page: Page, state: str) -> None:
    """Show a chat in a state."""
    show_chat(
        page,
        TURNS.get(state, answered)(),
        suggestions=["What can you do?"],
        _copy="no-copy-of-it",
        _labels=["Plan", "Judge"] if state == "along" else ["Chat"],
        agent="Judge" if state == "along" else "Chat",
    )
    chat = page.locator(".runagent-chat")
    if state == "menu":
        chat.get_by_text("Export").click()
        expect(chat.get_by_role("button", name="Save as Markdown")).to_be_visible()
    if state in ("editing", "along"):
        chat.get_by_role("button", name="Edit").first.click()
        expect(chat.locator(".runagent-edited")).to_have_count(1)
    if state == "along":
        expect(chat.get_by_role("button", name="Remove c")).to_be_visible()
        expect(chat.get_by_label("Send to")).to_be_visible()
    if state == "queued":
        chat.get_by_label("Question").fill("And then?")
        chat.get_by_label("Question").press("Enter")
        expect(chat.get_by_text("It is sent when this answer ends")).to_be_visible()
    if state == "gone":
        lose_kernel(page)
        expect(chat.get_by_text("The kernel behind this chat is gone")).to_be_visible()
    marks = {
        "empty": "What can you do?",
        "waits": "Waiting for the agent",
        "running": "Answering",
        "branch": "2/3",
        "stopped": "stopped",
    }
    if state in marks:
        expect(chat.get_by_text(marks[state]).last).to_be_visible()
    page.evaluate(
        "for (const fold of document.querySelectorAll('details.runagent-steps, details.runagent-step')) fold.open = true"
    )


def violations(page: Page, place: str) -> list[tuple[str, str]]:
    """What axe finds in a part of a page: the rules, and the elements."""
    options = {"runOnly": RULES, "resultTypes": ["violations"]}
    found = Axe().run(page, place, options).response["violations"]
    return [(rule["id"], node["html"][:200]) for rule in found for node in rule["nodes"]]


@pytest.mark.parametrize("look", FRONT)
def test_axe_finds_nothing(page: Page, look: str) -> None:
    page.emulate_media(
        color_scheme="dark" if look == "dark" else "light",
        forced_colors="active" if look == "high contrast" else "none",
    )
    page.goto("about:blank")
    page.set_content(FRONTS[FRONT[look]].page(outputs()))
    found = {}
    for state in STATES:
        stage(page, state)
        found[state] = violations(page, "#widget")
    page.evaluate("document.querySelector('#widget').replaceChildren()")
    found["cells and a saved copy"] = violations(page, "body")
    wrong = {rule: state for state, rules in found.items() for rule in rules}
    assert not wrong, "\n".join(f"{state}: {name}: {node}" for (name, node), state in wrong.items())


def test_axe_finds_what_is_wrong(page: Page) -> None:
    page.set_content("<main><button></button><p style='color: #ccc'>pale</p></main>")
    assert {rule for rule, _ in violations(page, "main")} == {"button-name", "color-contrast"}


def test_an_answer_is_told_in_sentences_and_blocks(page: Page) -> None:
    page.set_content(FRONTS["nothing but a page"].page(""))
    show_chat(page, waiting())
    page.evaluate("""() => {
      window.told = [];
      const region = document.querySelector("[aria-live=polite]");
      const note = () => told.push(region.textContent);
      new MutationObserver(note).observe(region, { childList: true });
    }""")
    expect(page.get_by_role("log")).to_have_attribute("aria-live", "off")
    sent: list[tuple[int, list[str]]] = [
        (0, ["<p>Well"]),
        (7, [", 3.5 <b>rows</b>. And"]),
        (29, [" then? So"]),
        (38, [" on</p>", "<pre>x = 1</pre>", "<p>La"]),
        (5, ["st words</p>"]),
    ]
    news: dict[str, Any] = {"turn": 1, "steps_from": 0, "steps": []}
    for seq, (keep, parts) in enumerate(sent, 2):
        tell(page, "delta", seq, **news, keep=keep, parts=parts)
    end = {"status": "error", "error": "It broke.", "facts": "", "feedback": ""}
    tell(page, "delta", 7, **news, keep=0, parts=["<p>Last words</p>", ""], ending=end)
    tell(page, "delta", 8, **news, keep=0, parts=[""], ending={**end, "feedback": "up"})
    expect(page.locator("[aria-pressed=true]")).to_have_count(1)
    assert page.evaluate("told") == [
        "Well, 3.5 rows.",
        "And then?",
        "So on x = 1",
        "Last words It broke.",
    ]


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_a_narrow_page_of_either_direction_scrolls_one_way_only(page: Page, direction: str) -> None:
    """A page of 640 pixels at 200 % has 320."""
    page.set_viewport_size({"width": 320, "height": 500})
    page.emulate_media(reduced_motion="reduce")
    page.set_content(FRONTS["nothing but a page"].page(""))
    page.evaluate("direction => { document.documentElement.dir = direction }", direction)
    for state in ("empty", "branch", "menu", "editing", "running"):
        stage(page, state)
        wide = "document.documentElement.scrollWidth - innerWidth"
        assert page.evaluate(wide) <= 0, state
        inner = "node => node.scrollWidth - node.clientWidth"
        assert page.locator(".runagent-log").evaluate(inner) <= 0, state
        items = page.locator(".runagent-items")
        if state == "menu":
            box = items.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 320
    moves = "getComputedStyle(document.querySelector('.runagent-is-streaming'), '::before').animationName"
    assert page.evaluate(moves) == "none"
    page.set_viewport_size({"width": 800, "height": 900})


@pytest.mark.parametrize("front", ["nothing but a page", "marimo light"])
def test_the_focus_stays_on_the_way_from_branch_to_branch(page: Page, front: str) -> None:
    page.goto("about:blank")
    page.set_content(FRONTS[front].page(""))
    turns = branched()
    show_chat(page, turns, shadow=FRONTS[front].shadow)
    button = page.get_by_role("button", name="Next branch")
    button.focus()
    other = [{**turns[0], "id": 9, "text": "Another"}, turns[1]]
    tell(page, "turns", 2, first=0, turns=other)
    expect(page.get_by_role("group", name="Branch 3 of 3")).to_be_visible()
    expect(button).to_be_focused()
    page.keyboard.press("Tab")
    expect(button).not_to_be_focused()
    tell(page, "turns", 3, first=0, turns=[])
    expect(page.get_by_role("button", name="Next branch")).to_have_count(0)
    expect(page.get_by_label("Question")).to_be_focused()
