"""`%%runagent --each`: a table of questions in, a table of answers out."""

from __future__ import annotations

import re
import time

import pytest
from safe_html import problems
from support.clock import MOMENT
from support.kernel import Kernel
from support.notebooks import executed
from support.terminal import TerminalIPython

SETUP = """
%reload_ext runagent_jupyter
import pathlib, threading, time
from dataclasses import dataclass
import pandas as pd
from runagent.local import agent

@dataclass
class Mood:
    label: str
    score: float

asked, gate = [], threading.Event()

@agent("mood")
def mood(query: str, lang: str = "en"):
    asked.append(query)
    if "boom" in query:
        raise RuntimeError("it broke <img src=x onerror=alert(1)>")
    return {"label": f"good <script>alert('{lang}')</script>", "score": len(query)}

@agent("gated")
def gated(query: str):
    asked.append(query)
    if "wait" in query:
        gate.wait(600)
    return query.upper()

df = pd.DataFrame(
    {"key": ["a", "b", "c"], "text": ["fine", "boom", None], "n": [1, 2, 3]}, index=[7, 8, 9]
).astype({"n": "int8"})
asked.clear(); gate.clear()
for path in pathlib.Path().glob("*.journal*"):
    path.unlink()
"""


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Kernel:
    shared_kernel.execute(SETUP).ok()
    return shared_kernel


ASK = "%%runagent mood --each df --out answers --max-concurrency 1 "


def test_each_row_is_asked_and_the_table_has_the_answers(kernel: Kernel) -> None:
    cell = kernel.execute(f"{ASK} --id key --as Mood --set lang={{{{key}}}}\nIs it? {{{{ text }}}}")
    assert kernel.value("asked") == ["Is it? fine", "Is it? boom"]
    assert kernel.value(
        "[list(answers.index), str(answers.n.dtype), list(answers.status), list(answers.columns)]"
    ) == [
        [7, 8, 9],
        "int8",
        ["ok", "failed", "failed"],
        ["key", "text", "n", "output", "status", "error"],
    ]
    assert kernel.value("[answers.output[7].label, answers.output[7].score]") == [
        "good <script>alert('a')</script>",
        11.0,
    ]
    assert kernel.value("answers.error[9]") == "{{ text }} has no value here."
    cell.ok()
    (output,) = cell.outputs
    html = output["data"]["text/html"]
    shown = re.sub(r"<style>.*?</style>| style=\"width:[0-9.]+%\"", "", html, flags=re.DOTALL)
    assert problems(shown.strip()) == []
    assert "3 of 3 rows · 2 failed" in html
    assert "it broke &lt;img" in html
    assert "&lt;script&gt;" in html
    assert "3 of 3 rows · 2 failed" in output["data"]["text/plain"]
    assert "With --journal FILE" in output["data"]["text/plain"]
    assert kernel.value("_ is answers")


def test_fields_of_answers_become_columns(kernel: Kernel) -> None:
    kernel.execute("df = df.head(1)").ok()
    kernel.execute(f"{ASK} --output label,score=points\n{{{{text}}}}").ok()
    assert kernel.value("[list(answers.columns)[3:5], int(answers.points[7])]") == [
        ["label", "points"],
        4,
    ]


@pytest.mark.parametrize(
    ("rows", "kind", "first"),
    [
        ("[{'text': 'x'}, {'text': 'y'}]", "list", "rows[0]['output']['score']"),
        ("({'text': t} for t in 'xy')", "list", "answers[0]['output']['score']"),
        ("{'k1': {'text': 'x'}, 'k2': {'text': 'y'}}", "list", "answers[0]['output']['score']"),
        ("{'text': ['x', 'y']}", "dict", "answers['output'][0]['score']"),
        ("__import__('polars').DataFrame({'text': ['x', 'y']})", "DataFrame", "answers['output'][0]['score']"),
        ("__import__('pyarrow').table({'text': ['x', 'y']})", "Table", "answers['output'][0].as_py()['score']"),
        ("pd.Series(['x', 'y'], name='text')", "DataFrame", "answers.output[0]['score']"),
    ],
    ids=["records", "generator", "by key", "columns", "polars", "pyarrow", "series"],
)  # fmt: skip
def test_rows_of_many_kinds(rows: str, kind: str, first: str, kernel: Kernel) -> None:
    kernel.execute(f"df = rows = {rows}").ok()
    kernel.execute(f"{ASK}\n{{{{text}}}}").ok()
    assert kernel.value("asked") == ["x", "y"]
    first = first.replace("rows[0]", "answers[0]")
    assert kernel.value(f"[type(answers).__name__, int({first})]") == [kind, 1]


