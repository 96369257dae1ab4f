"""`asyncio.run` in cells: with the extension loaded it works, and unloaded it is as it was."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.example import EXAMPLE
from support.faults import FaultServer, good
from support.kernel import Kernel

from runagent_jupyter.event_loops import make_reentrant, restore

RUN = "import asyncio\nasync def f(): return 42\nprint(asyncio.run(f()))"

ASKS = """
import asyncio
from runagent import AsyncRunAgentClient, RunAgentError

async def gather():
    async with AsyncRunAgentClient("demo") as client:
        answers = await asyncio.gather(
            *(client.run_generic({"query": str(n), "delay": 0}) for n in range(50)))
    return len(answers)

async def stream():
    async with AsyncRunAgentClient("demo") as client:
        return "".join([c async for c in client.run_generic_stream({"query": "x", "delay": 0})])

async def late():
    try:
        await asyncio.wait_for(asyncio.sleep(36_000), 0.05)
    except asyncio.TimeoutError:
        return "late"

async def fails():
    async with AsyncRunAgentClient("demo") as client:
        await client.run_generic({"query": 3})
"""


@pytest.fixture
def kernel(start_kernel: Callable[..., Kernel]) -> Kernel:
    return start_kernel()


def test_it_works_once_the_extension_is_loaded_and_not_before(kernel: Kernel) -> None:
    kernel.execute("import runagent_jupyter").ok()
    assert kernel.execute(RUN).status == "error"
    kernel.execute("%load_ext runagent_jupyter").ok()
    assert [cell.stdout for cell in kernel.run_all(*[RUN] * 20)] == ["42\n"] * 20


def test_clients_under_asyncio_run(kernel: Kernel) -> None:
    kernel.execute("%load_ext runagent_jupyter" + ASKS).ok()
    assert kernel.execute("print(asyncio.run(gather()))").ok().stdout == "50\n"
    assert kernel.execute("print(asyncio.run(stream())[:7])").ok().stdout == "# Hello\n"
    assert kernel.execute("print(asyncio.run(late()))").ok().stdout == "late\n"
    assert kernel.execute("print(await gather(), asyncio.run(gather()))").ok().stdout == "50 50\n"
    assert (kernel.execute("asyncio.run(fails())").error or {})["ename"] == "ValidationError"


def test_the_references_complete_example_is_one_cell(start_kernel: Callable[..., Kernel]) -> None:
    script = [good("invoke"), good("stream"), *[good("invoke")] * 5, good("stream")]
    with FaultServer(*script) as server:
        settings = {"RUNAGENT_API_URL": server.url, "RUNAGENT_API_KEY": "key"}
        kernel = start_kernel(environment=settings)
        kernel.execute("%load_ext runagent_jupyter").ok()
        cell = kernel.execute(EXAMPLE).ok()
    assert cell.stdout == "Response: {'answer': 'ok'}\nokok"


def test_on_uvloop_all_but_asyncio_run_works(
    start_kernel: Callable[..., Kernel], tmp_path: Path
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    policy = "import asyncio, uvloop\nasyncio.set_event_loop_policy(uvloop.EventLoopPolicy())\n"
    (site / "sitecustomize.py").write_text(policy)
    kernel = start_kernel(environment={"PYTHONPATH": str(site)})
    loaded = kernel.execute("%load_ext runagent_jupyter").ok()
    assert "asyncio.run() will not work in cells" in loaded.stderr
    assert "uvloop.Loop" in loaded.stderr
    cell = kernel.execute("%%runagent demo\nhi").ok()
    assert "Hello from the demo agent" in str(cell.outputs)
    kernel.execute(ASKS).ok()
    assert kernel.execute("print(await gather(), len(await stream()) > 100)").stdout == "50 True\n"
    widget = (
        "from runagent_jupyter import AgentWidget\nprint(AgentWidget('demo').ask('hi').text[:7])"
    )
    assert kernel.execute(widget).ok().stdout == "# Hello\n"
    assert kernel.execute("asyncio.run(gather())").error is not None


def test_an_interrupt_ends_asyncio_run(kernel: Kernel) -> None:
    kernel.execute("%load_ext runagent_jupyter" + ASKS).ok()
    cell = kernel.submit("print('begun', flush=True); asyncio.run(asyncio.sleep(36_000))")
    cell.wait_for_output("begun")
    kernel.interrupt()
    assert cell.wait().status == "error"
    assert (cell.error or {})["ename"] == "KeyboardInterrupt"
    assert kernel.execute(RUN).ok().stdout == "42\n"


@pytest.mark.skipif(
    importlib.util.find_spec("nest_asyncio") is None, reason="there is no nest_asyncio here"
)
def test_an_older_nest_asyncio_is_taken_over(kernel: Kernel) -> None:
    kernel.execute("import nest_asyncio; nest_asyncio.apply()").ok()
    kernel.execute("%load_ext runagent_jupyter").ok()
    assert [cell.stdout for cell in kernel.run_all(*[RUN] * 20)] == ["42\n"] * 20


def test_unloading_gives_asyncio_back(kernel: Kernel) -> None:
    look = (
        "import asyncio; (asyncio.run.__module__, asyncio.Task.__module__, "
        "asyncio.get_event_loop.__module__, '_nest_patched' in dir(asyncio), "
        "[name for name in dir(asyncio.get_running_loop()) if '_nest' in name or '_runs' in name])"
    )
    before = kernel.execute(look).ok().outputs
    kernel.execute("%load_ext runagent_jupyter").ok()
    assert kernel.execute(look).ok().outputs[0]["data"] != before[0]["data"]
    assert kernel.execute(RUN).ok().stdout == "42\n"
    kernel.execute("%unload_ext runagent_jupyter").ok()
    assert kernel.execute(look).ok().outputs[0]["data"] == before[0]["data"]
    assert kernel.execute(RUN).status == "error"
    await_cell = "import asyncio\nawait asyncio.sleep(0.01)\nprint('awaited')"
    assert [c.stdout for c in kernel.run_all(*[await_cell] * 5)] == ["awaited\n"] * 5
    kernel.execute("%load_ext runagent_jupyter").ok()
    assert kernel.execute(RUN).ok().stdout == "42\n"


class ForeignLoop(asyncio.AbstractEventLoop):
    """A loop of another implementation, as uvloop's."""


def test_a_loop_that_cannot_be_patched_is_named_and_nothing_is_changed() -> None:
    foreign: Any = ForeignLoop  # abstract, but nothing of it is called
    before = asyncio.run
    asyncio._set_running_loop(foreign())
    try:
        with pytest.warns(RuntimeWarning, match=r"ForeignLoop.*Use await instead"):
            make_reentrant()
    finally:
        asyncio._set_running_loop(None)
    assert asyncio.run is before
    restore()
    assert asyncio.run is before


def test_where_no_loop_runs_nothing_is_changed() -> None:
    before = asyncio.run
    make_reentrant()
    assert asyncio.run is before
