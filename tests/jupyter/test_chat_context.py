"""The fields that a chat sends along with each question: context, session and history."""

from __future__ import annotations

import pytest
from support.kernel import Kernel

ECHO = """
from runagent.local import agent
from runagent_jupyter import AgentWidget

asked = []

@agent("echo")
def echo(query: str, **fields):
    asked.append({"query": query, **fields})
    return f"You said **{query}**"
"""


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Kernel:
    shared_kernel.execute(ECHO).ok()
    return shared_kernel


def test_an_agent_that_takes_no_session_gets_none(kernel: Kernel) -> None:
    kernel.execute(
        """
@agent("plain")
def plain(query: str):
    return query.upper()

runs = 0

@agent("begins")
def begins(query: str, **_):
    global runs
    runs += 1
    yield {"type": "tool_call", "name": "look"}
    raise ValueError("session_id is unknown")

AgentWidget("begins").ask("x")
w = AgentWidget("plain")
said = [w.ask("one"), w.ask("two")]
w.clear()
said.append(w.ask("three"))
refused = AgentWidget("plain", session_id="mine").ask("x").error
failed = AgentWidget("plain", context={"more": 1}).ask("x").error
"""
    ).ok()
    assert kernel.value("[turn.text for turn in said]") == ["ONE", "TWO", "THREE"]
    assert kernel.value("[len(turn.events) for turn in w.turns]") == [0, 3]
    assert kernel.value("w.session_id") is None
    assert "takes no 'session_id'" in kernel.value("refused.message")
    assert "takes no 'more'" in kernel.value("failed.message")
    assert kernel.value("runs") == 1  # what has begun is not begun again


def test_context_session_and_history_go_along(kernel: Kernel) -> None:
    kernel.execute(
        """
rows = [1]
w = AgentWidget("echo", context={"rows": rows}, history=True, session_id="s-1")
w.ask("one")
rows.append(2)
w.ask("two")
"""
    ).ok()
    first, second = kernel.value("asked")
    assert (first["rows"], second["rows"]) == ([1], [1, 2])
    assert first["session_id"] == second["session_id"] == "s-1"
    assert first["history"] == []
    assert second["history"] == [
        {"role": "user", "text": "one"},
        {"role": "agent", "text": "You said **one**"},
    ]


def test_no_context_is_none(kernel: Kernel) -> None:
    kernel.execute("w = AgentWidget('echo', context={'a': 1})\nw.context = None").ok()
    assert kernel.value("w.ask('x').text") == "You said **x**"
    assert kernel.value("w.to_cell()") == "%%runagent echo --text --no-template\nx"