def test_texts_and_lines(kernel: Kernel) -> None:
    kernel.execute("texts = ['x', 'yy']").ok()
    kernel.execute("found = %runagent mood --each texts --output score, is {{item}} good?").ok()
    assert kernel.value("[row['score'] for row in found]") == [10, 11]
    kernel.execute("found = %runagent mood --each texts --input query=item").ok()
    assert kernel.value("sorted(asked)[2:]") == ["x", "yy"]


@pytest.mark.parametrize(
    ("line", "body", "message"),
    [
        ("--each df", "{{text}}", "--each needs --out NAME"),
        ("--eahc df --out x", "{{text}}", "Did you mean --each?"),
        ("--each nothing --out x", "{{text}}", "there is no variable 'nothing'"),
        ("--each gate --out x", "{{text}}", "--each gate is of type Event, which is no table"),
        ("--each df --id no --out x", "{{text}}", "df has no column 'no'; it has key, text, n"),
        ("--each df --output n --out x", "{{text}}", "df has a column 'n' already"),
        ("--each df --out x", "all the same", "Every row would ask the same"),
        ("--each df --out x", "{{txt}}", "Row 0: {{txt}} cannot be filled in: 'txt' is undefined"),
        ("--each df --out x", "{{1 / (n - 3)}}", "Row 2: {{1 / (n - 3)}} cannot be filled in"),
        ("--each df --out x --cache", "{{text}}", "--cache cannot be used with --each"),
        ("--each df --out x --rate fast", "{{text}}", "--rate 'fast' is not a rate"),
        ("--each df --out x --max-concurrency 0", "{{text}}", "--max-concurrency 0 is not"),
        ("--each df --out x --journal /no/j --bg", "{{text}}", "'/no/j' cannot be opened"),
        ("--journal j", "x", "--journal is only for --each TABLE"),
    ],
)
def test_slips_are_told_before_anything_is_sent(
    line: str, body: str, message: str, kernel: Kernel
) -> None:
    cell = kernel.execute(f"%%runagent mood {line}\n{body}")
    assert cell.error is not None
    assert message in "\n".join(cell.error["traceback"])
    assert len(cell.outputs) == 1
    assert kernel.value("asked") == []


def test_ids_that_come_twice_are_told_before_anything_is_sent(kernel: Kernel) -> None:
    kernel.execute("df.loc[9, 'key'] = 'a'").ok()
    cell = kernel.execute(f"{ASK} --id key\n{{{{text}}}}")
    assert cell.error is not None
    assert "Row 2 has the value 'a' of row 0, too" in cell.error["evalue"]
    assert kernel.value("asked") == []


def test_an_interrupt_keeps_the_rows_and_a_rerun_goes_on(kernel: Kernel) -> None:
    kernel.execute("df['text'] = ['fine', 'nice', 'wait']").ok()
    code = (
        "%%runagent gated --each df --out answers --max-concurrency 1 --journal x.journal\n{{text}}"
    )
    cell = kernel.submit(code)
    cell.wait_for_output("2 of 3 rows")
    kernel.interrupt()
    assert cell.wait().error is not None
    told = "\n".join(cell.error["traceback"] if cell.error else [])
    assert "stopped: 2 of 3 rows are finished, and in answers. Run this again to go on" in told
    assert kernel.value("list(answers.status)") == ["ok", "ok", "pending"]
    kernel.execute("gate.set()").ok()
    again = kernel.execute(code).ok()
    assert "2 from the journal" in again.outputs[0]["data"]["text/html"]
    assert kernel.value("list(answers.output)") == ["FINE", "NICE", "WAIT"]
    assert kernel.value("[asked.count('fine'), asked.count('nice')]") == [1, 1]


