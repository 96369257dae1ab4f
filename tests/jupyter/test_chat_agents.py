"""A chat with several agents, and the code in an answer that becomes a new cell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.chat_page import ChatPage
from support.kernel import Kernel

from runagent_jupyter.html import code_blocks

AGENTS = """
from runagent import RunAgentClient
from runagent.local import agent
from runagent_jupyter import AgentWidget

asked = []

@agent("planner")
def planner(query: str, **fields):
    asked.append(fields)
    return f"plan {query}"

@agent("critic")
def critic(query: str, history=()):
    asked.append({"history": history})
    return "Try\\n\\n```python\\nx = 1\\n\\ny = 2\\n```\\n\\nor\\n\\n- ~~~\\n  z\\n  ~~~\\n"
"""


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Kernel:
    shared_kernel.execute(f"%reload_ext runagent_jupyter\n{AGENTS}").ok()
    return shared_kernel


def test_each_question_goes_to_the_agent_that_is_picked(kernel: Kernel, tmp_path: Path) -> None:
    path = str(tmp_path / "talk.json")
    kernel.execute(
        f"""
w = AgentWidget({{"Plan": "planner", "Judge": RunAgentClient("critic")}}, history=True, store={path!r})
first = w.ask("one")
session = w.session_id
w.agent = "Judge"
second = w.ask("two")
"""
    ).ok()
    assert kernel.value("[turn.agent for turn in w.turns]") == [None, "Plan", None, "Judge"]
    assert kernel.value("(w.title, w.client.agent_id)") == ["Plan, Judge", "critic"]
    assert kernel.value("asked[1]['history'][1]") == {
        "role": "agent",
        "text": "plan one",
        "agent": "Plan",
    }
    # The critic's function takes no session; the planner's stays.
    assert kernel.value("w.session_id") is None
    page = ChatPage(kernel)
    page.send(type="choose", agent="nobody")
    page.send(type="choose", agent="Plan")
    page.send(type="ask", text="three", request="r-1")
    page.wait_for_end(3)
    assert page.wait_for("turns", count=3)["turns"][1]["agent"] == "Plan"
    assert kernel.value("(w.agent, asked[2]['session_id'] == session)") == ["Plan", True]
    assert "**Judge**\n\nTry" in kernel.value("w.to_markdown()")
    assert "Judge" in kernel.value("w._static()['text/html']")
    assert kernel.value("w.to_frame().agent.dropna().tolist()") == ["Plan", "Judge", "Plan"]
    kept = json.loads(Path(path).read_text())
    assert kept["agents"] == {"Plan": "planner", "Judge": "critic"}
    kernel.execute(f"w.close()\nv = AgentWidget.load({path!r})\nv.ask('four') and None").ok()
    assert kernel.value("(v.agent, asked[3]['session_id'] == session)") == ["Plan", True]
    assert kernel.value("[turn.agent for turn in v.turns][1::2]") == [
        "Plan",
        "Judge",
        "Plan",
        "Plan",
    ]
    kernel.execute("v.agent = 'Judge'\nlater = v.session_id\nv.clear()").ok()
    assert kernel.value("(later, v.session_id, v.agent)") == [None, None, "Judge"]


@pytest.mark.parametrize(
    ("agents", "error"),
    [
        ("[]", "ValueError: There is no agent"),
        ("{}", "ValueError: There is no agent"),
        ("['planner', 'planner']", "ValueError: The agent 'planner' is there twice"),
        ("['planner', 3]", "TypeError: agent is a int"),
        ("{'a': 'planner', 1: 'critic'}", "TypeError: The label 1 of an agent is not a string"),
        ("{' ': 'planner'}", "ValueError: The label of an agent is empty"),
        ("{'planner', 'critic'}", "TypeError: agent is a set"),
    ],
)
def test_a_bad_list_of_agents_is_refused_at_once(kernel: Kernel, agents: str, error: str) -> None:
    failed = kernel.execute(f"AgentWidget({agents})").error
    assert failed is not None
    assert error in f"{failed['ename']}: {failed['evalue']}"


def test_one_agent_is_as_before_and_another_label_is_refused(kernel: Kernel) -> None:
    kernel.execute("w = AgentWidget('planner')\nturn = w.ask('x')").ok()
    assert kernel.value("(w.agent, w._labels, turn.agent)") == ["planner", ["planner"], None]
    assert kernel.value("w.to_markdown()") == "# planner\n\n> x\n\nplan x\n"
    failed = kernel.execute("w.agent = 'critic'").error
    assert failed is not None
    assert failed["evalue"] == "This chat has no agent 'critic'; it has 'planner'."
    kernel.execute("v = AgentWidget(['planner'])").ok()
    assert kernel.value("v.ask('x').agent") is None


def test_code_becomes_a_new_cell(kernel: Kernel) -> None:
    def cell(code: str) -> list[str]:
        reply = kernel.execute(code).ok().reply
        assert reply is not None
        return [part["text"] for part in reply["payload"] if part["source"] == "set_next_input"]

    kernel.execute(
        "%runagent critic x\nreply = _\nw = AgentWidget('critic')\nturn = w.ask('x')"
    ).ok()
    for name in ("reply", "turn"):
        assert kernel.value(f"{name}.code") == ["x = 1\n\ny = 2\n", "z\n"]
        assert cell(f"{name}.code_to_cell()") == ["z"]
        assert cell(f"{name}.code_to_cell(0)") == ["x = 1\n\ny = 2"]
    failed = kernel.execute("reply.code_to_cell(2)").error
    assert failed is not None
    assert failed["evalue"] == "The answer has 2 blocks of code, and none at position 2."
    kernel.execute("%runagent critic x --format code\nreply = _").ok()
    assert kernel.value("len(reply.code)") == 1


def test_code_of_any_length_is_one_block() -> None:
    long = "".join(f"line {number}\n" for number in range(5_000))
    text = f"before\n\n```python\n{long}```\n\n> ```\n> quoted\n> ```\n\n    indented\n\n```\nopen"
    assert code_blocks(text) == [long, "quoted\n", "indented\n", "open"]
    assert code_blocks("") == code_blocks("`inline` and ``` no fence") == []
