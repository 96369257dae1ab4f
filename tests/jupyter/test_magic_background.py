"""`--bg`: the cell returns, its answer keeps streaming into it, and a handle has it in hand."""

from __future__ import annotations

import re

import pytest
from support.clock import PATIENCE
from support.kernel import Kernel
from support.terminal import TerminalIPython

AGENTS = """
import asyncio
from runagent.local import agent
closed = False

@agent("slow")
async def slow(query: str):
    global closed
    yield "# Begun"
    try:
        for number in range(int(query)):
            await asyncio.sleep(0.05)
            yield f"\\n\\npart {number}"
    finally:
        closed = True

@agent("breaks")
def breaks(query: str):
    yield "half"
    raise RuntimeError("it broke")

@agent("fails")
def fails(query: str):
    raise RuntimeError("it broke")
"""


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Kernel:
    shared_kernel.execute("%reload_ext runagent_jupyter" + AGENTS).ok()
    return shared_kernel


PATIENT = """
import threading

go_on = threading.Event()

@agent("patient")
def patient(query: str):
    yield "# Begun\\n\\n"
    go_on.wait()
    yield from (f"part {i}\\n" for i in range(20))
"""


def test_it_streams_into_its_own_cell_while_others_run(kernel: Kernel) -> None:
    kernel.execute(PATIENT).ok()
    cell = kernel.execute("%%runagent patient --bg --proc job --out reply\nplease").ok()
    assert kernel.value("job.done") is False
    other = kernel.execute("print('meanwhile')").ok()
    waiting = kernel.execute("go_on.set()\njob.wait().text[-8:]").ok()
    assert "part 19" in waiting.outputs[0]["data"]["text/plain"]
    (output,) = cell.outputs
    assert "part 19" in output["data"]["text/html"]
    assert "characters" not in output["data"]["text/html"]
    assert [o.get("text") for o in other.outputs] == ["meanwhile\n"]
    assert kernel.value("[job.done, reply is job.reply, repr(job)]") == [
        True,
        True,
        "<Job 'patient': done>",
    ]


def test_the_handle_stops_it(kernel: Kernel) -> None:
    cell = kernel.execute("%%runagent slow --bg --proc job\n10000").ok()
    cell.wait_for_output("part 2")
    kernel.execute("reply = job.stop()").ok()
    assert kernel.value("[reply.stopped, reply.text[:7], repr(job)]") == [
        True,
        "# Begun",
        "<Job 'slow': stopped>",
    ]
    assert "stopped after" in cell.outputs[0]["data"]["text/html"]
    kernel.execute("import time\nwhile not closed: time.sleep(0.01)", timeout=PATIENCE).ok()


def test_an_interrupt_ends_the_wait_alone(kernel: Kernel) -> None:
    kernel.execute(PATIENT).ok()
    kernel.execute("%%runagent patient --bg --proc job\nplease").ok()
    waiting = kernel.submit("print('waiting', flush=True); job.wait()")
    waiting.wait_for_output("waiting")
    kernel.interrupt()
    assert waiting.wait().status == "error"
    assert kernel.value(
        "[job.done, [t.is_alive() for t in __import__('threading').enumerate() if 'patient' in t.name]]"
    ) == [False, [True]]
    assert (
        kernel.execute("go_on.set()\njob.wait().stopped").ok().outputs[0]["data"]["text/plain"]
        == "False"
    )


def test_a_failure_is_shown_and_raised_by_wait(kernel: Kernel) -> None:
    cell = kernel.execute("%%runagent breaks --bg --proc job\nx").ok()
    waiting = kernel.execute("job.wait()")
    assert (waiting.error or {})["ename"] == "StreamError"
    assert "it broke" in (waiting.error or {})["evalue"]
    assert "broken off" in cell.outputs[0]["data"]["text/html"]
    assert "it broke" in cell.outputs[0]["data"]["text/html"]


@pytest.mark.parametrize("option", ["", " --no-stream"])
def test_a_failure_before_any_text_is_shown_too(kernel: Kernel, option: str) -> None:
    cell = kernel.execute(f"%%runagent fails --bg --proc job{option}\nx").ok()
    assert (kernel.execute("job.wait()").error or {})["ename"] in {"StreamError", "RunAgentError"}
    assert "it broke" in cell.outputs[0]["data"]["text/html"]
    assert "it broke" in cell.outputs[0]["data"]["text/plain"]
    assert re.search(r", line \d+, in fails\n", cell.outputs[0]["data"]["text/html"])


@pytest.mark.parametrize(
    "collector", ["ipywidgets.Output()", "IPython.utils.capture.capture_output()"]
)
def test_a_failure_is_shown_where_outputs_are_collected(kernel: Kernel, collector: str) -> None:
    kernel.execute("import contextlib, IPython.utils.capture, ipywidgets").ok()
    cell = kernel.execute(
        f"with {collector} as seen:\n    %runagent fails --bg --proc job x\n"
        "    with contextlib.suppress(Exception): job.wait()\n"
        "seen and [output.data for output in seen.outputs]"
    ).ok()
    assert "it broke" in str([output.get("data") for output in cell.outputs])


def test_waiting_has_a_limit(kernel: Kernel) -> None:
    kernel.execute("%%runagent slow --bg --proc job\n10000").ok()
    assert (kernel.execute("job.wait(0.1)").error or {})["ename"] == "TimeoutError"
    kernel.execute("job.stop()").ok()


def test_in_a_terminal_it_writes_nothing_of_itself(terminal: TerminalIPython) -> None:
    terminal.run("%load_ext runagent_jupyter")
    terminal.run("%runagent --bg --proc job --set delay=0 demo hello")
    assert "# Hello" in terminal.run("print(job.wait().text)")