def test_a_generator_that_waits_for_ever_is_interrupted_by_the_third(kernel: Kernel) -> None:
    kernel.execute(
        "def endless():\n    yield {'text': 'x'}\n    yield {'text': 'y'}\n    print('waits', flush=True)\n"
        "    while True: time.sleep(0.01)\nrows = endless()"
    ).ok()
    cell = kernel.submit(f"{ASK.replace('df', 'rows')}\n{{{{text}}}}")
    cell.wait_for_output("waits")
    for _ in range(3):
        kernel.interrupt()
        time.sleep(4 * MOMENT)  # two that come at once are one
    told = "\n".join((cell.wait().error or {})["traceback"])
    assert "rows are finished, and in answers" in told
    assert kernel.value("[row['text'] for row in answers]") == ["x", "y"]


def test_without_a_journal_the_message_says_so(kernel: Kernel) -> None:
    kernel.execute("df['text'] = ['fine', 'nice', 'wait']").ok()
    cell = kernel.submit("%%runagent gated --each df --out answers --max-concurrency 1\n{{text}}")
    cell.wait_for_output("2 of 3 rows")
    kernel.interrupt()
    told = "\n".join((cell.wait().error or {})["traceback"])
    assert "with --journal FILE it goes on" in told
    assert kernel.value("list(answers.output)[:2]") == ["FINE", "NICE"]
    kernel.execute("gate.set()").ok()


def test_it_goes_on_beside_other_cells_and_is_stopped(kernel: Kernel) -> None:
    kernel.execute("df['text'] = ['fine', 'nice', 'wait']").ok()
    cell = kernel.execute(
        "%%runagent gated --each df --out answers --max-concurrency 1 --bg --proc job\n{{text}}"
    ).ok()
    cell.wait_for_output("2 of 3 rows")
    other = kernel.execute("print(job.done, list(job.answers.status))").ok()
    assert other.stdout == "False ['ok', 'ok', 'pending']\n"
    assert len(other.outputs) == 1
    assert kernel.value("list(job.stop().status)") == ["ok", "ok", "pending"]
    assert kernel.value("[repr(job), answers is job.answers]") == [
        "<EachJob 'gated': stopped, 2 rows finished>",
        True,
    ]
    (output,) = cell.outputs
    assert "stopped" in output["data"]["text/html"]
    assert "FINE" in output["data"]["text/html"]
    kernel.execute("gate.set()").ok()


def test_a_batch_that_ends_early_raises_and_keeps_what_there_is(kernel: Kernel) -> None:
    kernel.execute("df = pd.DataFrame({'text': ['boom'] * 120})").ok()
    cell = kernel.execute(f"{ASK}\n{{{{text}}}}")
    assert cell.error is not None
    assert "of its first 100 rows failed" in cell.error["evalue"]
    assert 100 <= kernel.value("int((answers.status == 'failed').sum())") < 120
    cell = kernel.execute(f"{ASK} --no-raise-error\n{{{{text}}}}").ok()
    assert "of its first 100 rows failed" in cell.stderr


def test_captured_and_quiet(kernel: Kernel) -> None:
    kernel.execute("df = pd.DataFrame({'text': ['x'] * 3})").ok()
    cell = kernel.execute(
        f"%%capture kept\nget_ipython().run_cell_magic('runagent', '{ASK[11:]}', '{{{{text}}}}')"
    )
    assert cell.ok().outputs == []
    assert kernel.value("len(kept.outputs)") == 1
    assert kernel.value("'3 of 3 rows' in kept.outputs[0].data['text/html']")
    assert kernel.execute(f"{ASK} --quiet\n{{{{text}}}}").ok().outputs == []
    assert kernel.value("len(answers)") == 3


def test_its_calls_are_counted(kernel: Kernel) -> None:
    kernel.execute("%runagent_usage --reset").ok()
    kernel.execute("df = pd.DataFrame({'text': ['x'] * 3})").ok()
    kernel.execute(f"{ASK}\n{{{{text}}}}").ok()
    kernel.execute("found = %runagent_usage").ok()
    assert kernel.value("[found.total.agent, found.total.calls]") == ["total", 3]


def test_options_and_columns_are_completed(kernel: Kernel) -> None:
    def completed(line: str) -> list[str]:
        found: list[str] = kernel.value(f"get_ipython().complete(None, {line!r})[1]")
        return found

    assert completed("%%runagent mood --ea") == ["--each"]
    assert "df" in completed("%%runagent mood --each d")
    assert completed("%%runagent mood --each df --id t") == ["text"]


