"""The magic in real kernels: what it sends, shows, keeps and raises."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.clock import MOMENT
from support.execution import Execution
from support.faults import FaultServer, sse, stream
from support.kernel import Kernel

AGENTS = """
import asyncio
from runagent.local import agent

@agent("echo")
def echo(input_data: dict):
    return input_data

@agent("slow")
async def slow(query: str):
    global closed
    closed = False
    try:
        yield "first words"
        while True:
            await asyncio.sleep(0.05)
            if query == "talk":
                yield " more"
    finally:
        closed = True

@agent("mute")
async def mute(query: str):
    await asyncio.sleep(36_000)

@agent("breaks")
def breaks(query: str):
    yield "half an answ"
    raise RuntimeError("it broke")

@agent("evil")
def evil(query: str):
    yield "<script>alert(1)</script> [x](javascript:alert(1)) ![i](http://127.0.0.1:9/b.png)"
"""


@pytest.fixture(scope="module")
def kernel(shared_kernel: Kernel) -> Kernel:
    shared_kernel.execute("%load_ext runagent_jupyter").ok()
    shared_kernel.execute(AGENTS).ok()
    return shared_kernel


def shown(cell: Execution) -> str:
    """Return the one HTML output a cell is left with."""
    (output,) = cell.outputs
    assert set(output["data"]) == {"text/html", "text/plain"}
    return str(output["data"]["text/html"])


def failure(cell: Execution) -> str:
    assert cell.status == "error"
    assert cell.error is not None
    return "\n".join(cell.error["traceback"])


def test_the_demo_streams_and_leaves_one_clean_output(kernel: Kernel) -> None:
    cell = kernel.execute("%%runagent demo\nhello").ok()
    assert len(cell.of_type("update_display_data")) > 3
    html = shown(cell)
    assert "<h1" in html
    assert "<table" in html
    assert cell.outputs[0]["data"]["text/plain"].startswith("# Hello")


@pytest.mark.parametrize(
    ("cell", "sent"),
    [
        ("%%runagent echo\nHello\nthere\n", {"query": "Hello\nthere"}),
        ('%%runagent echo\n{"a": [1, {"b": null}]}', {"a": [1, {"b": None}]}),
        ('%%runagent echo --text\n{"a": 1}', {"query": '{"a": 1}'}),
        ("%%runagent echo --field question\nWhy?", {"question": "Why?"}),
        ("%%runagent echo --set n=3 --set who=me\nHi", {"query": "Hi", "n": 3, "who": "me"}),
        ("%runagent echo --input rows", {"query": [1, 2]}),
        ("%%runagent echo --input mapping\nHi", {"k": "v", "query": "Hi"}),
        ("%runagent echo what's {up} $HOME", {"query": "what's {up} $HOME"}),
        ("%runagent --no-stream echo hi", {"query": "hi"}),
        ("%%runagent 'echo'\n$x {kernel} %s \\n", {"query": "$x {kernel} %s \\n"}),
    ],
)
def test_what_is_sent(kernel: Kernel, cell: str, sent: dict[str, Any]) -> None:
    kernel.execute("rows = [1, 2]; mapping = {'k': 'v'}").ok()
    kernel.execute(cell).ok()
    assert json.loads(kernel.execute("import json; print(json.dumps(_.value))").ok().stdout) == sent


def test_the_reply_is_in_underscore_and_in_a_variable(kernel: Kernel) -> None:
    kernel.execute("%%runagent demo --out reply\nhello").ok()
    assert kernel.execute("print(_ is reply, reply.text[:7], reply.agent_id)").stdout == (
        "True # Hello demo\n"
    )
    assert kernel.execute("list(reply.to_frame().columns)").ok().outputs
    assert shown(kernel.execute("reply")) == shown(kernel.execute("reply"))


def test_the_line_form_returns_the_reply(kernel: Kernel) -> None:
    cell = kernel.execute("answer = %runagent echo hi\nprint(answer.value)").ok()
    assert "{'query': 'hi'}\n" in cell.stdout


def test_quiet_shows_nothing(kernel: Kernel) -> None:
    assert kernel.execute("%%runagent demo --quiet\nhello").ok().outputs == []
    assert kernel.execute("x = 1\n%runagent demo --quiet hello").ok().outputs == []


def test_a_session_is_kept_over_cells(kernel: Kernel) -> None:
    ids = []
    for name in ("a", "b", "a"):
        kernel.execute(f"%%runagent echo --session {name}\nhi").ok()
        ids.append(kernel.execute("print(_.value['session_id'])").stdout)
    assert ids[0] == ids[2] != ids[1]


def test_tokens_are_folded_away_below_the_answer(kernel: Kernel) -> None:
    used = {"completion_tokens": 1_200, "prompt_tokens": 34, "total_tokens": 1_234}
    with FaultServer(stream("an answer", end=sse("done", {"usage": used}))) as server:
        cell = kernel.execute(f"%%runagent far --base-url {server.url} --out reply\nhi").ok()
    html = shown(cell)
    assert "<summary>1,234 tokens</summary>1,200 completion tokens · 34 prompt tokens · far" in html
    assert "tokens" not in cell.outputs[0]["data"]["text/plain"]
    assert kernel.value("reply.usage") == used


STEPS = """
from runagent.local import agent

