"""A reply after its cell has ended: where it is shown, and that nothing spoils it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.kernel import Kernel
from support.notebooks import executed

AGENTS = """
import asyncio
from runagent.local import agent

@agent("echo")
def echo(query: str = "", **fields):
    return {"said": query} | fields if fields else query

@agent("number")
def number(query: str):
    return 42

@agent("words")
async def words(query: str):
    for index in range(int(query)):
        yield f"word {index} "
        await asyncio.sleep(0.05)

@agent("fails")
def fails(query: str):
    raise ValueError("broken")

run = get_ipython().run_cell_magic
"""


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Iterator[Kernel]:
    shared_kernel.execute("%reload_ext runagent_jupyter" + AGENTS).ok()
    yield shared_kernel
    shared_kernel.execute("%config RunAgentMagics.timeout = ''").ok()
    shared_kernel.execute("%config RunAgentMagics.cache_path = ''").ok()


def shown(kernel: Kernel, code: str) -> str:
    (output,) = kernel.execute(code).ok().outputs
    return str(output["data"]["text/plain"])


def test_a_reply_is_shown_in_the_cells_after_its_own(kernel: Kernel) -> None:
    kernel.execute("reply = %runagent echo hello").ok()
    assert shown(kernel, "reply") == shown(kernel, "reply") == "hello"
    kernel.execute("%%runagent echo --bg --proc job\nlater").ok()
    assert "later" in shown(kernel, "job.wait()")
    kernel.execute("%%runagent fails --out failed\nx")
    assert "broken" in shown(kernel, "failed")


def test_one_value_however_it_was_asked_for(kernel: Kernel) -> None:
    for agent, value in (("echo", "x"), ("number", 42)):
        kernel.execute(f"%%runagent {agent} --out a\nx").ok()
        kernel.execute(f"%%runagent {agent} --no-stream --out b\nx").ok()
        assert kernel.value("[a.value, b.value]") == [value, value]


def test_pieces_under_a_usual_name_are_text(kernel: Kernel) -> None:
    kernel.execute(
        """
@agent("pieces")
def pieces(query: str):
    yield {"type": "tool_call", "name": "search"}
    yield {"response": "Hel"}
    yield {"response": "lo"}
"""
    ).ok()
    cell = kernel.execute("%%runagent pieces --out reply\nx").ok()
    assert cell.data("text/plain") == ["[tool call · search]\nHello"]
    assert kernel.value("reply.value") == "Hello"


def test_a_reply_goes_on_as_its_answer(kernel: Kernel) -> None:
    kernel.execute("%%runagent echo --out inner\n" + '{"query": "q", "n": 1}').ok()
    kernel.execute("outer = %runagent echo --input inner").ok()
    assert kernel.value("outer.value") == {"said": "q", "n": 1}
    kernel.execute("%%runagent echo --out outer\n" + '{"query": "", "inner": {{inner}}}').ok()
    assert kernel.value("outer.value['inner']") == {"said": "q", "n": 1}


def test_calls_from_code_leave_the_rest_of_the_cell_alone(kernel: Kernel) -> None:
    cell = kernel.execute(
        "for i in range(3):\n    print('i', i)\n    run('runagent', 'echo', f'q{i}')"
    )
    assert cell.ok().stdout == "i 0\ni 1\ni 2\n"
    shown = [output["data"]["text/plain"] for output in cell.outputs if "data" in output]
    # An answer that took a while had a line about that, which is empty in the end.
    assert list(filter(None, shown)) == ["q0", "q1", "q2"]


def test_one_slow_painting_does_not_hold_up_the_rest(kernel: Kernel) -> None:
    kernel.execute(
        """
import time
publisher = get_ipython().display_pub
publish = publisher.publish
def slow(*arguments, **options):
    if options["update"]:
        publisher.publish = publish
        time.sleep(0.5)
    return publish(*arguments, **options)
