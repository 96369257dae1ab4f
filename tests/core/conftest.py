"""Fixtures for every test of the core: a home, and servers that misbehave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.clock import PATIENCE
from support.faults import FaultServer

from runagent import config_file, connections


@pytest.fixture
def home(tmp_path: Path, isolated: None) -> Path:
    """Return the directory that is the user's home in this test."""
    return Path.home()


@pytest.fixture(autouse=True)
def _nothing_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each test get the warnings that come once."""
    monkeypatch.setattr(config_file, "_warned", set())


@pytest.fixture(autouse=True)
def _idle_connections_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep idle connections for as long as a test may take, so that no pause decides on reuse."""
    monkeypatch.setattr(connections, "KEEPALIVE_EXPIRY", PATIENCE)


@pytest.fixture
def serve() -> Iterator[Callable[..., FaultServer]]:
    """Start a server with these scripts."""
    with ExitStack() as stack:
        yield lambda *scripts, **options: stack.enter_context(FaultServer(*scripts, **options))
