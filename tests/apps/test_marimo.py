"""The example for marimo in the real program: its chat, a stream in a cell, `mo.md`, and the widget."""

from __future__ import annotations

import asyncio
import html
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import marimo as mo
import pytest
from marimo._ai._types import ChatMessage, TextPart
from playwright.sync_api import Browser, Page, expect
from support.apps import EXAMPLES, agent_at, running
from support.clock import MOMENT, PATIENCE
from support.contrast import contrasts
from support.faults import DONE, LAST_FRAME, RESET, SSE_HEAD, STALL, FaultServer, chunk, frame

from runagent import AsyncRunAgentClient, RunAgentClient, RunAgentError, ValidationError
from runagent.local import serve as serve_agent
from runagent_jupyter import AgentWidget, Reply, marimo_output
from runagent_jupyter.marimo import model
from runagent_jupyter.turn import Turn

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
        page = browser.new_page(viewport={"width": 1000, "height": 1800})
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
        page = browser.new_page()
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
        expect(page.get_by_text("[a link](javascript:")).to_have_count(3)
        expect(page.locator("marimo-button")).to_have_count(0)
        assert page.title() == title
        page.close()
    assert not [address for address in requests if "told.png" in address]


def test_an_answer_that_breaks_off_says_so(
    browser: Browser, serve: Callable[..., FaultServer], tmp_path: Path
) -> None:
    server = serve([SSE_HEAD, frame(chunk("Half an answer")), RESET])
    command = ["marimo", "-q", "run", str(NOTEBOOK), "--port={port}", "--headless", "--no-token"]
    with running(tmp_path, *command, **agent_at(server), XDG_CONFIG_HOME=str(tmp_path)) as url:
        page = browser.new_page()
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


# The model without a page


def messages(*texts: str) -> list[ChatMessage]:
    """Return the messages of a conversation, the last of which is a question."""
    roles = ["user", "assistant"] * len(texts)
    return [
        ChatMessage(role=roles[i], content=text, id=f"m{i}", parts=[TextPart("text", text)])
        for i, text in enumerate(texts)
    ]


async def asked(ask: Any, conversation: list[ChatMessage]) -> None:
    """Ask as marimo's chat does, which then adds the answer to the messages."""
    parts = [part async for part in ask(conversation, {})]
    assert len(parts) >= 1
    shown = "".join(parts)
    conversation.append(
        ChatMessage(role="assistant", content=shown, id="new", parts=[TextPart("text", shown)])
    )
    await asyncio.sleep(0)


def test_history_and_session_go_along() -> None:
    inputs: list[dict[str, Any]] = []

    async def echo(**fields: Any) -> AsyncIterator[str]:
        inputs.append(fields)
        yield f"**{fields['query']}**"

    async def main() -> None:
        with serve_agent({"echo": echo}) as server:
            ask = model("echo", base_url=server.url, context={"unit": "km"})
            conversation = messages("one")
            await asked(ask, conversation)
            assert [message.content for message in conversation] == ["one", "**one**"]
            conversation += messages("two")
            # A page sends back what it shows.
            conversation[1].content = conversation[1].parts[0].text
            await asked(ask, conversation)
            assert [message.content for message in conversation][1::2] == ["**one**", "**two**"]
            await asked(ask, messages("other"))

    asyncio.run(main())
    first, second, other = inputs
    assert first == {**first, "query": "one", "unit": "km", "history": []}
    assert second["history"] == [
        {"role": "user", "text": "one"},
        {"role": "agent", "text": "**one**"},
    ]
    assert first["session_id"] == second["session_id"]
    assert len(other["session_id"]) == 32


def test_an_agent_may_refuse_history_and_session() -> None:
    asked_for: list[str] = []

    async def strict(query: str) -> AsyncIterator[str]:
        asked_for.append(query)
        yield "Fine"

    async def main() -> None:
        with serve_agent({"strict": strict}) as server:
            conversation = messages("one")
            await asked(model("strict", base_url=server.url), conversation)
            assert conversation[-1].content == "Fine"

    asyncio.run(main())
    assert asked_for == ["one"]