@agent("works")
async def works(query: str, **_):
    yield {"type": "thinking", "content": "Let me "}
    yield {"type": "thinking", "content": "see."}
    yield {"type": "tool_call", "name": "search", "args": {"q": "<b>x</b>"}}
    yield "The "
    yield {"progress": 0.5, "message": "reading"}
    yield {"progress": 1.0, "message": "reading"}
    yield {"type": "text", "content": "answer"}

@agent("busy")
def busy(query: str, **_):
    for number in range(700):
        yield {"type": "log", "name": f"line {number}"}
    yield "done"

@agent("rows")
def rows(query: str, **_):
    yield {"a": 1}
    yield {"a": 2}
"""


def test_what_is_no_text_is_folded_above_the_answer(kernel: Kernel) -> None:
    kernel.execute(STEPS).ok()
    cell = kernel.execute("%%runagent works --out reply\nhi").ok()
    (output,) = cell.outputs
    steps, _, answer = output["data"]["text/html"].partition('<p dir="auto">')
    assert "<summary>3 steps · 100% · reading</summary>" in steps
    assert "<summary>thinking · Let me see.</summary>" in steps
    assert "&lt;b&gt;x&lt;/b&gt;" in steps
    assert answer.startswith("The answer</p>")
    assert output["data"]["text/plain"] == (
        "[thinking · Let me see.]\n[tool call · search]\n[100% · reading]\nThe answer"
    )
    assert kernel.value("(reply.text, len(reply.events))") == ["The answer", 9]


def test_of_very_many_steps_it_says_how_many(kernel: Kernel) -> None:
    kernel.execute(STEPS).ok()
    cell = kernel.execute("%%runagent busy --out reply\nhi").ok()
    data = cell.outputs[0]["data"]
    assert "700 steps · log · line 699" in data["text/html"]
    assert data["text/html"].count("<summary>log · line") == 500
    assert "… 200 more" in data["text/html"]
    assert data["text/plain"].endswith("[log · line 499]\n[… 200 more]\ndone")
    assert kernel.value("len(reply.events)") == 703


def test_objects_alone_are_the_answer(kernel: Kernel) -> None:
    kernel.execute(STEPS).ok()
    cell = kernel.execute("%%runagent rows --out reply\nhi").ok()
    assert "runagent-steps" not in cell.outputs[0]["data"]["text/html"].partition("</style>")[2]
    assert "2 rows, 1 column" in cell.outputs[0]["data"]["text/html"]
    assert kernel.value("reply.value") == [{"a": 1}, {"a": 2}]


def test_what_an_agent_writes_cannot_run(kernel: Kernel) -> None:
    cell = kernel.execute("%%runagent evil\nx").ok()
    pages = [
        message.content["data"]["text/html"]
        for message in cell.of_type("display_data", "update_display_data")
    ]
    assert "alert(1)" in shown(cell)
    for page in pages:
        assert not re.search(r"<script|<img|href=.javascript", page)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("%%runagent nobody\nhi", ["AuthenticationError", "no API key", "RUNAGENT_API_KEY"]),
        ("%%runagent dem\nhi", ["Did you mean demo"]),
        (
            "%%runagent echo --base-url http://127.0.0.1:9 --timeout 600\nhi",
            ["NetworkError", "127.0.0.1:9", "Is the server running?"],
        ),
        ('%%runagent echo\n{"a": 1,\n "b" 2}', ["not JSON", "line 2", "column 6", "--text"]),
        ("%%runagent echo --nope\nhi", ["--nope", "%runagent?"]),
        ("%%runagent echo --timeout soon\nhi", ["--timeout 'soon'", "number of seconds"]),
        ("%%runagent echo hi\nthere", ["'hi'", "below the first line"]),
        ("%runagent echo", ["no question"]),
        ("%runagent echo --input nowhere", ["no variable 'nowhere'"]),
        ("%%runagent breaks\nhi", ["StreamError", "it broke"]),
    ],
)
def test_a_failure_is_short_and_fails_the_cell(kernel: Kernel, cell: str, words: list[str]) -> None:
    text = failure(kernel.execute(cell, stdin=[""]))  # no key, when asked for one
    for word in words:
        assert word in text
    assert "Traceback" not in text
    assert len(text.splitlines()) <= 4


def test_run_all_stops_at_a_failure(kernel: Kernel, tmp_path: Path) -> None:
    queued = tmp_path / "queued"
    waiting = f"while not __import__('os').path.exists({str(queued)!r}): pass"
    codes = (waiting, "%%runagent breaks\nhi", "print('not reached')")
    cells = [kernel.submit(code) for code in codes]
    time.sleep(MOMENT)  # the last one is on its way
    queued.touch()
    assert [cell.wait().status for cell in cells] == ["ok", "error", "aborted"]


def test_what_came_before_a_failure_stays(kernel: Kernel) -> None:
    cell = kernel.execute("%%runagent breaks --out broken\nhi")
    html = cell.outputs[0]["data"]["text/html"]
    assert "half an answ" in html
    assert "broken off" in html
    assert kernel.execute("print(broken.text, type(broken.error).__name__)").stdout == (
        "half an answ StreamError\n"
    )


def test_tb_tells_the_whole_story(kernel: Kernel) -> None:
    kernel.execute("%%runagent breaks\nhi")
    cell = kernel.execute("%tb")
    assert "Traceback" in "\n".join([cell.stdout, *(cell.error or {}).get("traceback", [])])


def test_a_failure_can_be_passed_over(kernel: Kernel) -> None:
    cell = kernel.execute("%%runagent breaks --no-raise-error\nhi").ok()
    assert "it broke" in cell.stderr


@pytest.mark.parametrize("query", ["talk", "be silent"])
def test_an_interrupt_stops_the_answer_and_keeps_what_came(kernel: Kernel, query: str) -> None:
    cell = kernel.submit(f"%%runagent slow --out partial\n{query}")
    cell.wait_for_output("first words")
    kernel.interrupt()
    cell.wait()
    assert "KeyboardInterrupt" in failure(cell)
    html = cell.outputs[0]["data"]["text/html"]
    assert "first words" in html
    assert "stopped" in html
    out = kernel.execute(
        "import time\n"
        "while not closed: time.sleep(0.05)\n"
        "print(partial.stopped, partial.text[:11], closed)"
    )
    assert out.stdout == "True first words True\n"


def test_an_interrupt_before_the_first_word(kernel: Kernel) -> None:
    cell = kernel.submit("%%runagent mute\nhi")
    cell.wait_for_output("waiting")
    kernel.interrupt()
    cell.wait()
    assert "KeyboardInterrupt" in failure(cell)
    kernel.execute("%%runagent echo\nand on").ok()


def test_unloading_removes_the_magic(start_kernel: Callable[..., Kernel]) -> None:
    kernel = start_kernel()
    kernel.execute("%load_ext runagent_jupyter").ok()
    kernel.execute("%unload_ext runagent_jupyter").ok()
    for magic in ("%runagent", "%runagent_config"):
        cell = kernel.execute(magic)
        assert "not found" in cell.stderr + "\n".join((cell.error or {}).get("traceback", []))
    assert (
        kernel.value("any('RunAgent' in type(c).__name__ for c in get_ipython().configurables)")
        is False
    )
    kernel.execute("%load_ext runagent_jupyter\n%runagent").ok()
