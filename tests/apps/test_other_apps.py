"""The other examples: FastAPI over HTTP, Streamlit by its own tests, Textual in its own pilot."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import streamlit
from streamlit.testing.v1 import AppTest
from support.apps import EXAMPLES, agent_at, running
from support.clock import PATIENCE, TICK
from support.faults import RESET, SSE_HEAD, STALL, FaultServer, chunk, frame
from textual.widgets import Input, Markdown

FASTAPI = ["uvicorn", "fastapi_app:app", "--port={port}", f"--app-dir={EXAMPLES}"]


@pytest.fixture(autouse=True)
def _no_client_of_another_test() -> None:
    streamlit.cache_resource.clear()


def test_fastapi_streams_an_answer(tmp_path: Path) -> None:
    with running(tmp_path, *FASTAPI) as url:
        asked = httpx2.stream("GET", f"{url}/answer?query=Hello", timeout=PATIENCE)
        with asked as response:
            pieces = list(response.iter_text())
    assert len(pieces) > 3
    assert "".join(pieces).startswith("# Hello from the demo agent")
    assert "".join(pieces).endswith("https://commonmark.org/help/)\n")


def test_fastapi_ends_the_call_when_the_browser_leaves(
    serve: Callable[..., FaultServer], tmp_path: Path
) -> None:
    server = serve([SSE_HEAD, frame(chunk("Hello there")), STALL])
    with running(tmp_path, *FASTAPI, **agent_at(server)) as url:
        asked = httpx2.stream("GET", f"{url}/answer?query=Hello", timeout=PATIENCE)
        with asked as response:
            assert next(response.iter_text()) == "Hello there"
        assert server.last.wait_closed()


def test_fastapi_passes_no_half_answer_for_a_whole_one(
    serve: Callable[..., FaultServer], tmp_path: Path
) -> None:
    server = serve([SSE_HEAD, frame(chunk("Hello there")), RESET])
    with running(tmp_path, *FASTAPI, **agent_at(server)) as url:
        asked = httpx2.stream("GET", f"{url}/answer?query=Hello", timeout=PATIENCE)
        with asked as response, pytest.raises(httpx2.RemoteProtocolError):
            list(response.iter_text())


def test_streamlit_keeps_the_conversation() -> None:
    app = AppTest.from_file(str(EXAMPLES / "streamlit_app.py"), default_timeout=PATIENCE).run()
    for question in ("Hello", "And you?"):
        app.chat_input[0].set_value(question).run()
        assert not app.exception
    roles = [message.name for message in app.chat_message]
    assert roles == ["user", "assistant"] * 2
    assert "Hello from the demo agent" in app.chat_message[1].markdown[0].value
    assert "And you?" in app.chat_message[3].markdown[0].value


def test_streamlit_shows_an_error_and_the_text_so_far(
    serve: Callable[..., FaultServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve([SSE_HEAD, frame(chunk("Hello there")), RESET])
    for name, value in agent_at(server).items():
        monkeypatch.setenv(name, value)
    app = AppTest.from_file(str(EXAMPLES / "streamlit_app.py"), default_timeout=PATIENCE).run()
    app.chat_input[0].set_value("Hello").run()
    assert "Hello there" in app.chat_message[1].markdown[0].value
    assert app.error[0].value


def textual_app(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the Textual app, as a program that starts now would make it."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.reload(importlib.import_module("textual_app")).Chat()


def test_textual_shows_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        app = textual_app(monkeypatch)
        async with app.run_test() as pilot:
            app.query_one(Input).value = "Hello"
            await pilot.press("enter")
            await app.workers.wait_for_complete()
            source = app.query_one(Markdown).source
            assert source.startswith("# Hello from the demo agent")
            assert source.endswith("https://commonmark.org/help/)\n")

    asyncio.run(main())


def test_textual_ends_the_call_when_the_answer_is_stopped(
    serve: Callable[..., FaultServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve([SSE_HEAD, frame(chunk("Hello there")), STALL])
    for name, value in agent_at(server).items():
        monkeypatch.setenv(name, value)

    async def main() -> None:
        app = textual_app(monkeypatch)
        async with app.run_test() as pilot:
            app.query_one(Input).value = "Hello"
            await pilot.press("enter")
            while app.query_one(Markdown).source != "Hello there":
                await pilot.pause(TICK)
            await pilot.press("escape")
            assert await asyncio.to_thread(server.last.wait_closed)

    asyncio.run(main())
