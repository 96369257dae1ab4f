"""Questions that end in a question mark reach the agent; IPython's help is left as it is."""

from __future__ import annotations

import pytest
from support.kernel import Kernel

AGENTS = """
from runagent.local import agent
asked = []

@agent("echo")
def echo(query: str):
    asked.append(query)
    return query.upper()
"""


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Kernel:
    shared_kernel.execute("%reload_ext runagent_jupyter" + AGENTS).ok()
    return shared_kernel


@pytest.mark.parametrize(
    ("cell", "asked"),
    [
        ("%runagent echo What can you do there?", ["What can you do there?"]),
        ("reply = %runagent echo why?", ["why?"]),
        ("a = b = %runagent echo why??", ["why??"]),
        ("x = 1; y = %runagent echo why?", ["why?"]),
        ("r = {}\nr['a'] = %runagent echo who?\nr['b'] = %runagent echo how?", ["who?", "how?"]),
        (
            "for q in 'ab':\n    r = %runagent echo {{q}}?\n    %runagent echo !{{q}}?\n",
            ["a?", "!a?", "b?", "!b?"],
        ),
        ("def f(q):\n    '''x'''\n    return %runagent echo {{q}}?\nf('a'); f('b')", ["a?", "b?"]),
        ("    # indented\n    %runagent echo why?\n    x = 1", ["why?"]),
        ("%runagent echo one \\\ntwo?\nx = 1", ["one  two?"]),
        (
            "%runagent echo it's (the \"same?\nx = 1\n%runagent echo thing?",
            ["it's (the \"same?", "thing?"],
        ),
        ("%runagent\techo why? ", ["why?"]),
        ("%runagent echo ¿qué? 日本語？?", ["¿qué? 日本語？?"]),
        ("%time %runagent echo why?", ["why?"]),
        ("%%time\nr = %runagent echo why?", ["why?"]),
        ("runagent echo why?", ["why?"]),
        (">>> r = %runagent echo why?", ["why?"]),
        ("text = '''\n%runagent echo why?\n'''\n# %runagent echo why?", []),
    ],
)
def test_a_question_may_end_in_a_question_mark(kernel: Kernel, cell: str, asked: list[str]) -> None:
    executed = kernel.execute(cell).ok()
    assert kernel.value("asked") == asked
    assert "not found" not in executed.stdout


def test_a_question_is_asked_with_its_value_assigned(kernel: Kernel) -> None:
    kernel.execute("reply = 'old'\nreply = %runagent echo why?").ok()
    assert kernel.value("reply.text") == "WHY?"


@pytest.mark.parametrize(
    "cell",
    [
        "print(%runagent echo why?)",
        "if True: %runagent echo why?",
        "f = lambda: %runagent echo why?",
        "r = [%runagent echo why?",
    ],
)
def test_in_any_other_place_the_cell_fails(kernel: Kernel, cell: str) -> None:
    assert kernel.execute(cell).status == "error"
    assert kernel.value("asked") == []


@pytest.mark.parametrize(
    "line", ["%runagent?", "%runagent??", "?%runagent", "??%runagent", "%%runagent?"]
)
def test_help_is_still_shown(kernel: Kernel, line: str) -> None:
    (payload,) = kernel.execute(line).ok().reply["payload"]  # type: ignore[index]
    assert "--session" in payload["data"]["text/plain"]


def test_help_of_everything_else_is_untouched(kernel: Kernel) -> None:
    for line in ("print?", "?print", "%time?", "asked?", "%runagent_config?", "len??"):
        (payload,) = kernel.execute(line).ok().reply["payload"]  # type: ignore[index]
        assert payload["data"]["text/plain"]


def test_the_hook_is_added_once_and_removed(kernel: Kernel) -> None:
    count = "[t.__name__ for t in get_ipython().input_transformer_manager.token_transformers]"
    again = "import runagent_jupyter as r; [r.load_ipython_extension(get_ipython())] * 2"
    kernel.execute(f"{again}\nr.load_ipython_extension(get_ipython())").ok()
    assert kernel.value(count).count("MagicLine") == 1
    assert kernel.value(
        "[get_ipython().Completer.custom_matchers.count(r.completion.complete),"
        " sum('RunAgent' in type(c).__name__ for c in get_ipython().configurables)]"
    ) == [1, 1]
    kernel.execute("%unload_ext runagent_jupyter").ok()
    assert "MagicLine" not in kernel.value(count)
    kernel.execute("%load_ext runagent_jupyter").ok()
    assert kernel.value(count).count("MagicLine") == 1


LOADING = "%load_ext runagent_jupyter"
RELOADING = "%reload_ext runagent_jupyter"


@pytest.mark.parametrize("question", ["%runagent demo Why?", "reply = %runagent demo Why so?"])
def test_a_cell_that_loads_and_asks_fails(kernel: Kernel, question: str) -> None:
    kernel.execute("%unload_ext runagent_jupyter").ok()
    failed = kernel.execute(f"{LOADING}\n{question}")
    assert failed.status == "error"
    assert "Put %load_ext runagent_jupyter into a cell of its own" in failed.stderr
    kernel.execute(f"{LOADING}\n%runagent demo Tell me").ok()
    kernel.execute(f"{RELOADING}\n{question}").ok()