def test_the_progress_of_a_plain_batch_is_one_output(kernel: Kernel) -> None:
    code = """
from runagent import RunAgentClient
with RunAgentClient("mood") as client:
    rows = client.map(({"query": str(i)} for i in range(20)), rate=20).results()
"""
    cell = kernel.execute(code).ok()
    (output,) = cell.outputs
    assert "20 rows · 0 failed" in output["data"]["text/html"]
    shown = cell.of_type("display_data", "update_display_data")
    assert len(shown) >= 3
    quiet = kernel.execute(code.replace("rate=20", "progress=False")).ok()
    assert quiet.outputs == []


def test_failed_rows_that_are_asked_again_have_an_output_of_their_own(kernel: Kernel) -> None:
    kernel.execute("from runagent import RunAgentClient\nclient = RunAgentClient('mood')").ok()
    first = kernel.execute(
        "batch = client.map([{'query': 'boom'}] + [{'query': 'x'}] * 9, rate=20)\nprint('first')\n"
        "rows = batch.results()"
    ).ok()
    second = kernel.execute("rows = batch.retry_failed().results()").ok()
    assert "10 of 10 rows · 1 failed" in "".join(first.data("text/html"))
    assert "1 of 1 row · 1 failed" in "".join(second.data("text/html"))
    kernel.execute("client.close()").ok()


def test_other_outputs_of_the_cell_stay(kernel: Kernel) -> None:
    code = """
print("before")
with RunAgentClient("mood") as client:
    for row in client.map(({"query": str(i)} for i in range(10)), rate=20):
        if row.id == 8:
            print("within")
print("after")
"""
    kernel.execute("from runagent import RunAgentClient").ok()
    cell = kernel.execute(code).ok()
    assert cell.stdout == "before\nwithin\nafter\n"
    (html,) = [text for text in cell.data("text/html") if text]
    assert "10 rows · 0 failed" in html


def test_rows_that_failed_are_asked_again_when_that_is_wanted(kernel: Kernel) -> None:
    line = f"{ASK} --id key --journal x.journal"
    kernel.execute("df['text'] = ['fine', 'boom', 'nice']").ok()
    kernel.execute(f"{line}\n{{{{text}}}}").ok()
    kernel.execute("@agent('mood')\ndef mood(query): return 'mended'").ok()
    again = kernel.execute(f"{line}\n{{{{text}}}}").ok()
    for kind in ("text/html", "text/plain"):
        assert "3 of 3 rows · 1 failed · 3 from the journal" in again.data(kind)[0]
        assert "Run this with --retry-failed to ask those rows again." in again.data(kind)[0]
    retried = kernel.execute(f"{line} --retry-failed\n{{{{text}}}}").ok()
    assert "3 of 3 rows · 0 failed · 2 from the journal" in retried.data("text/html")[0]
    assert "--retry-failed" not in retried.data("text/html")[0]
    assert kernel.value("answers.output[8]") == "mended"


def test_in_a_terminal(terminal: TerminalIPython) -> None:
    terminal.run("%load_ext runagent_jupyter")
    terminal.run("texts = ['one', 'two']")
    screen = terminal.run("%%runagent demo --each texts --out answers\nSay {{item}}")
    assert "2/2" in screen or "2 of 2 rows" in screen
    assert "[2, 'ok']" in terminal.run("[len(answers), answers[0]['status']]")


def test_a_notebook_is_executed_with_its_final_states() -> None:
    notebook = executed(
        SETUP.replace("%reload_ext", "%load_ext"),
        f"{ASK} --as Mood\nIs it? {{{{ text }}}}",
        "import asyncio\nfrom runagent import AsyncRunAgentClient\n"
        'batch = AsyncRunAgentClient("mood").map([{"query": "x"}] * 3)\n'
        "rows = [row async for row in batch]",
    )
    _, each, plain = [cell.outputs for cell in notebook.cells]
    assert ["3 of 3 rows · 2 failed" in output.data["text/html"] for output in each] == [True]
    assert ["3 of 3 rows · 0 failed" in output.data["text/html"] for output in plain] == [True]
