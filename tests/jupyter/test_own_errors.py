"""An error in the user's own function: the cell and the chat say where it is."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.kernel import Kernel

AGENTS = """
import json
from runagent import RunAgentClient, ValidationError
from runagent.local import agent
from runagent_jupyter import AgentWidget
from runagent_jupyter.chats.answer_view import describe

def parsed(text):
    rows = 42
    return json.loads(text)

@agent("returns")
def returns(query: str):
    return parsed(query)

@agent("streams")
async def streams(query: str):
    yield "half an answer"
    raise ValueError("broken")

@agent("refuses")
def refuses(query: str):
    raise ValidationError("not that")

@agent("deep")
def deep(query: str):
    def again(depth):
        return again(depth - 1) if depth else 1 / 0
    return again(30)
"""

OTHER = """
from runagent.local import agent

@agent("other")
def other(query: str):
    raise ValueError("broken")
"""


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Kernel:
    shared_kernel.execute("%reload_ext runagent_jupyter" + AGENTS).ok()
    return shared_kernel


def traceback(kernel: Kernel, code: str) -> str:
    error = kernel.execute(code).error
    assert error is not None
    return re.sub("\x1b\\[[0-9;]*m", "", "\n".join(error["traceback"]))


@pytest.mark.parametrize("line", ["", " --no-stream"])
def test_the_cell_shows_the_lines_of_the_user_s_functions(kernel: Kernel, line: str) -> None:
    shown = traceback(kernel, f"%%runagent returns --out failed{line}\nx")
    first, *more = shown.splitlines()
    assert "JSONDecodeError: Expecting value" in first
    assert [text for text in more[:4] if "Cell In[" not in text] == [
        "    return parsed(query)",
        "    return json.loads(text)",
    ]
    assert re.search(r"  Cell In\[\d+\], line 10, in parsed\n", shown)
    assert "decoder.py" not in shown
    (note,) = kernel.value("failed.error.__notes__")
    assert note.endswith("in parsed\n    return json.loads(text)")
    assert kernel.value("type(failed.error.__cause__).__name__") == "JSONDecodeError"


def test_so_does_a_stream_and_a_job(kernel: Kernel) -> None:
    for code in ("%%runagent streams\nx", "job = %runagent streams --bg x\njob.wait()"):
        shown = traceback(kernel, code)
        assert "StreamError: ValueError: broken" in shown
        assert 'in streams\n    raise ValueError("broken")\n' in shown


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no exception groups")
def test_so_do_the_exceptions_of_a_task_group(kernel: Kernel) -> None:
    kernel.execute(
        """import asyncio
@agent("grouped")
async def grouped(query: str):
    async def fail(number):
        raise ValueError(f"broken {number}")
    async with asyncio.TaskGroup() as group:
        group.create_task(fail(1))
        group.create_task(fail(2))
"""
    ).ok()
    shown = traceback(kernel, "%%runagent grouped\nx")
    assert "(2 sub-exceptions); ValueError: broken 1; ValueError: broken 2\n" in shown
    assert 'in fail\n    raise ValueError(f"broken {number}")\n' in shown


def test_tb_and_debug_go_to_the_user_s_function(kernel: Kernel) -> None:
    kernel.execute("%%runagent returns\nx")
    cell = kernel.execute("%debug", stdin=["p rows + 1", "up", "p query", "q"]).ok()
    assert "43" in cell.stdout.splitlines()
    assert "'x'" in cell.stdout.splitlines()
    kernel.execute("%%runagent returns\nx")
    shown = traceback(kernel, "%tb")
    assert "in parsed(text)" in shown
    assert "---> 10     return json.loads(text)" in shown
    assert shown.count("JSONDecodeError: Expecting value") == 2  # it is the cause


def test_a_traceback_that_nobody_sees_is_not_rendered(kernel: Kernel) -> None:
    """IPython renders each failure for its history, which takes longer than the end of a cell."""
    kernel.execute(
        "renderer, rendered = get_ipython().InteractiveTB, []\n"
        "whole = renderer.structured_traceback\n"
        "renderer.structured_traceback = lambda *facts: rendered.append(facts) or whole(*facts)"
    ).ok()
    kernel.execute("%%runagent returns\nx")
    assert kernel.value("len(rendered)") == 0
    assert "in parsed(text)" in traceback(kernel, "%tb")
    assert kernel.value("len(rendered)") == 1
    kernel.execute("del renderer.structured_traceback").ok()


def test_the_chat_shows_it_too(kernel: Kernel) -> None:
    kernel.execute("w = AgentWidget('streams')\nturn = w.ask('x')").ok()
    text = kernel.value("describe(turn.error)")
    assert re.search(
        r'ValueError: broken\n  Cell In\[\d+\], line \d+, in streams\n    raise ValueError\("broken"\)\n',
        text,
    )
    assert "in streams" in kernel.value("w._repr_mimebundle_()[0]['text/html']")


def test_a_client_in_this_process_has_the_cause(kernel: Kernel) -> None:
    shown = traceback(kernel, "RunAgentClient('deep').run_generic({'query': 'x'})")
    assert "ZeroDivisionError: division by zero" in shown
    kernel.execute("import sys\nerror = sys.last_value").ok()
    (note,) = kernel.value("error.__notes__")
    assert len(note.splitlines()) == 10
    assert kernel.value("type(error.__cause__).__name__") == "ZeroDivisionError"
    assert "refuses" in traceback(kernel, "%runagent refuses x")


def test_nothing_is_kept_for_nobody(kernel: Kernel) -> None:
    for agent in ("returns", "streams", "deep", "demo"):
        kernel.execute(f"%runagent {agent} x")
    kernel.execute("for chunk in RunAgentClient('demo').run_generic_stream({}):\n    break").ok()
    kernel.execute("RunAgentClient('demo').health()").ok()
    kernel.execute("import gc; del chunk; gc.collect()\nfrom runagent import raised").ok()
    assert kernel.value("list(raised._raised)") == []


@pytest.fixture(scope="module")
def other_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    module = tmp_path_factory.mktemp("other") / "agents.py"
    module.write_text(OTHER)
    command = [sys.executable, "-m", "runagent.local", str(module), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().rpartition(" ")[2].strip()
        finally:
            process.kill()


def test_over_another_process_s_server_nothing_of_the_inside_is_shown(
    kernel: Kernel, other_server: str
) -> None:
    shown = traceback(kernel, f"%%runagent other --base-url {other_server} --out failed\nx")
    assert "ValueError: broken" in shown
    assert "agents.py" not in shown
    assert "raise" not in shown
    assert kernel.value("[hasattr(failed.error, '__notes__'), failed.error.__cause__]") == [
        False,
        None,
    ]
    assert Path(__file__).name not in traceback(kernel, "%tb")