publisher.publish = slow
"""
    ).ok()
    cell = kernel.execute("%%runagent words\n80").ok()
    # After a rest of ten times what the slow one took there would be the last one alone.
    assert len([m for m in cell.messages if "display" in m.type]) >= 6


def test_quotes_hold_a_value_together(kernel: Kernel) -> None:
    line = (
        """--set tags='["a","b"]' --set 'note=two words' --set more="it's \\"it\\"" --set n=["c"]"""
    )
    kernel.execute(f"%%runagent echo --out reply {line}\nx").ok()
    assert kernel.value("reply.value") == {
        "said": "x",
        "tags": ["a", "b"],
        "note": "two words",
        "more": 'it\'s "it"',
        "n": ["c"],
    }


@pytest.mark.parametrize("option", ["--out 'a b'", "--out for", "--proc 1x --bg", "--set =1"])
def test_names_that_lead_nowhere_are_refused(kernel: Kernel, option: str) -> None:
    assert (kernel.execute(f"%%runagent echo {option}\nx").error or {})[
        "ename"
    ] == "ValidationError"


def test_what_goes_wrong_here_is_an_error_of_the_cell(kernel: Kernel) -> None:
    kernel.execute("big = 10 ** 5000")
    cell = kernel.execute("%runagent echo --input big")
    assert cell.error is not None
    assert len("".join(cell.error["traceback"])) < 1_000


def test_nothing_is_said_twice(kernel: Kernel) -> None:
    (output,) = kernel.execute("%%runagent fails\nx").outputs
    assert output["output_type"] == "error"


def test_an_unwritable_cache_costs_no_answer(kernel: Kernel) -> None:
    kernel.execute("%config RunAgentMagics.cache_path = '/proc/nowhere/replies.sqlite'").ok()
    cell = kernel.execute("%%runagent echo --cache --out reply\nx").ok()
    assert "cannot be used" in cell.stderr
    assert kernel.value("reply.text") == "x"


def test_a_cached_reply_has_a_job_too(kernel: Kernel) -> None:
    for _ in range(2):
        kernel.execute("%%runagent echo --cache --bg --proc job --out reply\nx").ok()
        assert "x" in shown(kernel, "job.wait()")
        assert kernel.value("[job.done, reply.text]") == [True, "x"]
        kernel.execute("del job, reply").ok()


def test_json_is_json_everywhere_and_never_mostly_margin(kernel: Kernel) -> None:
    text = shown(kernel, "%%runagent echo --format json\n" + '{"query": "q", "answer": "**a**"}')
    assert json.loads(text) == {"said": "q", "answer": "**a**"}
    kernel.execute("deep = '[' * 900 + ']' * 900").ok()
    assert len(shown(kernel, "%%runagent echo\n" + '{"query": "q", "deep": {{deep}}}')) < 5_000


def test_an_agent_that_the_settings_name(kernel: Kernel) -> None:
    error = kernel.execute("%%runagent --set a=1\nx").error
    assert "%runagent_config --agent" in "".join((error or {})["traceback"])
    kernel.execute("%runagent_config --agent echo").ok()
    kernel.execute("question = 'hi'\nreply = %runagent --input question").ok()
    assert kernel.value("reply.text") == "hi"


def test_a_timeout_is_a_number_or_its_text(kernel: Kernel) -> None:
    kernel.execute("%config RunAgentMagics.timeout = 60").ok()
    assert "60 s" in kernel.execute("%runagent_config").ok().stdout


def test_the_key_is_asked_for_where_it_is_sent(kernel: Kernel) -> None:
    for line in ("--key", "--agent echo --key"):
        cell = kernel.execute(f"%runagent_config {line}", stdin=["planted-key-3"]).ok()
        assert cell.prompts == ["API key for https://api.run-agent.ai: "]


def test_loaded_by_a_configuration_file(
    start_kernel: Callable[..., Kernel], tmp_path: Path
) -> None:
    lines = [
        'c.InteractiveShellApp.extensions = ["runagent_jupyter"]',
        'c.RunAgentMagics.timeout = "7"',
    ]
    (tmp_path / "settings.py").write_text("\n".join(lines))
    kernel = start_kernel(arguments=[f"--config={tmp_path / 'settings.py'}"])
    assert "timeout   7 s" in kernel.execute("%runagent_config").ok().stdout
    kernel.execute("import asyncio\nasync def one(): return 1\nx = asyncio.run(one())").ok()
    assert kernel.value("x") == 1


def test_nothing_of_a_job_is_lost_in_nbclient() -> None:
    cells = ["%load_ext runagent_jupyter" + AGENTS, "%%runagent words --bg --proc job\n10"]
    cells += ["job.wait() and None", "reply = %runagent echo hello", "reply"]
    notebook = executed(*cells)
    assert "word 9" in notebook.cells[1].outputs[0]["data"]["text/plain"]
    assert notebook.cells[4].outputs[0]["data"]["text/plain"] == "hello"


def test_a_function_s_own_variables_are_filled_in(kernel: Kernel) -> None:
    kernel.execute("""
city = "everywhere"
def ask(city, rows):
    on_line = %runagent echo Weather in {{city}}?
    given = %runagent echo --input rows --set more=1 {{rows|length}}
    return on_line.text, given.value
""").ok()
    assert kernel.value("ask('Rome', {'a': 1})") == [
        "Weather in Rome?",
        {"said": "1", "a": 1, "more": 1},
    ]


def test_a_character_sent_in_two_halves_is_whole(kernel: Kernel) -> None:
    kernel.execute("""
from runagent.local import agent
@agent("halves")
def halves(query: str):
    yield "so \\ud83d"
    yield "\\ude00 it"
""").ok()
    cell = kernel.execute("%%runagent halves\nx").ok()
    for kind in ("text/plain", "text/html"):
        assert "so \U0001f600 it" in cell.outputs[0]["data"][kind]
    assert kernel.value("_.text") == "so \U0001f600 it"
    kernel.execute("from runagent_jupyter import chat").ok()
    assert kernel.value("chat('halves').ask('x').text") == "so \U0001f600 it"
