"""The chat widget in JupyterLab, as its user meets it."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import expect
from support.chats import (
    AGENTS,
    CHAT,
    REVOKE,
    REVOKED,
    SLOW_CHAT,
    answer,
    ask,
    chat_in,
    counted,
    counting,
    finished,
    goes_on,
)
from support.clock import MOMENT, PATIENCE, TICK, milliseconds, until
from support.lab import Lab


def test_ask_by_keyboard_stop_and_retry(lab: Lab) -> None:
    notebook = lab.open([SLOW_CHAT, "print('ran')"])
    notebook.run(0)
    chat = chat_in(notebook)
    notebook.screenshot("widget-empty")
    ask(chat, "<img src=x onerror=alert(1)>")
    expect(chat.locator(".runagent-markdown h1")).to_have_text("Hello from the demo agent")
    expect(chat.get_by_role("button", name="Stop")).to_be_visible()
    expect(chat.locator(".runagent-question")).to_have_text("<img src=x onerror=alert(1)>")
    expect(answer(chat)).to_have_attribute("aria-busy", "true")
    notebook.screenshot("widget-streaming")
    finished(chat)
    expect(answer(chat)).to_have_attribute("aria-busy", "false")
    notebook.screenshot("widget-done")
    chat.get_by_role("button", name="Retry").click()
    chat.get_by_role("button", name="Stop").click()
    expect(chat.locator(".runagent-is-stopped")).to_contain_text("stopped")
    expect(chat.locator(".runagent-turn")).to_have_count(2)
    notebook.screenshot("widget-stopped")
    assert notebook.run(1).text(1).strip() == "ran"
    assert lab.watch.dialogs == []
    assert lab.watch.foreign == []
    assert lab.watch.console == []


def test_steps_copies_and_the_menu(lab: Lab) -> None:
    notebook = lab.open(["w = AgentWidget('works', suggestions=['How many?'])\nw", AGENTS])
    notebook.run(1).run(0)
    chat = chat_in(notebook)
    chat.get_by_role("button", name="How many?").click()
    finished(chat)
    steps = chat.locator(".runagent-steps")
    expect(steps.locator("> summary")).to_have_text("4 steps · log · 3 rows read")
    expect(chat.locator(".runagent-tree").first).not_to_be_visible()
    steps.locator("> summary").click()
    titles = steps.locator(".runagent-step > summary")
    expect(titles).to_have_text(
        [
            "thinking · The user wants numbers.",
            "tool call · search",
            "progress · 100% · reading",
            "log · 3 rows read",
        ]
    )
    titles.nth(1).click()
    steps.get_by_text("args:").click()
    expect(steps.get_by_text('"How many?"')).to_be_visible()
    notebook.screenshot("widget-steps")

    page = notebook.page
    clipboard = "navigator.clipboard.readText()"
    answer(chat).locator(".ra-code").hover()
    chat.get_by_role("button", name="Copy code").click()
    assert page.evaluate(clipboard) == "rows = [1, 2, 3]\n"
    chat.get_by_role("button", name="Copy", exact=True).click()
    assert page.evaluate(clipboard).startswith("Found 3 rows:")
    chat.get_by_text("Export").click()
    chat.get_by_role("button", name="Copy as notebook cell").click()
    expect(chat.locator(".runagent-note")).to_contain_text("Copied")
    assert page.evaluate(clipboard) == "%%runagent works --text --no-template\nHow many?"
    chat.get_by_text("Export").click()
    with page.expect_download() as download:
        chat.get_by_role("button", name="Save as Markdown").click()
    assert download.value.suggested_filename == "works.md"
    assert "> How many?\n\nFound **3 rows**" in download.value.path().read_text()


def test_edit_with_the_keyboard_alone(lab: Lab) -> None:
    notebook = lab.open([CHAT, "1 + 1"])
    notebook.run(0)
    chat = chat_in(notebook)
    question = chat.get_by_label("Question")
    question.click()
    keyboard = notebook.page.keyboard
    keyboard.type("first line")
    keyboard.press("Shift+Enter")
    keyboard.type("second line")
    keyboard.press("Enter")
    finished(chat)
    expect(chat.locator(".runagent-question")).to_have_text("first line\nsecond line")
    expect(question).to_be_focused()
    keyboard.type("a draft")
    chat.get_by_role("button", name="Edit").click()
    expect(question).to_have_value("first line\nsecond line")
    notebook.screenshot("widget-edit")
    keyboard.press("Escape")
    expect(question).to_have_value("a draft")
    question.fill("")
    keyboard.press("ArrowUp")
    keyboard.type(", edited")
    keyboard.press("Enter")
    expect(chat.locator(".runagent-question")).to_contain_text("second line, edited")
    finished(chat)
    chat.get_by_role("log").focus()
    keyboard.press("Escape")
    expect(question).to_be_focused()
    chat.get_by_text("Export").focus()
    keyboard.press("Enter")
    keyboard.press("Tab")
    expect(chat.get_by_role("button", name="Save as Markdown")).to_be_focused()
    keyboard.press("Escape")
    expect(chat.locator(".runagent-menu > summary")).to_be_focused()
    question.focus()
    # Letters and Enter on a button are no shortcuts of the notebook: no cell is made or deleted.
    cells = notebook.page.locator(".jp-Notebook .jp-Cell")
    names = []
    for _ in range(5):
        keyboard.press("Shift+Tab")
        names.append(notebook.page.evaluate("document.activeElement.textContent.slice(0, 9)"))
        for key in ("b", "d", "d", "x"):
            keyboard.press(key)
    assert names[:4] == ["Retry", "Bad", "Good", "Copy"]
    expect(cells).to_have_count(2)
    chat.get_by_role("button", name="Retry").focus()
    keyboard.press("Enter")
    expect(chat.locator(".runagent-turn")).to_have_count(2)
    finished(chat)
    assert notebook.text(1) == ""


def test_two_views_show_one_chat(lab: Lab) -> None:
    notebook = lab.open([CHAT, "w"])
    notebook.run_all()
    chats = [chat_in(notebook, index) for index in (0, 1)]
    ask(chats[0], "both")
    for chat in chats:
        expect(chat.locator(".runagent-question")).to_have_text("both")
        finished(chat)
    assert answer(chats[0]).text_content() == answer(chats[1]).text_content()
    chats[1].get_by_role("button", name="Clear").click()
    chats[1].get_by_role("button", name="Clear everything?").click()
    for chat in chats:
        expect(chat.locator(".runagent-empty")).to_be_visible()


def test_cells_run_meanwhile_and_stop_works_while_one_does(lab: Lab, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    busy = f"while not os.path.exists({str(seen)!r}): time.sleep(0.05)"
    notebook, chat = counting(lab, f"import os\n{busy}", "print('on')")
    assert notebook.run(3).text(3).strip() == "on"
    notebook.start_cell(2)
    expect(notebook.cell(2).locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\*\]"))
    goes_on(chat)
    chat.get_by_label("Question").press("Escape")
    expect(chat.locator(".runagent-is-stopped")).to_be_visible()
    expect(notebook.cell(2).locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\*\]"))
    seen.touch()
    notebook.wait_idle()


def test_a_reload_in_the_middle_of_an_answer(lab: Lab) -> None:
    notebook, chat = counting(lab)
    notebook.save()
    notebook.reload_with_chats()
    expect(answer(chat)).to_contain_text("3 4 5")
    goes_on(chat)
    chat.get_by_role("button", name="Stop").click()
    finished(chat)
    numbers = counted(chat)
    assert numbers == list(range(len(numbers)))


def test_a_restart_of_the_kernel_loses_nothing_that_is_seen(lab: Lab) -> None:
    notebook = lab.open([CHAT])
    notebook.run(0)
    chat = chat_in(notebook)
    ask(chat, "before")
    finished(chat)
    chat.get_by_label("Question").fill("not sent yet")
    notebook.restart()
    expect(chat.locator(".runagent-note")).to_contain_text("The kernel behind this chat is gone")
    expect(chat.locator(".runagent-question")).to_have_text("before")
    expect(chat.get_by_label("Question")).to_have_value("not sent yet")
    expect(chat.get_by_role("button", name="Send")).to_be_disabled()
    notebook.screenshot("widget-restarted")
    notebook.run(0)
    ask(chat, "after")
    finished(chat)


@pytest.mark.parametrize("way", ["restart", "shut down"])
def test_a_kernel_that_goes_in_the_middle_of_an_answer(lab: Lab, way: str) -> None:
    notebook, chat = counting(lab)
    if way == "restart":
        notebook.restart()
    else:
        notebook.command("kernelmenu:shutdown")
        ask(chat, "are you there?")
    expect(chat.locator(".runagent-note")).to_contain_text("The kernel behind this chat is gone")
    if way == "restart":
        expect(answer(chat)).to_contain_text("broken off: the kernel is gone")
    expect(answer(chat)).to_have_attribute("aria-busy", "false")
    expect(chat.get_by_role("button", name="Stop")).to_be_hidden()
    expect(answer(chat).get_by_role("button", name="Copy")).to_be_visible()
    notebook.screenshot(f"widget-{way.replace(' ', '-')}")


def test_the_reader_decides_where_to_look(lab: Lab) -> None:
    lines = "'\\n\\n'.join(f'line {i}' for i in range(200))"
    notebook = lab.open(
        [
            AGENTS,
            f"w = AgentWidget('echo', height=200)\nw.ask({lines}) and w.ask('newest') and None\nw",
            "w.client = AgentWidget('lines').client",
            "w.client = AgentWidget('searches').client\nw.clear()",
        ]
    )
    notebook.run(0).run(1)
    chat = chat_in(notebook, 1)
    log = chat.get_by_role("log")
    from_end = "log => log.scrollHeight - log.scrollTop - log.clientHeight"
    chat.scroll_into_view_if_needed()
    expect(chat.locator(".runagent-turn").last).to_be_in_viewport()
    assert log.evaluate(from_end) < 2
    notebook.run(2)
    ask(chat, "more")
    expect(answer(chat)).to_contain_text("line 30")
    assert log.evaluate(from_end) < 2
    log.hover()
    for _ in range(10):
        notebook.page.mouse.wheel(0, -6)
        notebook.page.wait_for_timeout(milliseconds(5 * TICK))
    top = log.evaluate("log => log.scrollTop")
    count = answer(chat).locator("p").count()
    expect(answer(chat).locator("p").nth(count + 20)).to_be_attached()
    assert log.evaluate("log => log.scrollTop") == top
    chat.get_by_role("button", name="Latest").click()
    assert log.evaluate(from_end) < 40
    expect(chat.get_by_label("Question")).to_be_focused()
    chat.get_by_label("Question").press("Escape")
    expect(chat.locator(".runagent-is-stopped")).to_be_visible()
    # A reader who unfolds steps looks at them.
    notebook.run(3)
    ask(chat, "many")
    finished(chat)
    summary = chat.locator(".runagent-steps > summary")
    summary.click()
    expect(chat.get_by_role("button", name="Latest")).to_be_visible()
    expect(summary).to_be_in_viewport()


def test_an_edit_never_takes_what_came_meanwhile(lab: Lab) -> None:
    notebook = lab.open([CHAT, "w.ask('second') and None", "w.clear()"])
    notebook.run(0)
    chat = chat_in(notebook)
    ask(chat, "first")
    finished(chat)
    chat.get_by_role("button", name="Edit").last.click()
    chat.get_by_label("Question").fill("edited")
    notebook.run(1)
    expect(chat.locator(".runagent-edited .runagent-question")).to_have_text("first")
    chat.get_by_label("Question").press("Enter")
    questions = chat.locator(".runagent-question")
    expect(questions).to_have_text(["edited"])
    finished(chat)
    chat.get_by_role("button", name="Previous branch").click()
    expect(questions).to_have_text(["first", "second"])
    chat.get_by_role("button", name="Edit").last.click()
    notebook.run(2)
    expect(chat.locator(".runagent-note")).to_contain_text("The chat has changed")


def test_beside_another_and_with_other_words(lab: Lab) -> None:
    pair = """
