"""The widget's Python side, in real kernels; its page's bookkeeping, in node."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from support.kernel import Kernel

import runagent_jupyter

_STATIC = Path(runagent_jupyter.__file__).parent / "static"


def test_a_question_is_answered_while_the_kernel_waits(kernel: Kernel) -> None:
    kernel.execute(
        """
        from runagent_jupyter import AgentWidget
        w = AgentWidget("demo")
        a = w.ask("my question")
        """
    ).ok()
    assert kernel.value("[t.role for t in w.turns]") == ["user", "agent"]
    assert kernel.value("(a.status, w.busy, w.value == a.text)") == ["done", False, True]
    assert "my question" in kernel.value("a.text")
    assert "> my question" in kernel.value("w.to_markdown()")


def test_an_answer_can_be_stopped(kernel: Kernel) -> None:
    kernel.execute(
        """
        import asyncio
        from runagent_jupyter import AgentWidget
        w = AgentWidget("demo", context={"delay": 0.05})
        asking = asyncio.ensure_future(w.ask_async("x"))
        while len(w.turns) < 2 or not w.turns[1].text:
            await asyncio.sleep(0.01)
        w.stop()
        a = await asking
        """
    ).ok()
    assert kernel.value("(a.status, w.busy, bool(a.text))") == ["stopped", False, True]


def test_wrong_arguments_are_refused(kernel: Kernel) -> None:
    kernel.execute("from runagent_jupyter import AgentWidget").ok()
    cell = kernel.execute("AgentWidget('demo', titel='x')")
    assert cell.error is not None
    assert "did you mean 'title'" in cell.error["evalue"]
    cell = kernel.execute("AgentWidget(3)")
    assert cell.error is not None
    assert cell.error["ename"] == "TypeError"


def test_a_dead_server_is_an_error_of_the_turn(kernel: Kernel) -> None:
    kernel.execute(
        """
        from runagent_jupyter import AgentWidget
        w = AgentWidget("a-1", base_url="http://127.0.0.1:9", api_key="k", max_retries=0)
        a = w.ask("x")
        """
    ).ok()
    assert kernel.value("(a.status, type(a.error).__name__)") == ["error", "NetworkError"]


def test_the_page_side_is_small() -> None:
    size = sum(path.stat().st_size for path in _STATIC.iterdir())
    assert size < 40_000


def test_the_transcript_in_node() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    done = subprocess.run(
        [node, "--test", str(Path(__file__).with_name("transcript.test.mjs"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
