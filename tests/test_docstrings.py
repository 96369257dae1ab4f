"""The examples in docstrings run as they stand."""

from __future__ import annotations

import ast
import asyncio
import doctest
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

import pandas as pd
import pytest

import runagent
import runagent.errors
import runagent.local
from runagent import registry
from runagent.local import agent
from runagent_jupyter import AgentWidget

TOLD = [
    runagent.RunAgentClient,
    runagent.AsyncRunAgentClient,
    runagent.local.serve,
    runagent.local.agent,
    AgentWidget,
    *(kind for kind in vars(runagent.errors).values() if inspect.isclass(kind)),
]
"""The classes and functions whose docstrings, and whose methods' docstrings, are read."""

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass
class City:
    """The model of an example."""

    name: str
    country: str


def shout(query: str) -> Iterator[str]:
    yield from (f"{word.upper()} " for word in query.split()) if " " in query else [query.upper()]


def cities(query: str) -> dict[str, str]:
    return {"name": "Rome", "country": "Italy"}


def breaking() -> Iterator[str]:
    yield "The first half"
    raise LookupError


def names() -> dict[str, Any]:
    """Return the names that the examples find."""
    return {name: getattr(runagent, name) for name in runagent.__all__} | {
        "agent": agent,
        "serve": runagent.local.serve,
        "AgentWidget": AgentWidget,
        "City": City,
        "asyncio": asyncio,
        "pd": pd,
    }


def examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = {
        test.name: test
        for told in TOLD
        for test in finder.find(told, globs=names())
        if test.examples
    }
    return list(found.values())


EXAMPLES = examples()


@pytest.fixture
def agents() -> Iterator[None]:
    """Serve the agents that the examples name."""
    for function in (shout, cities, breaking):
        agent(function)
    yield
    for name in ("shout", "cities", "breaking", "agent-123"):
        registry.unregister(name)


def awaited(loop: asyncio.AbstractEventLoop) -> Callable[[CodeType, dict[str, Any]], None]:
    """Return an `exec` that waits for what the code awaits outside of functions."""

    def run(code: CodeType, variables: dict[str, Any]) -> None:
        result = eval(code, variables)
        if inspect.iscoroutine(result):
            loop.run_until_complete(result)

    return run


@pytest.mark.usefixtures("agents")
@pytest.mark.filterwarnings(
    "ignore:Deprecated in traitlets 4.1:DeprecationWarning"
)  # anywidget 0.9
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda test: test.name)
def test_an_example_shows_what_it_says(
    example: doctest.DocTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    loop = asyncio.new_event_loop()
    monkeypatch.setattr(doctest, "exec", awaited(loop), raising=False)
    doctest.DocTestRunner(optionflags=OPTIONS).run(
        example, compileflags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, out=said.append, clear_globs=False
    )
    for value in example.globs.values():
        if isinstance(value, runagent.AsyncRunAgentClient):
            loop.run_until_complete(value.aclose())
    example.globs.clear()
    loop.close()
    assert said == [], "".join(said)


def test_every_promised_example_is_there() -> None:
    with_examples = {test.name for test in EXAMPLES}
    methods = ("run", "run_generic", "run_generic_stream", "batch_run", "map", "map_frame")
    clients = ("RunAgentClient", "AsyncRunAgentClient")
    assert {*clients, "serve", "agent", "AgentWidget", "RunAgentError"} <= with_examples
    assert {f"{client}.{method}" for client in clients for method in methods} <= with_examples