from ipywidgets import HBox
w, v = map(AgentWidget, ("echo", "works"))
w.ask("x" * 400) and v.ask("y") and None
HBox([w, v])
"""
    words = "w.title, w.placeholder, w.height = 'Another', 'Say it', 111"
    notebook = lab.open([AGENTS + pair, words])
    notebook.run(0)
    left, right = (chat_in(notebook).nth(index) for index in (0, 1))
    boxes = [chat.bounding_box() for chat in (left, right)]
    cell = notebook.output(0).bounding_box()
    assert cell is not None
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert abs(boxes[0]["width"] - boxes[1]["width"]) < 2
    assert boxes[1]["x"] + boxes[1]["width"] <= cell["x"] + cell["width"]
    notebook.screenshot("widget-beside")
    notebook.run(1)
    expect(left.locator(".runagent-title")).to_have_text("Another")
    expect(left.get_by_label("Question")).to_have_attribute("placeholder", "Say it")
    expect(left.get_by_role("log")).to_have_css("max-height", "111px")


def test_in_an_output_and_beside_what_is_printed(lab: Lab) -> None:
    inside = """
%load_ext runagent_jupyter
from ipywidgets import Output
out, w = Output(), AgentWidget("echo")
with out:
    print("before the chat")
    display(w)
    %runagent echo said the magic
