"""Help in notebooks: the purpose comes first, and its examples run."""

from __future__ import annotations

import inspect
import re

import pytest
from IPython.core import oinspect
from support.kernel import Kernel

from runagent_jupyter.magics import RunAgentMagics

LINES = 20
"""Lines that JupyterLab's tooltip shows."""

SURROUNDINGS = """
%load_ext runagent_jupyter
import pandas as pd
from runagent import AsyncRunAgentClient, RunAgentClient, RunAgentError
from runagent.local import agent, serve
from runagent_jupyter import AgentWidget, chat

@agent("agent-123")
def answer(query="", **_):
    return query

client = RunAgentClient("agent-123")
df = pd.DataFrame({"review_id": [1, 2], "text": ["Good.", "Bad."]})
city = "Rome"
"""

needs_hooks = pytest.mark.skipif(
    not hasattr(oinspect, "InspectorHookData"),
    reason="IPython shows its own signatures before 8.22",
)


def help_on(kernel: Kernel, code: str) -> list[str]:
    """Return the lines that Shift-Tab at the end of some code shows."""
    shown = kernel.value(
        f"get_ipython().kernel.do_inspect({code!r}, {len(code)})['data']['text/plain']"
    )
    return re.sub(r"\x1b\[[\d;]*m", "", shown).splitlines()


def blocks(text: str) -> list[str]:
    """Return the examples in a text: the indented blocks behind two colons."""
    found = re.findall(r"::\n\n((?:(?:    .*)?\n)+)", inspect.cleandoc(text) + "\n")
    return [inspect.cleandoc(block) for block in found]


def test_the_examples_of_the_magics_help_run(kernel: Kernel) -> None:
    cells = blocks(str(RunAgentMagics.runagent.__doc__))
    assert len(cells) >= 5
    kernel.execute(SURROUNDINGS).ok()
    for cell in cells:
        kernel.execute(cell).ok()


def test_help_begins_with_the_purpose_and_an_example(kernel: Kernel) -> None:
    kernel.execute("%load_ext runagent_jupyter").ok()
    for name in ("runagent", "runagent_config"):
        for line in (f"%{name} --help", f"%{name}?"):
            execution = kernel.execute(line).ok()
            shown = execution.stdout
            if line.endswith("?"):
                (payload,) = execution.reply["payload"]  # type: ignore[index]
                shown = payload["data"]["text/plain"]
            text = re.sub(r"\x1b\[[\d;]*m", "", shown).removeprefix("Docstring:").lstrip()
            assert text.startswith(("Ask an agent", "Show and set"))
            assert "--help" in text


def test_help_asks_nothing(kernel: Kernel) -> None:
    kernel.execute(
        "asked = []\nfrom runagent.local import agent\nagent('spy')(lambda query: asked.append(query))"
    ).ok()
    kernel.execute("%load_ext runagent_jupyter").ok()
    assert "What can you do?" in kernel.execute("%%runagent spy --help\nWhy?").ok().stdout
    assert kernel.value("asked") == []


@needs_hooks
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("RunAgentClient(", ["Calls one agent.", ">>> client = RunAgentClient(", "timeout=30"]),
        ("AsyncRunAgentClient(", ["Calls one agent", ">>> client = AsyncRunAgentClient("]),
        ("client.run_generic(", ["Run the agent and return its answer.", "input_data:"]),
        ("client.run_generic_stream(", ["Stream the agent's answer.", "input_data:"]),
        ("client.map(", ["Run the agent on many inputs", "inputs:", "journal:"]),
        ("client.map_frame(", ["Run the agent on the rows", "frame:", "output:"]),
        ("AgentWidget(", ["A chat with an agent.", ">>> chat = AgentWidget("]),
        ("serve(", ["Serve Python functions as agents", ">>> with serve("]),
        ("agent(", ["Make a function reachable", '>>> @agent("agent-123")']),
        ("RunAgentError(", ["Base class of every error", ">>> try:", "message:"]),
    ],
)
def test_a_tooltip_has_what_matters_above_the_fold(
    kernel: Kernel, code: str, expected: list[str]
) -> None:
    kernel.execute(SURROUNDINGS).ok()
    above = "\n".join(help_on(kernel, code)[:LINES])
    for text in expected:
        assert text in above


def test_other_help_is_left_alone(kernel: Kernel) -> None:
    code = "def mine(a: int, *, b: str = 'x') -> None: 'My own.'"
    kernel.execute(code).ok()
    before = help_on(kernel, "mine("), help_on(kernel, "print(")
    kernel.execute("%load_ext runagent_jupyter").ok()
    assert (help_on(kernel, "mine("), help_on(kernel, "print(")) == before
    kernel.execute("from runagent import RunAgentClient").ok()
    short = help_on(kernel, "RunAgentClient(")
    kernel.execute("%unload_ext runagent_jupyter").ok()
    long = help_on(kernel, "RunAgentClient(")
    assert "verify_ssl: 'bool" in "\n".join(long)
    assert len(short) <= len(long)


@needs_hooks
def test_a_hook_of_somebody_else_stays(kernel: Kernel) -> None:
    kernel.execute(
        "hook = lambda data: [('Theirs', 'text')]\n"
        "get_ipython().inspector.mime_hooks = {'text/plain': hook}\n"
        "%load_ext runagent_jupyter\n%reload_ext runagent_jupyter"
    ).ok()
    kernel.execute("from runagent import RunAgentClient").ok()
    assert help_on(kernel, "RunAgentClient(") == ["Theirs: text"]
