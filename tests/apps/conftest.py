"""Tests in the real app frameworks, and in the Qt console, which the session `apps` installs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec

import pytest
from playwright.sync_api import Browser, expect
from support.chromium import running_chromium
from support.clock import PATIENCE, milliseconds
from support.faults import FaultServer
from support.websockets import WebSocketServer

PACKAGES = (
    "fastapi",
    "gradio",
    "marimo",
    "panel",
    "qtconsole",
    "shinychat",
    "streamlit",
    "textual",
)

if not all(map(find_spec, PACKAGES)):
    collect_ignore_glob = ["test_*.py"]

expect.set_options(timeout=milliseconds(PATIENCE))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a running chromium."""
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def serve() -> Iterator[Callable[..., FaultServer]]:
    """Start a server with these scripts."""
    with ExitStack() as stack:
        yield lambda *scripts: stack.enter_context(WebSocketServer(*scripts))
