"""The examples of chats in the browser: an answer streams to its end; its button or page ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from support.apps import EXAMPLES, agent_at, running
from support.chromium import new_page
from support.clock import MOMENT
from support.faults import SSE_HEAD, STALL, FaultServer, Repeat, chunk, frame

COMMANDS = {
    "gradio": ["gradio_app"],
    "panel": ["panel", "serve", str(EXAMPLES / "panel_app.py"), "--port={port}"],
    "shinychat": ["shiny", "run", "--port={port}", str(EXAMPLES / "shinychat_app.py")],
    "streamlit": [
        *("streamlit", "run", str(EXAMPLES / "streamlit_app.py"), "--server.port={port}"),
        *("--server.address=127.0.0.1", "--server.headless=true"),
    ],
}
VARIABLES = {"GRADIO_SERVER_PORT": "{port}", "PYTHONPATH": str(EXAMPLES)}

STOP_BUTTONS = {
    "gradio": ".stop-button",
    "panel": "button:has-text('Stop')",
    "shinychat": "button[aria-label*='top' i], button[title*='top' i]",
    "streamlit": "button:has-text('Stop')",
}


@contextmanager
def asked(framework: str, browser: Browser, root: Path, **variables: str) -> Iterator[Page]:
    """Start an example, and ask it a question in a page; yield the page."""
    with running(root, *COMMANDS[framework], **VARIABLES, **variables) as url:
        page = new_page(browser)
        page.goto(url)
        box = page.get_by_role("textbox").last
        box.fill("Hello")
        box.press("Enter")
        yield page
        page.close()


by_framework = pytest.mark.parametrize("framework", COMMANDS)


@by_framework
def test_an_answer_streams_to_its_end(framework: str, browser: Browser, tmp_path: Path) -> None:
    with asked(framework, browser, tmp_path) as page:
        expect(page.get_by_role("heading", name="Hello from the demo agent")).to_be_visible()
        expect(page.get_by_role("link", name="the Markdown it may answer with")).to_be_visible()


@by_framework
def test_the_stop_button_ends_the_call(
    framework: str, browser: Browser, serve: Callable[..., FaultServer], tmp_path: Path
) -> None:
    # Streamlit looks at its button between two chunks only; the others need no further chunk.
    silent = framework != "streamlit"
    last = [STALL] if silent else [Repeat(frame(chunk(" and")), pause=MOMENT)]
    server = serve([SSE_HEAD, frame(chunk("Hello there")), *last])
    with asked(framework, browser, tmp_path, **agent_at(server)) as page:
        expect(page.get_by_text("Hello there").last).to_be_visible()
        page.locator(STOP_BUTTONS[framework]).first.click()
        assert server.last.wait_closed()


@by_framework
def test_a_page_that_is_closed_ends_the_call(
    framework: str, browser: Browser, serve: Callable[..., FaultServer], tmp_path: Path
) -> None:
    # Streamlit and Panel look between two chunks only.
    silent = framework in {"gradio", "shinychat"}
    last = [STALL] if silent else [Repeat(frame(chunk(" and")), pause=MOMENT)]
    server = serve([SSE_HEAD, frame(chunk("Hello there")), *last])
    with asked(framework, browser, tmp_path, **agent_at(server)) as page:
        expect(page.get_by_text("Hello there").last).to_be_visible()
        page.close()
        assert server.last.wait_closed()
