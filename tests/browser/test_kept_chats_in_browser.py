"""A chat with a file in JupyterLab: thumbs, the sum in the menu, and the death of the kernel."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect
from support.chats import AGENTS, answer, ask, chat_in, finished
from support.lab import Lab

KILL = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"


def test_a_chat_outlives_its_kernel_with_its_thumbs(lab: Lab, tmp_path: Path) -> None:
    store = str(tmp_path / "talk.json")
    told = "def told(turn): print(turn.feedback)"
    cell = f"{told}\nw = AgentWidget('works', store={store!r}, on_feedback=told)\nw"
    notebook = lab.open([AGENTS, cell, KILL, "[t.feedback for t in w.turns]"])
    notebook.run(0).run(1)
    chat = chat_in(notebook, 1)
    ask(chat, "How many?")
    finished(chat)
    ask(chat, "Really?")
    finished(chat, 4)
    good = answer(chat).get_by_role("button", name="Good")
    bad = answer(chat).get_by_role("button", name="Bad")
    expect(good).to_have_attribute("aria-pressed", "false")
    good.click()
    expect(good).to_have_attribute("aria-pressed", "true")
    bad.focus()
    notebook.page.keyboard.press("Enter")
    expect(bad).to_have_attribute("aria-pressed", "true")
    expect(good).to_have_attribute("aria-pressed", "false")
    notebook.run(3).wait_for_text(3, "[None, None, None, 'down']")
    chat.get_by_text("Export", exact=True).click()
    expect(chat.get_by_text("2 answers · ")).to_be_visible()
    for theme in ("light", "dark"):
        notebook.theme(theme)
        notebook.screenshot(f"widget-thumbs-{theme}", of=chat)

    chat.get_by_text("Export", exact=True).click()
    chat.get_by_label("Question").fill("not sent yet")
    notebook.start_cell(2)
    expect(chat.locator(".runagent-note")).to_contain_text("The kernel behind this chat is gone")
    expect(chat.get_by_label("Question")).to_have_value("not sent yet")
    expect(chat.get_by_role("button", name="Bad")).to_have_count(1)
    expect(chat.get_by_role("button", name="Good")).to_have_count(0)
    notebook.page.get_by_role(
        "button", name="Ok", exact=True
    ).click()  # JupyterLab says that it restarts
    notebook.screenshot("widget-killed", of=chat)
    notebook.wait_idle()
    notebook.run(0).run(1)
    expect(chat.locator(".runagent-question")).to_have_text(["How many?", "Really?"])
    expect(bad).to_have_attribute("aria-pressed", "true")
    ask(chat, "And now?")
    finished(chat, 6)
    notebook.screenshot("widget-goes-on", of=chat)
