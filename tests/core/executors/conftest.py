"""Fixtures for batches on executors: an agent behind a server that wants a key, and the key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.engines import KEY, Agent

from runagent.local import serve as serve_agents


@pytest.fixture
def agent() -> Agent:
    return Agent()


@pytest.fixture
def url(agent: Agent) -> Iterator[str]:
    """Serve the agent to whoever has the key."""
    with serve_agents({"a": agent}, api_key=KEY) as server:
        yield server.url


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let processes that start from here on find the key in their environment."""
    monkeypatch.setenv("RUNAGENT_API_KEY", KEY)
