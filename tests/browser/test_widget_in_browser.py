"""The chat widget in JupyterLab, as its user meets it."""

from __future__ import annotations

from playwright.sync_api import expect
from support.lab import Lab

_CHAT = (
    "from runagent_jupyter import AgentWidget\nw = AgentWidget('demo', context={'delay': 0.05})\nw"
)


def test_ask_by_keyboard_and_retry(lab: Lab) -> None:
    notebook = lab.open([_CHAT, "print('ran')"])
    notebook.run(0)
    chat = notebook.output(0)
    notebook.screenshot("widget-empty")
    question = chat.get_by_label("Question")
    question.fill("<img src=x onerror=alert(1)>")
    question.press("Enter")
    expect(chat.locator(".runagent-markdown h1")).to_have_text("Hello from the demo agent")
    expect(chat.get_by_role("button", name="Stop")).to_be_visible()
    expect(chat.locator(".runagent-question")).to_have_text("<img src=x onerror=alert(1)>")
    notebook.screenshot("widget-streaming")
    expect(chat.get_by_role("button", name="Retry")).to_be_visible(timeout=30_000)
    notebook.screenshot("widget-done")
    chat.get_by_role("button", name="Retry").click()
    expect(chat.get_by_role("button", name="Stop")).to_be_visible()
    chat.get_by_role("button", name="Stop").click()
    expect(chat.locator(".runagent-stopped")).to_have_text("Stopped")
    expect(chat.locator(".runagent-turn")).to_have_count(2)
    notebook.screenshot("widget-stopped")
    assert notebook.run(1).text(1).strip() == "ran"
    assert lab.watch.dialogs == []
    assert lab.watch.foreign == []


def test_two_views_and_clear(lab: Lab) -> None:
    notebook = lab.open([_CHAT, "w"])
    notebook.run_all()
    notebook.output(0).get_by_label("Question").fill("both")
    notebook.output(0).get_by_label("Question").press("Enter")
    for index in (0, 1):
        expect(notebook.output(index).locator(".runagent-question")).to_have_text("both")
    notebook.output(1).get_by_role("button", name="Clear").click()
    for index in (0, 1):
        expect(notebook.output(index).locator(".runagent-empty")).to_be_visible()
