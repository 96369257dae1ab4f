"""The outputs of a cell: the magic owns its own and no others, in every front end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.clock import PATIENCE
from support.execution import Execution, FrontEnd
from support.kernel import IPYKERNEL_VERSION, Kernel
from support.notebooks import kernel_sockets
from support.terminal import TerminalIPython

AGENTS = """
import asyncio, copy, pickle, sys
import ipywidgets
from IPython.display import HTML, display
from runagent.local import agent
from runagent_jupyter import AgentWidget

@agent("echo")
def echo(query: str = "", **fields):
    return {"said": query} | fields if fields else query

@agent("words")
async def words(query: str):
    for index in range(int(query)):
        yield f"word {index} "
        await asyncio.sleep(0.05)

@agent("long")
async def long(query: str):
    for index in range(40):
        yield f"## part {index}\\n\\n" + 40 * "some words " + "\\n\\n"
        await asyncio.sleep(0.03)

@agent("writes")
async def writes(query: str):
    async for piece in words("20"):
        if piece == f"word {query} ":
            exec(writing)
        yield piece

@agent("fails")
def fails(query: str):
    raise ValueError("broken")
"""

WORDS = "".join(f"word {index} " for index in range(20))

WITHOUT = {
    "any": set(),
    "updates": {"update_display_data"},
    "clearing": {"clear_output"},
    "both": {"update_display_data", "clear_output"},
}
"""Messages that a front end does not know."""


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Iterator[Kernel]:
    shared_kernel.execute("%reload_ext runagent_jupyter" + AGENTS).ok()
    yield shared_kernel
    shared_kernel.execute("shell = get_ipython().events.callbacks['pre_run_cell'].clear()").ok()


def seen(cell: Execution, unknown: set[str]) -> list[dict[str, Any]]:
    """Return the outputs that show something in a front end without those messages."""
    front_end, shown = FrontEnd(), Execution(cell.code, cell.msg_id, cell.kernel)
    for message in cell.messages:
        if message.type not in unknown:
            raw = {"msg_type": message.type, "header": {"msg_type": message.type}}
            front_end.apply(raw | {"content": message.content}, shown)
    return [o for o in shown.outputs if o.get("text") or any(o.get("data", {}).values())]


@pytest.mark.skipif(IPYKERNEL_VERSION < (7,), reason="ipykernel 6 answers only after the cell")
def test_what_a_front_end_asks_meanwhile_is_no_output(kernel: Kernel) -> None:
    cell = kernel.submit("%%runagent words\n20")
    cell.wait_for_output("word 3")
    for _ in range(3):
        kernel.create_subshell()
    (answer,) = cell.wait().outputs
    assert answer["data"]["text/plain"] == WORDS


def texts(outputs: list[dict[str, Any]]) -> list[str]:
    """Return the outputs as a console prints them."""
    plain = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs]
    return [text for text in plain if text]


@pytest.mark.parametrize(
    "code",
    [
        "%%runagent words\n20",
        "%runagent words 20",
        "reply = %runagent words 20",
        "get_ipython().run_cell_magic('runagent', 'words', '20')",
        "%%runagent words --format text\n20",
        "%%runagent words --no-stream\n20",
    ],
)
def test_an_answer_is_seen_once_and_whole_in_every_front_end(kernel: Kernel, code: str) -> None:
    cell = kernel.execute(code).ok()
    for unknown in WITHOUT.values():
        assert texts(seen(cell, unknown)) == [WORDS]


def test_so_is_a_long_one_in_many_pieces(kernel: Kernel) -> None:
    cell = kernel.execute("%%runagent long\nx").ok()
    for unknown in WITHOUT.values():
        outputs = seen(cell, unknown)
        (text,) = texts(outputs)
        assert [text.count(f"part {index}\n") for index in range(40)] == [1] * 40
        if "update_display_data" not in unknown:
            (output,) = outputs
            assert output["data"]["text/html"].count(">part 39<") == 1
    assert cell.outputs == seen(cell, set())


WRITING = {
    "chart": ("display(HTML('<b>chart</b>'))", "<IPython.core.display.HTML object>"),
    "print": ("print('printed')", "printed\n"),
    "stderr": ("print('careful', file=sys.stderr)", "careful\n"),
}


@pytest.mark.parametrize("what", WRITING)
def test_what_others_write_meanwhile_stays(kernel: Kernel, what: str) -> None:
    if IPYKERNEL_VERSION < (7,) and what != "chart":
        pytest.skip("ipykernel 6 has the first cell show what threads print")
    writing, text = WRITING[what]
    kernel.execute(f"writing = {writing!r}").ok()
    cell = kernel.execute("%%runagent writes\n15").ok()
    for unknown in WITHOUT.values():
        assert sorted(texts(seen(cell, unknown))) == sorted([text, WORDS])


def test_what_was_written_before_the_magic_began_stays(kernel: Kernel) -> None:
    # %autoreload reports there that an edited file is broken.
    kernel.execute(
        "def report(info): print('[autoreload of agents failed]', file=sys.stderr, flush=True)\n"
        "get_ipython().events.register('pre_run_cell', report)"
    ).ok()
    cell = kernel.execute("%%runagent words\n20").ok()
    assert texts(seen(cell, set())) == ["[autoreload of agents failed]\n", WORDS]


def test_a_failure_leaves_no_running_status(kernel: Kernel) -> None:
    cell = kernel.execute("%%runagent words --timeout 1000\nx")
    (output,) = [o for o in cell.outputs if o["output_type"] == "error" or o["data"]["text/html"]]
    assert output["output_type"] == "error"


@pytest.mark.parametrize(
    "code",
    [
        "%runagent words 20",
        "get_ipython().run_cell('%%runagent words\\n20')",
        "reply = %runagent words 20",
    ],
)
def test_a_capture_gets_one_output(kernel: Kernel, code: str) -> None:
    assert kernel.execute(f"%%capture captured\n{code}\nNone").ok().outputs == []
    captured = "[o.data['text/plain'] for o in captured.outputs], captured.stdout, captured.stderr"
    assert kernel.value(f"[{captured}]") == [[WORDS], "", ""]


def test_a_capture_of_the_last_line_gets_one_output_too(kernel: Kernel) -> None:
    kernel.execute("%%capture captured\n%runagent words 20").ok()
    assert kernel.value("[o.data['text/plain'] for o in captured.outputs]") == [WORDS]
    assert kernel.value("_.text") == WORDS
    kernel.execute("from IPython.utils.capture import capture_output").ok()
    kernel.execute("with capture_output() as captured:\n    %runagent words 20").ok()
    assert kernel.value("[o.data['text/plain'] for o in captured.outputs]") == [WORDS]


def test_a_capture_gets_nothing_of_a_job_of_another_cell(kernel: Kernel) -> None:
    cell = kernel.execute("%%runagent words --bg --proc job\n20").ok()
    kernel.execute("%%capture captured\njob.wait()\nNone").ok()
    assert kernel.value("len(captured.outputs)") == 0
    assert texts(cell.outputs) == [WORDS]


def test_a_reply_can_be_displayed_under_an_id(kernel: Kernel) -> None:
    kernel.execute("first = %runagent echo one\nsecond = %runagent echo two").ok()
    cell = kernel.execute("handle = display(first, display_id=True)\n'end'").ok()
    assert texts(cell.outputs) == ["one", "'end'"]
    kernel.execute("handle.update(second)").ok()
    assert texts(cell.outputs) == ["two", "'end'"]
    cell = kernel.execute("third = %runagent echo three\nhandle = display(third, display_id=True)")
    assert texts(cell.ok().outputs) == ["three", "three"]


@pytest.mark.parametrize("made", ["%runagent echo hello", "AgentWidget('echo')"])
def test_forms_are_given_wherever_ipython_asks_for_them(kernel: Kernel, made: str) -> None:
    magic = "thing = " + made
    kernel.execute(magic).ok()
    wanted = {"text/html", "text/plain"}
    kernel.execute(
        "output = ipywidgets.Output()\noutput.append_display_data(thing)\n"
        "formats = get_ipython().display_formatter.format(thing)[0]"
    ).ok()
    assert wanted <= set(kernel.value("list(output.outputs[0]['data'])"))
    assert wanted <= set(kernel.value("list(formats)"))
    cell = kernel.submit("1", expressions={"it": "thing"}).wait().ok()
    assert cell.reply is not None
    forms = cell.reply["user_expressions"]["it"]["data"]
    assert wanted <= set(forms)
    assert all(forms[name] for name in wanted)
    assert len(cell.outputs) == 1


def test_a_chat_can_be_displayed_under_an_id(kernel: Kernel) -> None:
    view = "application/vnd.jupyter.widget-view+json"
    kernel.execute("w = AgentWidget('echo')").ok()
    cell = kernel.execute("handle = display(w, display_id='chat')\n'end'").ok()
    copy, live, end = cell.outputs
    assert "runagent-above" in copy["data"]["text/html"]
    assert live["data"][view]["model_id"] == kernel.value("w.model_id")
    assert end["data"]["text/plain"] == "'end'"
    kernel.execute("w.ask('hello')").ok()
    cell.wait_for_output("> hello")
    assert "> hello" in copy["data"]["text/plain"]
    kernel.execute("handle.update(w)").ok()
    cell.wait_for_output("hello")
    assert "hello" in live["data"]["text/html"]
    assert view in live["data"]
    kernel.execute("%%capture captured\ndisplay(w)").ok()
    assert kernel.value("[list(o.data) for o in captured.outputs]") == [
        ["text/plain", view, "text/html"]
    ]


@pytest.mark.skipif(IPYKERNEL_VERSION < (7,), reason="ipykernel 6 has no subshells")
def test_a_cell_in_a_subshell_shows_its_answer_once(kernel: Kernel) -> None:
    subshell = kernel.create_subshell()
    cells = []
    for code in ("%runagent words 20", "%%runagent words\n20"):
        cells.append(kernel.submit(code, subshell=subshell))
        # Meanwhile the cells of the main shell are counted on.
        cells[-1].wait_for_output("word 3")
        kernel.execute("'counted'").ok()
        cells[-1].wait()
    for cell in cells:
        assert texts(seen(cell.ok(), set())) == [WORDS]
    shown = kernel.submit("_", subshell=subshell).wait().ok()
    assert texts(shown.outputs) == [WORDS]


def test_replies_and_their_errors_pickle(kernel: Kernel) -> None:
    kernel.execute("reply = %runagent words 20").ok()
    cell = kernel.execute("again = pickle.loads(pickle.dumps(reply))\nagain").ok()
    assert texts(cell.outputs) == [WORDS]  # the copy is not what the other cell has shown
    assert kernel.value("again == reply and copy.deepcopy(reply) == reply")
    for line in ("fails x", "words --timeout -1 x", "nowhere --base-url http://127.0.0.1:9 x"):
        kernel.execute(f"%runagent {line}")
        kernel.execute(
            "import sys\nerror = sys.last_value\nagain = pickle.loads(pickle.dumps(error))"
        ).ok()
        assert kernel.value("[type(again) is type(error), str(again) == str(error)]") == [
            True,
            True,
        ]
    kernel.execute("%%runagent fails --out failed\nx")
    assert kernel.value("str(pickle.loads(pickle.dumps(failed)).error) == str(failed.error)")
    kernel.execute("try:\n    %runagent fails x\nexcept Exception as caught: error = caught").ok()
    cell = kernel.execute("raise pickle.loads(pickle.dumps(error))")
    assert "broken" in "".join((cell.error or {})["traceback"])


def test_a_console_shows_the_answer(tmp_path: Path) -> None:
    with kernel_sockets() as config:
        sockets = ("--transport=ipc", f"--ip={config.KernelManager.ip}")
        command = ("jupyter_console", "--JupyterConsoleApp.confirm_exit=False", *sockets)
        with TerminalIPython(tmp_path, command=command, timeout=PATIENCE) as console:
            console.run("%load_ext runagent_jupyter")
            for code in ("%%runagent demo\nhello", "%runagent demo hello"):
                screen = console.run(code)
                assert screen.count("# Hello from the demo agent") == 1
                assert screen.count("read about [the Markdown") == 1
            assert "_.reply has the answer" in console.run("%runagent --bg demo hello")
            assert console.run("_.wait()").count("# Hello from the demo agent") == 1
            console.run("print('done')")
            console.start("exit")


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("%%runagent words\n20", "_"),
        ("%%runagent words --out kept\n20", "kept"),
        ("%runagent words 20", "_"),
        ("kept = %runagent words 20", "the reply"),
        ("%%runagent words --bg --proc job\n20", "job.reply"),
    ],
)
def test_each_painting_says_who_has_the_answer_if_it_is_the_last(
    kernel: Kernel, code: str, name: str
) -> None:
    cell = kernel.execute(code).ok()
    kernel.execute("'job' in globals() and job.wait() and None").ok()
    paintings = [
        message.content["data"]["text/html"]
        for message in cell.of_type("display_data", "update_display_data")
        if "runagent-running" in message.content["data"]["text/html"].rpartition("</style>")[2]
    ]
    assert paintings
    for html in paintings:
        assert f"Cut off here. If the kernel still runs, {name} has the whole answer." in html
