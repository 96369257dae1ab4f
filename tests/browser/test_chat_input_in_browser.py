"""What goes along with a question: files, pictures, variables, and the agent that is asked."""

from __future__ import annotations

from playwright.sync_api import Locator, expect
from support.chats import answer, ask, chat_in, drop, finished
from support.lab import Lab, LabNotebook

AGENTS = """
import base64, json
import pandas as pd
from runagent.local import agent
from runagent_jupyter import AgentWidget

def told(fields):
    files = [
        (file["name"], file["mime"], len(base64.b64decode(file["data"])))
        for file in fields.get("attachments", ())
    ]
    values = {k: v for k, v in fields.items() if k not in ("session_id", "attachments")}
    return f"`{json.dumps([files, values])}`"

@agent("planner")
def planner(query: str, **fields):
    return told(fields)

@agent("critic")
def critic(query: str, **fields):
    return "weak\\n\\n```python\\nprint(1)\\n\\nprint(2)\\n```\\n"

@agent("plain")
def plain(query: str):
    return query

df = pd.DataFrame({"a": [1, 2]})
digits = [3]
"""


def test_what_goes_along_with_a_question(lab: Lab) -> None:
    pair = "w = AgentWidget(['planner', 'critic'], height=900)\nw"
    refuse = "w.context = {'attachments': 1}"
    notebook = lab.open([AGENTS, pair, "w.agent", refuse, "w.context = {}"])
    notebook.run(0).run(1)
    chat = chat_in(notebook, 1)
    attach_files(notebook, chat)
    name_variables(notebook, chat)
    chips = chat.locator(".runagent-form .runagent-chip")
    question = chat.get_by_label("Question")
    question.press("Enter")
    finished(chat)
    expect(answer(chat)).to_contain_text('["by hand.csv", "text/csv", 12000000]')
    expect(answer(chat)).to_contain_text('["ab.txt", "text/plain", 5], ["empty.bin"')
    expect(answer(chat)).to_contain_text('{"df": [{"a": 1}, {"a": 2}]}')
    expect(chips).to_have_count(0)
    asked = chat.locator(".runagent-question .runagent-chip")
    expect(asked).to_have_count(5)

    # What went along goes along again, unless it is taken away.
    question.fill("a draft")
    drop(question, "drop", ("draft.txt", 5, "text/plain"))
    chat.get_by_label("Send to").select_option("critic")
    chat.get_by_role("button", name="Edit").click()
    expect(chips).to_have_count(5)
    for theme in ("light", "dark"):
        notebook.theme(theme)
        notebook.screenshot(f"widget-edit-attached-{theme}", of=chat)
    chat.get_by_role("button", name="Remove ab.txt").click()
    question.press("Enter")
    expect(answer(chat)).to_have_attribute("aria-label", "critic")
    finished(chat)
    expect(asked).to_have_count(4)
    expect(question).to_have_value("a draft")
    expect(chips).to_have_text(["draft.txt · 1 kB×"])
    go_on_in_branches(notebook, chat)
    notebook.run(2).wait_for_text(2, "'critic'")
    put_code_into_a_cell(notebook, chat)
    assert lab.watch.console == []


def attach_files(notebook: LabNotebook, chat: Locator) -> None:
    """Drop, paste and choose files; the text beside a picture is kept, what is too large is not."""
    question = chat.get_by_label("Question")
    chips = chat.locator(".runagent-form .runagent-chip")
    drop(question, "drop", ("a\u202eb.txt", 5, "text/plain"), ("empty.bin", 0, ""))
    expect(chips).to_have_count(2)
    keeps_text = drop(question, "paste", ("image.png", 1_500, "image/png"), text="and text")
    assert keeps_text
    assert not drop(question, "paste", ("image.png", 1_500, "image/png"))
    expect(chips).to_have_count(4)
    drop(question, "drop", ("huge.iso", 20_000_001, ""))
    expect(chat.locator(".runagent-note")).to_contain_text("1 not attached (huge.iso · 20001 kB)")
    with notebook.page.expect_file_chooser() as chooser:
        chat.get_by_role("button", name="Attach").click()
    chooser.value.set_files(
        {"name": "by hand.csv", "mimeType": "text/csv", "buffer": 12_000_000 * b"x"}
    )
    expect(chips.last).to_have_text("by hand.csv · 12000 kB×")
    chat.get_by_role("button", name="Remove image.png · 2 kB").last.focus()
    notebook.page.keyboard.press("Enter")
    expect(question).to_be_focused()