print("above the output")
display(out)
"""
    notebook = lab.open([AGENTS + inside, "print('kept'); w.close(); w"])
    notebook.run(0)
    chat = chat_in(notebook)
    expect(chat.locator(".runagent-empty")).to_be_visible()
    for text in ("above the output", "before the chat", "You said said the magic"):
        expect(notebook.output(0).get_by_text(text)).to_be_visible()
    ask(chat, "hello")
    finished(chat)
    expect(chat.get_by_label("Agent")).to_contain_text("You said hello")
    notebook.screenshot("widget-in-output")
    notebook.run(1)
    expect(notebook.output(1).get_by_text("kept", exact=True)).to_be_visible()
    expect(notebook.output(1).locator(".runagent-saved")).to_contain_text("You said hello")


def test_a_selection_outlives_the_paragraph_it_is_in(lab: Lab) -> None:
    notebook = lab.open([AGENTS, "w = AgentWidget('lines')\nw"])
    notebook.run(0).run(1)
    chat = chat_in(notebook, 1)
    ask(chat, "go on")
    expect(answer(chat)).to_contain_text("line 1")
    # Between two paragraphs, there is none that is unfinished.
    answer(chat).evaluate(
        """node => new Promise((done) => {
          const look = () => {
            const unfinished = node.querySelector(".runagent-tail > p");
            if (!unfinished) return requestAnimationFrame(look);
            getSelection().selectAllChildren(unfinished);
            done();
          };
          look();
        })"""
    )
    chosen = notebook.page.evaluate("getSelection().toString()")
    assert chosen.startswith("line")
    expect(answer(chat)).to_contain_text(f"line {int(chosen.split()[1]) + 3}")
    assert notebook.page.evaluate("getSelection().toString()").startswith(chosen)


def test_a_revoked_key_and_a_dead_server_and_how_to_go_on(lab: Lab) -> None:
    new = "w.client = AsyncRunAgentClient('echo', 'new-key', base_url=server.url)"
    notebook = lab.open([AGENTS, REVOKED, REVOKE, new, "server.close()"])
    notebook.run(0).run(1)
    chat = chat_in(notebook, 1)
    ask(chat, "one")
    finished(chat)
    notebook.run(2)
    ask(chat, "two")
    finished(chat, 4)
    failure = chat.locator(".runagent-agent").last.locator(".runagent-failure")
    expect(failure).to_contain_text("AuthenticationError: The API key is wrong")
    expect(failure).to_contain_text("w.client = ")
    notebook.screenshot("widget-error")
    notebook.run(3)
    chat.get_by_role("button", name="Retry").last.click()
    expect(answer(chat)).to_contain_text("You said two")
    notebook.run(4)
    ask(chat, "three")
    expect(failure).to_contain_text(
        "NetworkError: Could not connect", timeout=milliseconds(PATIENCE)
    )
    expect(chat.get_by_label("Question")).to_be_editable()


def test_what_a_saved_notebook_shows_without_a_kernel(lab: Lab) -> None:
    notebook = lab.open([CHAT])
    notebook.run(0)
    chat = chat_in(notebook)
    ask(chat, "<b>keep</b> this")
    finished(chat)
    copy = notebook.output(0).locator(".runagent-saved")
    expect(copy.locator("h1")).to_have_count(1)
    expect(copy).not_to_be_visible()
    saved = notebook.save()
    lab.server.shut_kernels_down()
    notebook.reload()
    expect(copy).to_be_visible()
    expect(copy).to_contain_text("<b>keep</b> this")
    expect(copy).to_contain_text("Hello from the demo agent")
    expect(notebook.output(0).get_by_text(re.compile("Error|Loading"))).not_to_be_visible()
    notebook.screenshot("widget-saved")
    exported, _ = HTMLExporter().from_notebook_node(saved)
    assert "Hello from the demo agent" in exported
    assert "Error displaying widget" not in exported


def test_lost_messages_are_healed(lab: Lab, tmp_path: Path) -> None:
    lost = tmp_path / "lost"
    flood = f"""
import os
while not os.path.exists({str(lost)!r}):
    print(200_000 * "x", end="\\r", flush=True)
    time.sleep(0.05)
"""
    notebook, chat = counting(lab, flood)
    notebook.start_cell(2)
    until(lambda: "IOPub data rate exceeded" in lab.server.log)
    time.sleep(10 * MOMENT)  # in which messages of the chat are lost too
    lost.touch()
    notebook.wait_idle()
    chat.get_by_role("button", name="Stop").click()
    finished(chat)
    numbers = counted(chat)
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 50


def test_a_chat_that_loads_slowly_hears_of_its_answers(lab: Lab) -> None:
    # anywidget gives a widget two seconds to load, and then drops its messages; here it gives none.
    notebook = lab.open([CHAT, "w.ask('hello') and None"])
    notebook.page.evaluate(
        """() => {
          AbortSignal.timeout = () => {
            const controller = new AbortController();
            setTimeout(() => controller.abort());
            return controller.signal;
          };
        }"""
    )
    notebook.run(0).run(1)
    chat = chat_in(notebook)
    finished(chat)
    expect(answer(chat)).to_contain_text("hello")
    ask(chat, "again")
    finished(chat, 4)
