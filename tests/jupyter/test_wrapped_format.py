"""The format `wrapped`: Markdown in which the end of a line is a space, in cells and in chats."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.kernel import Kernel

AGENT = """
from runagent.local import agent
from runagent_jupyter import AgentWidget

@agent("poet")
def poet(query: str):
    yield "Roses are red,\\nviolets "
    yield "are blue."
"""
BREAK = "Roses are red,<br>\nviolets are blue."
SPACE = "Roses are red,\nviolets are blue."


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Iterator[Kernel]:
    shared_kernel.execute(f"%reload_ext runagent_jupyter\n%runagent_config --reset\n{AGENT}").ok()
    yield shared_kernel
    shared_kernel.execute("%runagent_config --reset").ok()


@pytest.mark.parametrize("options", ["", "--no-stream", "--cache"])
def test_a_cell_keeps_lines_unless_they_are_wrapped(kernel: Kernel, options: str) -> None:
    kept = kernel.execute(f"%%runagent poet {options}\nAbout roses").ok()
    assert BREAK in kept.outputs[0]["data"]["text/html"]
    wrapped = kernel.execute(f"%%runagent poet --format wrapped {options}\nAbout roses").ok()
    assert SPACE in wrapped.outputs[0]["data"]["text/html"]
    assert SPACE in wrapped.outputs[0]["data"]["text/plain"]
    assert kernel.value("_.format") == "wrapped"


def test_a_notebook_may_choose_it_for_its_cells_and_chats(kernel: Kernel) -> None:
    kernel.execute("%runagent_config --format wrapped").ok()
    assert (
        SPACE in kernel.execute("%%runagent poet\nAbout roses").ok().outputs[0]["data"]["text/html"]
    )
    kernel.execute("%runagent poet --widget --out chat").ok()
    kernel.execute("chat.ask('About roses')").ok()
    assert SPACE in kernel.value("chat._conversation.html()")


def test_a_chat_takes_it_as_an_argument(kernel: Kernel) -> None:
    kernel.execute(
        "kept, wrapped = AgentWidget('poet'), AgentWidget('poet', format='wrapped')\n"
        "for chat in (kept, wrapped): chat.ask('About roses')"
    ).ok()
    assert BREAK in kernel.value("kept._conversation.html()")
    assert SPACE in kernel.value("wrapped._conversation.html()")
    refused = kernel.execute("AgentWidget('poet', format='json')").error
    assert refused is not None
    assert 'give "markdown" or "wrapped"' in refused["evalue"]
