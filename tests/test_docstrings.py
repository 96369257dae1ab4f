"""The public classes and functions have examples in their docstrings, which run as they stand."""

from __future__ import annotations

import ast
import asyncio
import doctest
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pandas as pd
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from IPython.core.interactiveshell import InteractiveShell
from support.clock import FOR_EVER
from support.faults import FaultServer, answer
from traitlets.config import Config

import runagent
import runagent.local
import runagent_jupyter
import runagent_jupyter.marimo
from runagent import RateLimitError, registry
from runagent.local import agent, demo
from runagent.many import AsyncBatch, Batch, Row
from runagent_jupyter import usage
from runagent_jupyter.chats.attached import Attached
from runagent_jupyter.chats.turn import Turn
from runagent_jupyter.each.run import EachJob
from runagent_jupyter.jobs import Job

MODULES = (runagent, runagent.local, runagent_jupyter, runagent_jupyter.marimo)
"""The modules whose `__all__` users read."""

HANDED_OVER: tuple[type, ...] = (
    *(Batch, AsyncBatch, Row, Job, EachJob, Turn, Attached),
    *(usage.NotebookUsage, usage.AgentUsage),
)
"""The classes of objects that users get and do not make."""

CALLED_BY_OTHERS = {
    *("send", "throw", "asend", "athrow"),  # Python, of any generator
    *("take", "take_facts", "take_result", "read_as", "end", "is_shown_in"),  # magics and chats
    *("AgentUsage.add", "AgentUsage.add_batch"),  # cells and chats
    *("get_state", "send_state"),  # ipywidgets
}
"""Methods that users do not call."""

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

ENTRYPOINTS = [{"tag": "minimal"}, {"tag": "minimal_stream"}]
LISTED = {"success": True, "data": {"agent_id": "agent-123", "entrypoints": ENTRYPOINTS}}
HEALTH = {"status": "healthy", "server": "RunAgent FastAPI Local Server", "agent_id": "agent-123"}


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


def reader(query: str, attachments: Any = ()) -> str:
    return f"{len(attachments)} attached"


def busy() -> str:
    raise RateLimitError("Not now.", retry_after=30)


def slow(**_: object) -> Iterator[str]:
    time.sleep(FOR_EVER)
    yield "late"


AGENTS = (shout, cities, breaking, reader, busy, slow)


def public() -> dict[str, Any]:
    """Return the public classes and functions by name."""
    named = {
        name: getattr(module, name)
        for module in MODULES
        for name in module.__all__
        if inspect.isfunction(getattr(module, name)) or inspect.isclass(getattr(module, name))
    }
    named.update((kind.__name__, kind) for kind in HANDED_OVER)
    # The others are names for types of Python.
    return {name: told for name, told in named.items() if told.__module__.startswith("runagent")}


def methods(kind: type) -> dict[str, Any]:
    """Return the methods of a class that users call, by name, also those of our own bases."""
    return {
        name: getattr(kind, name)
        for base in reversed(kind.__mro__)
        if base.__module__.startswith("runagent")
        for name, member in vars(base).items()
        if inspect.isfunction(member) or isinstance(member, classmethod)
        if not name.startswith("_")
        if CALLED_BY_OTHERS.isdisjoint({name, getattr(kind, name).__qualname__})
    }


class Parser(doctest.DocTestParser):
    """Reads lines that begin with a magic as IPython does."""

    def get_examples(self, string: str, name: str = "<string>") -> list[doctest.Example]:
        examples = super().get_examples(string, name)
        for example in examples:
            if "%" in example.source:
                example.source = TransformerManager().transform_cell(example.source)
        return examples


def examples() -> list[doctest.DocTest]:
    """Return the examples of each public class, function and method; each docstring once."""
    finder = doctest.DocTestFinder(recurse=False, parser=Parser())
    told = public()
    for name, kind in public().items():
        if inspect.isclass(kind):
            told |= {f"{name}.{method}": found for method, found in methods(kind).items()}
    by_text: dict[str, doctest.DocTest] = {}
    for name, one in told.items():
        for test in finder.find(one, name, module=ModuleType("runagent"), globs={}):
            if test.examples:
                by_text.setdefault(test.docstring or "", test)
    return list(by_text.values())


EXAMPLES = examples()


@pytest.fixture
def agents(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Serve the agents that the examples name; have the demo agent answer without pauses."""
    monkeypatch.setattr(demo, "_MAX_SECONDS", 0.0)
    for function in AGENTS:
        agent(function)
    yield
    for name in [function.__name__ for function in AGENTS] + ["agent-123"]:
        registry.unregister(name)


@pytest.fixture
def url() -> Iterator[str]:
    """The address of a server that answers as `runagent serve` does."""
    with FaultServer(answer(HEALTH), answer(LISTED)) as server:
        yield server.url


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """The IPython of the magics in examples, which forgets everything."""
    usage.begin_again()
    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    runagent_jupyter.load_ipython_extension(shell)
    yield shell
    runagent_jupyter.unload_ipython_extension(shell)
    shell.restore_sys_module_state()
    InteractiveShell.clear_instance()


def names(url: str) -> dict[str, Any]:
    """Return the names that the examples find."""
    return {
        **public(),
        "City": City,
        "asyncio": asyncio,
        "get_ipython": lambda: InteractiveShell._instance,
        "pd": pd,
        "shout": shout,
        "threading": threading,
        "url": url,
    }


def awaited(loop: asyncio.AbstractEventLoop) -> Callable[[CodeType, dict[str, Any]], None]:
    """Return an `exec` that waits for what the code awaits outside of functions."""

    def run(code: CodeType, variables: dict[str, Any]) -> None:
        result = eval(code, variables)
        if inspect.iscoroutine(result):
            loop.run_until_complete(result)

    return run


def run(example: doctest.DocTest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run an example; return what it does otherwise than it says."""
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
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    return "".join(said)


@pytest.mark.usefixtures("agents", "shell")
@pytest.mark.filterwarnings(
    "ignore:Deprecated in traitlets 4.1:DeprecationWarning"
)  # anywidget 0.9
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda test: test.name)
def test_an_example_shows_what_it_says(
    example: doctest.DocTest, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if example.name == "model" and not find_spec("marimo"):
        pytest.skip("tests/apps/test_marimo_objects.py runs it, where marimo is installed")
    monkeypatch.chdir(tmp_path)
    example.globs.update(names(url))
    assert run(example, monkeypatch) == ""


@pytest.mark.parametrize("name", public())
def test_each_public_name_and_each_of_its_methods_has_an_example(name: str) -> None:
    told = public()[name]
    assert ">>> " in (inspect.getdoc(told) or ""), f"{name} has no example."
    if inspect.isclass(told):
        lacking = [m for m, method in methods(told).items() if ">>> " not in (method.__doc__ or "")]
        assert lacking == [], f"Methods of {name} without an example: {lacking}"


def test_the_examples_are_those_that_users_need() -> None:
    found = {test.name for test in EXAMPLES}
    assert {"Stream", "AsyncStream", "Batch", "Row", "Reply", "Turn", "Job", "model"} <= found
    assert {"RunAgentClient.map_frame", "AsyncRunAgentClient.run_generic"} <= found
    assert {"AgentWidget.ask", "AgentWidget.load", "Reply.to_frame", "Server.add"} <= found
    assert len(found) > 100
