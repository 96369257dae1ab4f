"""The magic in a terminal IPython: plain text as it comes, and Ctrl-C."""

from __future__ import annotations

from support.terminal import TerminalIPython

AGENTS = r"""
import asyncio
from runagent.local import agent

@agent("steers")
def steers(query: str):
    yield "red \x1b[3"
    yield "1m and \x1b]8;;http://127.0.0.1:9\x07link\x1b]8;;\x07 \x1b[2J end \u202e"

@agent("slow")
async def slow(query: str):
    yield "first words"
    await asyncio.sleep(60)

@agent("breaks")
def breaks(query: str):
    yield "half an answer"
    raise RuntimeError("it broke")
"""


def test_text_streams_and_steers_nothing(terminal: TerminalIPython) -> None:
    terminal.run("%load_ext runagent_jupyter")
    terminal.run(AGENTS)
    assert "# Hello from the demo agent" in terminal.run("%%runagent demo\nhi")
    assert "# Hello" in terminal.run("print(_.text)")
    terminal.run("%%runagent steers\nhi")
    shown = terminal.output
    for steering in ("\x1b[31m and", "\x1b]8;;http", "\x1b[2J end", "\u202e"):
        assert steering not in shown
    assert "red " in shown
    assert "link" in shown


def test_ctrl_c_stops_the_answer(terminal: TerminalIPython) -> None:
    terminal.run("%load_ext runagent_jupyter")
    terminal.run(AGENTS)
    terminal.start("%%runagent slow --out partial\nhi")
    terminal.wait_for("first words")
    terminal.interrupt()
    assert "KeyboardInterrupt" in terminal.finish(timeout=20)
    assert "True first words" in terminal.run("print(partial.stopped, partial.text)")


def test_a_failure_is_short(terminal: TerminalIPython) -> None:
    terminal.run("%load_ext runagent_jupyter")
    terminal.run(AGENTS)
    shown = terminal.run("%%runagent breaks\nhi")
    assert "half an answer" in shown
    assert "StreamError" in shown
    assert "Traceback" not in shown
