"""The magic beside what else there is in a cell: prints, widgets, interrupts, exports."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from markdown_it import MarkdownIt
from nbconvert import MarkdownExporter
from support import notebooks
from support.faults import STALL, FaultServer
from support.kernel import IPYKERNEL_VERSION, Kernel

AGENTS = """
import asyncio, os, signal, sys
from runagent.local import agent

@agent("echo")
def echo(query: str = "", **fields):
    return {"said": query} | fields if fields else query

@agent("chatty")
def chatty(query: str):
    print("working on it")
    print("careful", file=sys.stderr)
    yield "the answer"

@agent("silent")
def silent(query: str):
    yield "  \\n"

@agent("counts")
async def counts(query: str):
    for number in range(int(query)):
        yield f"part {number}\\n\\n"
        await asyncio.sleep(0.02)

@agent("impatient")
async def impatient(query: str):
    yield "part 0"
    await asyncio.sleep(0.3)
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.001)
    await asyncio.sleep(60)

@agent("tricks")
def tricks(query: str):
    yield "```\\na\\n\\n![b](http://127.0.0.1:9/beacon)\\n   \\n# c\\n```\\n"
"""


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Kernel:
    shared_kernel.execute("%reload_ext runagent_jupyter" + AGENTS).ok()
    return shared_kernel


def executed(*cells: str) -> Any:
    return notebooks.executed("%load_ext runagent_jupyter" + AGENTS, *cells)


@pytest.mark.skipif(
    IPYKERNEL_VERSION < (7,), reason="ipykernel 6 has the first cell show what threads print"
)
def test_what_an_agent_prints_stays(kernel: Kernel) -> None:
    cell = kernel.execute("%%runagent chatty\nx").ok()
    out, err, answer = cell.outputs
    assert (out["name"], out["text"]) == ("stdout", "working on it\n")
    assert (err["name"], err["text"]) == ("stderr", "careful\n")
    assert answer["data"]["text/plain"] == "the answer"
    assert "listening" not in kernel.value("repr([sys.stdout.write, sys.stderr.write])")
    (answer,) = kernel.execute("%%runagent echo\nx").ok().outputs
    assert answer["data"]["text/plain"] == "x"


def test_in_an_output_widget_nothing_is_updated(kernel: Kernel) -> None:
    kernel.execute("import ipywidgets\nout = ipywidgets.Output()").ok()
    cell = kernel.execute("with out:\n    print('before')\n    %runagent counts 20").ok()
    assert cell.of_type("update_display_data", "clear_output") == []
    before, *blocks, last = cell.outputs
    assert before["text"] == "before\n"
    assert len(blocks) > 1
    shown = "".join(block["data"]["text/html"] for block in [*blocks, last])
    assert [shown.count(f">part {number}<") for number in range(20)] == [1] * 20
    assert last["data"]["text/plain"].startswith("part 0\n\npart 1")
    cell = kernel.execute("with out:\n    %runagent echo --set n=1 hello").ok()
    assert json.loads(cell.outputs[0]["data"]["text/plain"]) == {"said": "hello", "n": 1}
    cell = kernel.execute(
        "with out:\n    %runagent echo --bg --proc job hello\njob.wait() and None"
    )
    assert cell.ok().data("text/plain") == ["hello"]


def test_interrupts_come_together_and_lose_nothing(start_kernel: Callable[..., Kernel]) -> None:
    kernel = start_kernel()
    kernel.execute("%load_ext runagent_jupyter" + AGENTS).ok()
    for _ in range(5):
        cell = kernel.execute("%%runagent impatient --out reply\nx")
        # On a busy machine the last one may come after the cell, while IPython shows its error.
        answer, error, *late = cell.outputs
        assert error["ename"] == "KeyboardInterrupt"
        assert "stopped after" in error["traceback"][0]
        assert all(other["ename"] == "KeyboardInterrupt" for other in late)
        assert "stopped after" in answer["data"]["text/html"]
        assert kernel.value("reply.stopped and reply.text.startswith('part 0')")
        kernel.execute("del reply").ok()


@pytest.mark.parametrize("way", ["interrupt", "job.stop()"])
def test_a_plain_call_that_is_stopped_closes_its_connection(kernel: Kernel, way: str) -> None:
    background = "" if way == "interrupt" else "--bg --proc job"
    with FaultServer([STALL]) as server:
        cell = kernel.submit(f"%%runagent a --no-stream {background} --base-url {server.url}\nx")
        server.wait_for(1)
        if way == "interrupt":
            kernel.interrupt()
        else:
            kernel.execute(way).ok()
        cell.wait()
        assert server.exchanges[0].wait_closed()
    assert "stopped after" in str(cell.outputs)


def test_a_reply_is_shown_whenever_it_is_asked_for(kernel: Kernel) -> None:
    quiet = kernel.execute("r = %runagent echo --quiet hi\nr").ok()
    assert [output["data"]["text/plain"] for output in quiet.outputs] == ["hi"]
    kernel.execute("r = %runagent echo hi").ok()
    assert kernel.execute("r").ok().data("text/plain") == ["hi"]


def test_an_empty_answer_is_called_one(kernel: Kernel) -> None:
    (output,) = kernel.execute("%%runagent silent\nx").ok().outputs
    assert "the answer is empty" in output["data"]["text/html"]
    assert "the answer is empty" in output["data"]["text/plain"]


def test_options_are_filled_in(kernel: Kernel) -> None:
    kernel.execute("agents, n = ['echo'], 5").ok()
    kernel.execute("reply = %runagent {{agents[0]}} --set n={{n}} --set s='<{{n}}>' hi").ok()
    assert kernel.value("reply.value") == {"said": "hi", "n": 5, "s": "<5>"}
    kernel.execute("reply = %runagent echo --no-template --set n={{n}} hi").ok()
    assert kernel.value("reply.value") == {"said": "hi", "n": "{{n}}"}
    kernel.execute("%runagent_config --agent {{agents[0]}}").ok()
    assert kernel.execute("%%runagent\nhi").ok().data("text/plain") == ["hi"]


def test_text_may_look_like_json_and_be_filled_in(kernel: Kernel) -> None:
    kernel.execute("n = 'a \"quote\"'").ok()
    kernel.execute("%%runagent echo --text --out reply\n{name} likes {{n}}").ok()
    assert kernel.value("reply.value") == '{name} likes a "quote"'


@pytest.mark.parametrize("line", ["--ou reply", "--session a --set session_id=b"])
def test_what_could_be_misread_is_refused(kernel: Kernel, line: str) -> None:
    error = kernel.execute(f"%%runagent echo {line}\nx").error
    assert (error or {})["ename"] == "ValidationError"


def test_a_line_hands_its_job_over(kernel: Kernel) -> None:
    kernel.execute("job = %runagent echo --bg hi").ok()
    assert kernel.value("job.wait().text") == "hi"


def test_as_markdown_an_answer_is_still_no_markdown() -> None:
    notebook = executed("%%runagent tricks\nx", "%%runagent tricks --format text\nx")
    exported, _ = MarkdownExporter().from_notebook_node(notebook)
    page = MarkdownIt("commonmark", {"html": True}).render(exported)
    assert page.count("![b](") == 3  # the first one is in the agent's code
    assert "<img" not in page
    assert "<h1>c" not in page