def name_variables(notebook: LabNotebook, chat: Locator) -> None:
    """Complete the names of variables, and take the value of one away."""
    question = chat.get_by_label("Question")
    keyboard = notebook.page.keyboard
    keyboard.type("Look at @d")
    expect(chat.get_by_role("button", name="digits · list of 1")).to_be_visible()
    for theme in ("light", "dark"):
        notebook.theme(theme)
        notebook.screenshot(f"widget-variables-{theme}", of=chat)
    question.focus()
    keyboard.press("Escape")
    expect(chat.get_by_role("button", name="digits · list of 1")).to_have_count(0)
    keyboard.type("f")
    keyboard.press("Backspace")
    expect(chat.get_by_role("button", name="digits · list of 1")).to_be_visible()
    keyboard.press("Enter")
    keyboard.type("and @digits, not `@df` or me@df.org or @nothing")
    remove = chat.get_by_role("button", name="Remove @digits · list of 1")
    expect(remove).to_be_visible()
    remove.click()
    expect(question).to_have_value("Look at @df and digits, not `@df` or me@df.org or @nothing")
    expect(chat.locator(".runagent-chip").last).to_have_text("@df · DataFrame 2 × 1×")


def go_on_in_branches(notebook: LabNotebook, chat: Locator) -> None:
    """Go to the old branch, ask there again, and have an edited question refused."""
    question = chat.get_by_label("Question")
    chips = chat.locator(".runagent-form .runagent-chip")
    asked = chat.locator(".runagent-question .runagent-chip")
    expect(chat.get_by_role("group", name="Branch 2 of 2")).to_be_visible()
    chat.get_by_role("button", name="Previous branch").click()
    expect(asked).to_have_count(5)
    expect(answer(chat)).to_have_attribute("aria-label", "planner")
    expect(chips).to_have_text(["draft.txt · 1 kB×"])
    for theme in ("light", "dark"):
        notebook.theme(theme)
        notebook.screenshot(f"widget-branch-attached-{theme}", of=chat)
    chat.get_by_role("button", name="Edit").click()
    question.fill("Look at it")
    chat.get_by_role("button", name="Remove ab.txt").click()
    expect(chips).to_have_count(3)
    notebook.run(3)
    question.press("Enter")
    expect(chat.locator(".runagent-note")).to_contain_text("is also a field of the chat's own")
    expect(question).to_have_value("Look at it")
    expect(chips).to_have_count(3)
    expect(chat.locator(".runagent-edited")).to_have_count(1)
    notebook.run(4)
    question.press("Enter")
    expect(chat.get_by_role("group", name="Branch 3 of 3")).to_be_visible()
    finished(chat)
    expect(asked).to_have_count(3)
    expect(question).to_have_value("a draft")
    chat.get_by_role("button", name="Edit").click()
    expect(chips).to_have_count(3)
    chat.get_by_role("button", name="Retry").click()  # the same question is asked: no edit any more
    expect(chat.get_by_role("group", name="Branch 4 of 4")).to_be_visible()
    finished(chat)
    expect(asked).to_have_count(3)
    expect(question).to_have_value("a draft")
    expect(chips).to_have_text(["draft.txt · 1 kB×"])


def put_code_into_a_cell(notebook: LabNotebook, chat: Locator) -> None:
    for theme in ("light", "dark"):
        notebook.theme(theme)
        notebook.screenshot(f"widget-to-a-cell-{theme}", of=chat)
    cells = notebook.page.locator(".jp-Notebook .jp-Cell")
    expect(cells).to_have_count(5)
    chat.get_by_role("button", name="To a new cell").click()
    expect(cells).to_have_count(6)
    expect(cells.nth(2).locator(".cm-content")).to_have_text("print(1)print(2)")


def test_an_agent_without_a_place_for_attachments(lab: Lab) -> None:
    notebook = lab.open([AGENTS, "w = AgentWidget('plain')\nw"])
    notebook.run(0).run(1)
    chat = chat_in(notebook, 1)
    question = chat.get_by_label("Question")
    expect(chat.get_by_label("Send to")).to_be_hidden()
    drop(question, "drop", ("a.txt", 5, "text/plain"))
    ask(chat, "What is in it?")
    expect(chat.locator(".runagent-failure")).to_contain_text("parameter attachments=()")
    notebook.screenshot("widget-no-attachments", of=chat)
    chat.get_by_role("button", name="Edit").click()
    expect(question).to_have_value("What is in it?")
    chat.get_by_role("button", name="Remove a.txt").click()
    question.press("Enter")
    expect(answer(chat)).to_contain_text("What is in it?")
    assert lab.watch.console == []
