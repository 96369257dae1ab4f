"""Answers far longer than anybody reads: the kernel, the wire and the notebook hold."""

from __future__ import annotations

import pytest
from safe_html import text_of
from support.clock import PATIENCE
from support.kernel import Kernel

AGENTS = """
from runagent.local import agent

@agent("flood")
async def flood(text: str, times: int, **_):
    for _ in range(times):
        yield text

@agent("large")
def large(text: str, times: int, **_):
    return text * times

@agent("steps")
def steps(times: int, **_):
    for number in range(times):
        yield {"type": "tool", "name": f"tool {number}"}
    yield "done"

@agent("rows")
def rows(times: int, **_):
    return {"rows": [{"n": number, "deep": {"n": [number]}} for number in range(times)]}

@agent("endless")
async def endless(**_):
    while True:
        yield "word " * 100
"""


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Kernel:
    shared_kernel.execute("%reload_ext runagent_jupyter" + AGENTS).ok()
    return shared_kernel


def asked(kernel: Kernel, agent: str, body: str, options: str = "") -> tuple[str, str, int]:
    """Ask; return the HTML and the text of the output, and the bytes on the wire."""
    done = kernel.execute(
        f"%%runagent {agent} --out reply {options}\n{body}", timeout=PATIENCE
    ).ok()
    (output,) = done.outputs
    sent = sum(message.size for message in done.messages if "display" in message.type)
    return output["data"]["text/html"], output["data"]["text/plain"], sent


@pytest.mark.parametrize(
    ("agent", "text", "times"),
    [
        ("flood", "x", 20_000),
        ("flood", "word " * 10_000, 100),
        ("large", "one line without an end ", 200_000),
        ("large", "```\\n" + "x" * 5_000_000, 1),
        ("large", "\\n", 3_000_000),
        ("large", "\\u0000\\u001b[31m\\ud800", 300_000),
        ("large", "| a | b |\\n|---|---|\\n" + "| x | y |\\n" * 100_000, 1),
        ("large", "$x$ ", 200_000),
        ("flood", "", 20_000),
    ],
)
@pytest.mark.parametrize("options", ["", "--format text"])
def test_an_output_is_bounded_and_says_how_to_get_the_rest(
    kernel: Kernel, agent: str, text: str, times: int, options: str
) -> None:
    body = f'{{"text": "{text}", "times": {times}}}'
    shown, plain, sent = asked(kernel, agent, body, options)
    whole = kernel.value("len(reply.text)")
    assert sent < 6_000_000
    assert kernel.value("reply.text.startswith(reply.events.text)")
    for said in (text_of(shown), plain):
        is_cut = "Cut off here, after " in said
        assert is_cut == (whole > 500_000 or "$x$" in text)
        if is_cut:
            assert f" of {whole:,} characters" in said
            assert "_.text" in said
            assert "write(_.text)" in said
    kernel.execute("del reply").ok()


def test_steps_and_objects_are_bounded_too(kernel: Kernel) -> None:
    shown, plain, sent = asked(kernel, "steps", '{"times": 3000}')
    assert "… 2,500 more" in text_of(shown)
    assert "… 2,500 more" in plain
    assert sent < 1_000_000
    assert kernel.value("len(reply.events)") == 3_003
    _, plain, sent = asked(kernel, "rows", '{"times": 50000}')
    assert plain.rstrip().endswith("_.text in the next cell.]")
    assert sent < 3_000_000
    assert kernel.value("len(reply.value['rows'])") == 50_000


def test_an_interrupted_flood_keeps_what_came(kernel: Kernel) -> None:
    cell = kernel.submit("%%runagent endless --out reply\n{}")
    cell.wait_for_output("word")
    kernel.interrupt()
    cell.wait()
    chunks = "sum(event.kind == 'chunk' for event in reply.events)"
    assert kernel.value("reply.stopped")
    assert kernel.value("len(reply.text)") == 500 * kernel.value(chunks) > 0


def test_a_chat_shows_the_beginning_and_keeps_all(kernel: Kernel) -> None:
    kernel.execute(
        "from runagent_jupyter import AgentWidget\n"
        "w = AgentWidget('flood', field='text', context={'times': 60_000})\nw"
    ).ok()
    asking = kernel.execute("w.ask('many words ') and None", timeout=PATIENCE).ok()
    kernel.execute("").ok()
    assert kernel.value("(len(w.turns[-1].text), len(w.value))") == [660_000, 660_000]
    sent = [message for message in kernel.messages if message.received > asking.sent]
    assert sum(message.size for message in sent) < 6_000_000
    state = kernel.value("w.get_state('value')['value']")
    assert len(state) < 600_000
    assert "w.turns[-1].text" in state[-200:]
    facts = kernel.value("w._transcript(0)['turns'][-1]['facts']")
    assert "of 660,000 characters" in facts
    assert "w.turns[-1].text" in facts
