"""The example for marimo in the real program: its chat, a stream in a cell, `mo.md`, and the widget."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from support.apps import EXAMPLES, agent_at, running
from support.chats import answer, drop, finished
from support.chromium import new_page
from support.clock import PATIENCE
from support.contrast import contrasts
from support.faults import DONE, LAST_FRAME, RESET, SSE_HEAD, FaultServer, chunk, frame

NOTEBOOK = EXAMPLES / "marimo_notebook.py"

ATTACK = """<img src=x onerror="document.title='broken into'"> <script>document.title='broken into'</script>

[a link](javascript:document.title='broken_into') ![a picture](http://127.0.0.1:9/told.png)

    **four** spaces, `ticks`, &lt;b&gt; and https://example.org

<marimo-button data-label='"pressed"'></marimo-button>
"""


def test_the_notebook_is_as_marimo_wants_it() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "marimo", "check", "--strict", str(NOTEBOOK)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "issue" not in checked.stdout + checked.stderr


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """Return the page of the example as an app of marimo, in this theme."""
    theme = request.param
    (tmp_path / ".marimo.toml").write_text(f'[display]\ntheme = "{theme}"\n')
    command = ["marimo", "-q", "run", str(NOTEBOOK), "--port={port}", "--headless", "--no-token"]
    with running(tmp_path, *command, XDG_CONFIG_HOME=str(tmp_path)) as url:
        page = new_page(browser, viewport={"width": 1000, "height": 1800})
        page.goto(url)
        yield page
        page.close()


def test_the_notebook_in_marimo(page: Page) -> None:
    heading = page.get_by_role("heading", name="Hello from the demo agent")
    link = page.get_by_role("link", name="the Markdown it may answer with")
    expect(page.get_by_role("heading", name="The same answer in Markdown")).to_be_visible()
    expect(heading).to_have_count(2)  # the stream in its cell, and in Markdown
    expect(link).to_have_count(2)

    chat = page.locator("marimo-chatbot")
    chat.get_by_role("textbox").click()
    page.keyboard.type("What is new?")
    page.keyboard.press("Enter")
    expect(chat.get_by_role("link", name="the Markdown it may answer with")).to_be_visible()
    expect(page.get_by_text("2 messages")).to_be_visible()

    box = page.locator("marimo-anywidget").get_by_role("textbox")
    box.fill("What is new?")
    box.press("Enter")
    widget = page.locator("marimo-anywidget")
    expect(widget.get_by_role("link", name="the Markdown it may answer with")).to_be_visible()
    expect(page.get_by_text("2 turns")).to_be_visible()  # its cell has run again
    expect(heading).to_have_count(4)
    texts = ("emphasis", "inline code", "streamed", "the Markdown it may answer with", "notebooks")
    ratios = [ratio for ratio, text in contrasts(page) if text in texts]
    assert len(ratios) == len(texts) * 4
    assert min(ratios) >= 4.5
    markers = page.locator("ul:has(> li > em)").evaluate_all(
        "lists => lists.map((list) => getComputedStyle(list).listStyleType)"
    )
    assert markers == ["disc"] * 4


def test_what_an_agent_writes_stays_text(
    browser: Browser, serve: Callable[..., FaultServer], tmp_path: Path
) -> None:
    server = serve([SSE_HEAD, frame(chunk(ATTACK)), frame(DONE) + LAST_FRAME])
    requests: list[str] = []
    command = ["marimo", "-q", "run", str(NOTEBOOK), "--port={port}", "--headless", "--no-token"]
    with running(tmp_path, *command, **agent_at(server), XDG_CONFIG_HOME=str(tmp_path)) as url:
        page = new_page(browser)
        page.on("request", lambda request: requests.append(request.url))
        page.goto(url)
        title = page.title()
        expect(page.get_by_text("<marimo-button data-label")).to_have_count(2)
        chat = page.locator("marimo-chatbot")
        chat.get_by_role("textbox").click()
        page.keyboard.type("What is new?")
        page.keyboard.press("Enter")
        expect(chat.get_by_text("<marimo-button data-label")).to_be_visible()
        expect(page.get_by_text("ticks")).to_have_count(3)
        expect(page.get_by_text("a link")).to_have_count(3)
        expect(page.get_by_role("link", name="a link")).to_have_count(0)
        expect(page.locator("marimo-button")).to_have_count(0)
        assert page.title() == title
        page.close()
    assert not [address for address in requests if "told.png" in address]


CHAT_WITH_FILES = """import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo

    from runagent_jupyter.marimo import model

    mo.ui.chat(model("a"), allow_attachments=True)
    return


if __name__ == "__main__":
    app.run()
"""


def test_files_and_a_reload(
    browser: Browser, serve: Callable[..., FaultServer], tmp_path: Path
) -> None:
    server = serve([SSE_HEAD, frame(chunk("**Read**, all of it.")), frame(DONE) + LAST_FRAME])
    (tmp_path / "notebook.py").write_text(CHAT_WITH_FILES)
    command = ["marimo", "-q", "edit", "notebook.py", "--port={port}", "--headless", "--no-token"]
    (tmp_path / ".marimo.toml").write_text("[runtime]\nauto_instantiate = true\n")
    with running(tmp_path, *command, **agent_at(server), XDG_CONFIG_HOME=str(tmp_path)) as url:
        page = new_page(browser)
        page.goto(url)
        chat = page.locator("marimo-chatbot")
        box = chat.get_by_role("textbox")
        chat.locator("input[type=file]").set_input_files(
            {"name": "sales.csv", "mimeType": "text/csv", "buffer": b"a,b"}
        )
        box.click()
        page.keyboard.type("What is it?")
        page.keyboard.press("Enter")
        expect(chat.get_by_text("Read, all of it.")).to_be_visible()
        sent = server.last.json["attachments"]
        assert sent == [{"name": "sales.csv", "mime": "text/csv", "data": "YSxi"}]
        page.reload()
        expect(chat.get_by_text("Read, all of it.")).to_be_visible()
        box.click()
        page.keyboard.type("And now?")
        page.keyboard.press("Enter")
        expect(chat.get_by_text("Read, all of it.")).to_have_count(2)
        assert server.last.json["history"] == [
            {"role": "user", "text": "What is it?", "attachments": ["sales.csv"]},
            {"role": "agent", "text": "**Read**, all of it."},
        ]
        page.close()


def test_an_answer_that_breaks_off_says_so(
    browser: Browser, serve: Callable[..., FaultServer], tmp_path: Path
) -> None:
    server = serve([SSE_HEAD, frame(chunk("Half an answer")), RESET])
    command = ["marimo", "-q", "run", str(NOTEBOOK), "--port={port}", "--headless", "--no-token"]
    with running(tmp_path, *command, **agent_at(server), XDG_CONFIG_HOME=str(tmp_path)) as url:
        page = new_page(browser)
        page.goto(url)
        expect(page.get_by_text("Half an answer")).to_have_count(2)
        expect(page.get_by_text("⚠ broken off")).to_have_count(2)
        chat = page.locator("marimo-chatbot")
        chat.get_by_role("textbox").click()
        page.keyboard.type("What is new?")
        page.keyboard.press("Enter")
        expect(chat.get_by_text("⚠ broken off")).to_be_visible()
        expect(page.get_by_text("2 messages")).to_be_visible()
        page.close()


INPUT = """
import marimo

app = marimo.App()

@app.cell
def _():
    import marimo as mo
    from runagent.local import agent
    from runagent_jupyter import AgentWidget

    rows = [1, 2]

    @agent("told")
    def told(query: str, attachments=(), **fields):
        return ", ".join([query, *(f"{a['name']} {len(a['data'])}" for a in attachments), *fields])

    @agent("echo")
    def echo(query: str, **_):
        return f"You said {query}"

    mo.ui.anywidget(AgentWidget(["told", "echo"]))
    return (rows,)

if __name__ == "__main__":
    app.run()
"""


def test_files_variables_agents_and_branches(browser: Browser, tmp_path: Path) -> None:
    notebook = tmp_path / "input.py"
    notebook.write_text(INPUT)
    command = ["marimo", "-q", "run", str(notebook), "--port={port}", "--headless", "--no-token"]
    with running(tmp_path, *command, XDG_CONFIG_HOME=str(tmp_path)) as url:
        page = new_page(browser)
        page.goto(url)
        chat = page.locator(".runagent-chat")
        question = chat.get_by_label("Question")
        # Each message is a request of its own here, so the question overtakes its files.
        drop(question, "drop", ("a.txt", 3, "text/plain"), ("large.bin", 9_000_000, ""))
        question.press_sequentially("See @ro")
        question.press("Enter")
        expect(chat.locator(".runagent-form .runagent-chip").last).to_contain_text("@rows")
        question.press("Enter")
        expect(answer(chat)).to_contain_text(
            "See @rows , a.txt 4, large.bin 12000000, session_id, rows"
        )
        finished(chat)
        chat.get_by_label("Send to").select_option("echo")
        chat.get_by_role("button", name="Retry").click()
        expect(chat.get_by_role("group", name="Branch 2 of 2")).to_be_visible()
        expect(answer(chat)).to_contain_text("You said See @rows")
        finished(chat)
        chat.get_by_role("button", name="Previous branch").click()
        expect(answer(chat)).to_contain_text("a.txt 4")
        page.close()
