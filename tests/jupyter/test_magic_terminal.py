"""The magic in a terminal IPython: plain text as it comes, and Ctrl-C."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyte
import pytest
from support.clock import PATIENCE
from support.isolation import isolated_environment
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
    await asyncio.sleep(36_000)

@agent("breaks")
def breaks(query: str):
    yield "half an answer"
    raise RuntimeError("it broke")

@agent("writes")
def writes(query: str):
    for line in ["# Title", "", "Some **bold** words: \u65e5\u672c\u8a9e", "", "- one", "- two", ""]:
        yield line + "\n"
    yield "long " * 60

@agent("goes on")
def goes_on(query: str):
    for number in range(80):
        yield f"- **line {number}**\n"

@agent("works")
def works(query: str):
    yield {"type": "tool_call", "name": "search", "args": [1]}
    yield "The "
    yield {"type": "log", "message": "\x1b[2J3 rows"}
    yield "answer"

@agent("counts")
def counts(query: str):
    return {"rows": 3}

@agent("beams")
def beams(query: str):
    yield "**bold** \U0001f600"
"""


def test_text_streams_and_steers_nothing(terminal: TerminalIPython) -> None:
    terminal.run("%load_ext runagent_jupyter")
    terminal.run(AGENTS)
    assert "# Hello from the demo agent" in terminal.run("%%runagent demo\nhi")
    assert "# Hello" in terminal.run("print(_.text)")
    assert "# Hello" in terminal.run("%runagent demo Who are you?")
    terminal.run("%%runagent steers\nhi")
    shown = terminal.output
    for steering in ("\x1b[31m and", "\x1b]8;;http", "\x1b[2J end", "\u202e"):
        assert steering not in shown
    assert "red " in shown
    assert "link" in shown


def test_steps_have_lines_of_their_own(terminal: TerminalIPython) -> None:
    terminal.run("%load_ext runagent_jupyter")
    terminal.run(AGENTS)
    shown = terminal.run("%%runagent works\nhi")
    assert "[tool call · search]\nThe \n[log · " in shown.replace("\r", "")
    assert "3 rows]\nanswer\n" in shown.replace("\r", "")
    assert "\x1b[2J3 rows" not in terminal.output
    assert terminal.run("print(_.text)").count("The answer") == 1
    shown = terminal.run("%%runagent counts\nhi")
    assert '"rows": 3' in shown
    assert "[" not in shown.partition("hi")[2].partition("{")[0]


def screen_of(terminal: TerminalIPython) -> str:
    """Return what a terminal of that size shows in the end, with what has scrolled out of it."""
    screen = pyte.HistoryScreen(100, 50, history=1_000)
    pyte.Stream(screen).feed(terminal.raw)
    above = ["".join(line[x].data for x in range(100)) for line in screen.history.top]
    return "\n".join(line.rstrip() for line in [*above, *screen.display])


def test_rich_renders_a_complete_answer_in_its_place(terminal: TerminalIPython) -> None:
    terminal.run("%load_ext runagent_jupyter")
    terminal.run(AGENTS)
    assert "**bold**" in terminal.run("%%runagent writes\nhi")  # it streamed as plain text
    terminal.run("1 + 1")
    shown = screen_of(terminal).partition("%%runagent")[2]
    assert shown.count("Title") == shown.count("Some bold words: 日本語") == 1
    assert "**bold**" not in shown
    assert shown.count("long") == 60
    assert "Out[4]: 2" in shown


@pytest.mark.parametrize("agent", ["goes on", "beams", "breaks"])
def test_what_rich_cannot_replace_stays(terminal: TerminalIPython, agent: str) -> None:
    terminal.run("%load_ext runagent_jupyter")
    terminal.run(AGENTS)
    terminal.run(f"%%runagent '{agent}'\nhi")
    shown = screen_of(terminal).partition("%%runagent")[2]
    if agent == "goes on":
        assert [f"**line {number}**" in shown for number in range(80)] == [True] * 80
    else:
        assert ("**bold**" if agent == "beams" else "half an answer") in shown


def test_without_rich_the_text_stays(terminal: TerminalIPython) -> None:
    terminal.run("%load_ext runagent_jupyter\nimport sys; sys.modules['rich'] = None")
    terminal.run(AGENTS)
    terminal.run("%%runagent writes\nhi")
    assert "**bold**" in screen_of(terminal).partition("%%runagent")[2]


def test_ctrl_c_stops_the_answer(terminal: TerminalIPython) -> None:
    terminal.run("%load_ext runagent_jupyter")
    terminal.run(AGENTS)
    terminal.start("%%runagent slow --out partial\nhi")
    terminal.wait_for("first words")
    terminal.interrupt()
    assert "KeyboardInterrupt" in terminal.finish(timeout=PATIENCE)
    assert "True first words" in terminal.run("print(partial.stopped, partial.text)")


def test_what_an_encoding_lacks_is_replaced(tmp_path: Path) -> None:
    script = tmp_path / "script.ipy"
    script.write_text(
        f"%load_ext runagent_jupyter\n{AGENTS}\n%runagent --out reply writes x\nprint(len(reply.text))"
    )
    done = subprocess.run(
        [sys.executable, "-m", "IPython", str(script)],
        env=isolated_environment(tmp_path) | {"PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=True,
    )
    assert b"Some **bold** words: ???" in done.stdout
    assert done.stdout.split()[-1] == b"348"


def test_the_background_is_announced(terminal: TerminalIPython) -> None:
    terminal.run("%load_ext runagent_jupyter")
    announced = "demo answers in the background; {}.wait() shows it."
    assert announced.format("_") in terminal.run("%%runagent demo --bg\nhi")
    assert "# Hello from the demo agent" in terminal.run("_.wait()")
    assert announced.format("job") in terminal.run("%%runagent demo --bg --proc job\nhi")
    assert "answers in" not in terminal.run("%%runagent demo --bg --quiet\nhi").partition("hi")[2]


def test_a_failure_before_any_text_is_said_once(terminal: TerminalIPython) -> None:
    terminal.run("%load_ext runagent_jupyter")
    terminal.run(AGENTS)
    failed = terminal.run("%runagent counts --base-url http://127.0.0.1:9 --timeout 0.2 x")
    assert "NetworkError" in failed or "TimeoutError" in failed
    assert "broken off" not in failed


def test_a_failure_is_short(terminal: TerminalIPython) -> None:
    terminal.run("%load_ext runagent_jupyter")
    terminal.run(AGENTS)
    shown = terminal.run("%%runagent breaks\nhi")
    assert "half an answer" in shown
    assert "StreamError" in shown
    assert "Traceback" not in shown
