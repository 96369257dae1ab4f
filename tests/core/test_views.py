"""A stream shows itself by the view that a package brings along, and by its `repr` without one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest
from support.clock import PATIENCE

from runagent import AsyncRunAgentClient, RunAgentClient, views

CLIENTS = [RunAgentClient, AsyncRunAgentClient]


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    chosen = list(views._chosen)
    views._chosen.clear()
    views._installed.cache_clear()
    yield
    views._chosen[:] = chosen
    views._installed.cache_clear()


def install(monkeypatch: pytest.MonkeyPatch, *targets: str) -> None:
    found = [EntryPoint("a view", target, "runagent.views") for target in targets]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda *, group: found)


@pytest.mark.parametrize("client", CLIENTS)
def test_without_a_view_it_is_the_repr(
    client: type[RunAgentClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, "a_package_that_is_not_installed:view")
    stream = client("a", base_url="http://127.0.0.1:9").run_generic_stream({})
    assert stream._display_() == repr(stream)


@pytest.mark.parametrize("client", CLIENTS)
def test_the_view_that_is_installed_is_asked(
    client: type[RunAgentClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, "a_package_that_is_not_installed:view", "builtins:id", "builtins:len")
    stream = client("a", base_url="http://127.0.0.1:9").run_generic_stream({})
    assert stream._display_() == id(stream)


def test_a_chosen_view_comes_before_installed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "builtins:id")
    views.choose(type)
    stream = RunAgentClient("a", base_url="http://127.0.0.1:9").run_generic_stream({})
    assert stream._display_() is type(stream)


def test_no_view_is_looked_for_before_somebody_asks() -> None:
    code = "import runagent, sys; print('runagent_jupyter' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert done.stdout == "False\n"