def test_stopping_the_chat_ends_the_call(serve: Callable[..., FaultServer]) -> None:
    server = serve([SSE_HEAD, frame(chunk("Hello\n\nthere")), STALL])

    async def main() -> None:
        ask = model("a", base_url=server.url, timeout=PATIENCE)
        parts = ask(messages("one"), None)
        assert "Hello" in await anext(parts)
        waiting = asyncio.ensure_future(anext(parts))
        await asyncio.sleep(MOMENT)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await asyncio.to_thread(server.last.wait_closed)

    asyncio.run(main())


def test_a_slip_in_an_option_is_named() -> None:
    with pytest.raises(
        TypeError, match="model has no option 'sesion_id'; did you mean 'session_id'"
    ):
        model("demo", sesion_id="s")
    with pytest.raises(ValidationError, match="context has 'query'"):
        model("demo", context={"query": "q"})


# Objects that show themselves


def page_of(shown: Any) -> str:
    """Return the HTML that marimo gets of an object, out of the attribute of its element."""
    (data,) = re.findall(r"data-data='([^']*)'", mo.as_html(shown).text)
    page: str = json.loads(html.unescape(data))
    return page


EVENTS: list[Any] = ["a **b", {"type": "tool_call", "name": "look_up"}, "old** word"]


@pytest.mark.parametrize("kind", ["chunks", "events"])
@pytest.mark.parametrize("client", ["blocking", "asynchronous"])
def test_a_stream_shows_itself(client: str, kind: str, serve: Callable[..., FaultServer]) -> None:
    chunks = [frame(chunk(item)) for item in EVENTS if kind == "events" or isinstance(item, str)]
    server = serve([SSE_HEAD, *chunks, frame(DONE) + LAST_FRAME])
    make: Any = RunAgentClient if client == "blocking" else AsyncRunAgentClient
    agent = make("a", base_url=server.url, timeout=PATIENCE)
    stream = agent.run_generic_stream({}) if kind == "chunks" else agent.stream_events({})
    page = page_of(stream)
    assert "a <strong>bold</strong> word" in page
    assert ("look_up" in page) == (kind == "events")
    assert page_of(stream) == page
    assert len(server.exchanges) == 1


def test_a_stream_that_was_begun_shows_all_of_it(serve: Callable[..., FaultServer]) -> None:
    server = serve(
        [SSE_HEAD, frame(chunk("a **b")), frame(chunk("old**")), frame(DONE) + LAST_FRAME]
    )
    with RunAgentClient("a", base_url=server.url, timeout=PATIENCE) as client:
        stream = client.run_generic_stream({})
        assert next(stream) == "a **b"
        assert "a <strong>bold</strong>" in page_of(stream)


def test_replies_and_turns_show_themselves() -> None:
    reply = Reply("a", {"query": "?"}, "a **bold** word <b>")
    assert "a <strong>bold</strong> word &lt;b&gt;" in page_of(reply)
    answer = Turn("agent", "a **bold** word", error=RunAgentError("It broke."), status="error")
    assert "a <strong>bold</strong> word" in page_of(answer)
    assert "It broke." in page_of(answer)
    assert "<strong>" not in page_of(Turn("user", "a **bold** word"))


def test_mo_md_leaves_an_answer_as_it_is() -> None:
    reply = Reply("a", {"query": "?"}, ATTACK)
    element = mo.as_html(reply).text
    for markdown in (f"{mo.as_html(reply)}", f"## In a line: {mo.as_html(reply)} and on"):
        assert element in mo.md(markdown).text


def test_the_value_of_the_widget_is_the_conversation() -> None:
    with serve_agent({"echo": lambda query: f"**{query}**"}) as server:
        widget = AgentWidget("echo", base_url=server.url)
        element = mo.ui.anywidget(widget)
        widget.ask("one")
        value = element.value
        widget.close()
    assert value["turns"] == [
        {"role": "user", "text": "one", "status": "done"},
        {"role": "agent", "text": "**one**", "status": "done"},
    ]
    assert value["value"] == "**one**"
    assert not [name for name in value if name.startswith("_")]


def test_a_stream_needs_no_import_but_its_own() -> None:
    (found,) = entry_points(group="runagent.views")
    assert found.load() is marimo_output.shown
