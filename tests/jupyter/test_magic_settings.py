"""The magic's settings, its key, its help, completion and cache, in real kernels."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import IPython
import pytest
from support.clock import TIMEOUT
from support.kernel import Kernel

from runagent.local import serve

AGENT = """
from runagent.local import agent
asked = 0

@agent("counts")
def counts(query: str):
    global asked
    asked += 1
    yield f"**{query}** "
    yield str(asked)
"""


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Iterator[Kernel]:
    shared_kernel.execute("%reload_ext runagent_jupyter\n%runagent_config --reset").ok()
    yield shared_kernel
    shared_kernel.execute("%config RunAgentMagics.timeout = ''").ok()
    shared_kernel.execute("%config RunAgentMagics.cache_path = ''").ok()


def test_settings_are_shown_set_and_reset(kernel: Kernel) -> None:
    assert "https://api.run-agent.ai" in kernel.execute("%runagent_config").ok().stdout
    cell = kernel.execute(
        "%runagent_config --agent demo --base-url http://127.0.0.1:9/v1/ --timeout 7 --format text"
    ).ok()
    for shown in ("demo", "http://127.0.0.1:9\n", "7 s", "text"):
        assert shown in cell.stdout
    cell = kernel.execute("%%runagent\nhi").ok()  # the built-in agent is served here
    assert "# Hello from" in cell.outputs[0]["data"]["text/html"]
    cell = kernel.execute("%%runagent other\nhi")
    assert "127.0.0.1:9" in "".join((cell.error or {})["traceback"])
    assert "30 s" in kernel.execute("%runagent_config --reset").ok().stdout


def test_settings_are_traits(kernel: Kernel) -> None:
    kernel.execute("%config RunAgentMagics.timeout = '9'").ok()
    assert "9 s" in kernel.execute("%runagent_config").ok().stdout


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--timeout soon", ["--timeout 'soon'", "number of seconds"]),
        ("--base-url nowhere", ["'nowhere' from --base-url", "https://"]),
        ("--format pdf", ["pdf", "%runagent_config?"]),
        ("--reset --timeout soon", ["'soon'"]),
        ("--nope", ["--nope"]),
        ("--base-url 'http", ["quotation"]),
        ("--agent z", ["--agent is given twice"]),
    ],
)
def test_a_wrong_setting_changes_nothing(kernel: Kernel, line: str, words: list[str]) -> None:
    before = kernel.execute("%runagent_config --agent y").stdout
    cell = kernel.execute(f"%runagent_config --agent x {line}")
    for word in words:
        assert word in "".join((cell.error or {})["traceback"])
    assert kernel.execute("%runagent_config").stdout == before


def test_a_failure_names_where_its_setting_was_written(kernel: Kernel) -> None:
    def said(line: str) -> str:
        cell = kernel.execute(f"{line}\nhi")
        return "".join((cell.error or {})["traceback"])

    nowhere = f"--base-url http://127.0.0.1:9 --timeout {TIMEOUT}"
    assert "comes from --base-url." in said(f"%%runagent x {nowhere}")
    assert "--timeout '1x' is not" in said("%%runagent x --timeout 1x")
    kernel.execute("import os; os.environ['RUNAGENT_API_KEY'] = 'k'")
    assert "set RUNAGENT_ALLOW_HTTP=1" in said("%%runagent x --base-url http://a.invalid")
    kernel.execute("del os.environ['RUNAGENT_API_KEY']").ok()
    kernel.execute(f"%runagent_config {nowhere}").ok()
    assert "comes from %runagent_config." in said("%%runagent x")


def test_a_missing_key_is_never_asked_for_in_a_cell(kernel: Kernel) -> None:
    where = "%%runagent agent-1 --base-url https://agents.invalid --timeout 5"
    cell = kernel.execute(f"{where}\nhi")  # a prompt would fail here: nothing answers it
    said = "".join((cell.error or {})["traceback"])
    assert cell.prompts == []
    for words in ("no API key for https://agents.invalid", "%runagent_config --key"):
        assert words in said
    assert "does not serve" not in said  # the agent is on another server


def test_run_all_never_waits_for_a_key(kernel: Kernel) -> None:
    kernel.execute(AGENT).ok()
    cells = [kernel.submit(code) for code in ("%%runagent count\nhi", "print('on')")]
    said = "".join((cells[0].wait().error or {})["traceback"])
    assert [cell.prompts for cell in cells] == [[], []]
    for words in (
        "There is no API key for https://api.run-agent.ai",
        "does not serve 'count'",
        "it serves counts, demo",
        "Did you mean counts?",
        "%runagent_config --key",
    ):
        assert words in said
    cells[1].wait()
    chat = kernel.execute("import runagent_jupyter\nrunagent_jupyter.AgentWidget('count')")
    assert "Did you mean counts?" in "".join((chat.error or {})["traceback"])
    for line in ("%runagent my-tutor hi", "%runagent my-tutor --bg hi", "%runagent x --widget"):
        assert kernel.execute(line).prompts == []


def test_an_entered_key_stays_out_of_the_notebook_and_goes_to_its_server(kernel: Kernel) -> None:
    # Not loopback by its name, so it wants a key; but it is nowhere, so it gets none.
    where = "%%runagent agent-1 --timeout 5"
    entered = kernel.execute(
        "%runagent_config --base-url https://agents.invalid --key", stdin=["planted-key-1"]
    ).ok()
    assert entered.prompts == ["API key for https://agents.invalid: "]
    assert "api_key   entered in this notebook" in entered.stdout
    cell = kernel.execute(f"{where}\nhi")
    assert "NetworkError" in "".join((cell.error or {})["traceback"])
    kernel.execute("%tb\n%runagent_config\n%history\nprint(vars())")
    # No other server gets it.
    other = kernel.execute("%%runagent agent-1 --base-url https://other.invalid\nhi")
    assert "MISSING_API_KEY" in "".join((other.error or {})["traceback"])
    kernel.execute("%reload_ext runagent_jupyter").ok()
    assert "entered in this notebook" in kernel.execute("%runagent_config").ok().stdout
    assert "none; enter one" in kernel.execute("%runagent_config --reset").ok().stdout
    sent = json.dumps([message.content for message in kernel.messages])
    assert "planted-key-1" not in sent


def test_it_says_where_the_key_comes_from(kernel: Kernel) -> None:
    said = kernel.execute("%runagent_config --reset").ok().stdout
    assert "api_key   none; enter one with %runagent_config --key" in said
    said = kernel.execute("%runagent_config --base-url http://127.0.0.1:9").ok().stdout
    assert "api_key   none; this server needs none" in said
    kernel.execute("%runagent_config --reset\nimport os; os.environ['RUNAGENT_API_KEY'] = 'k-1'")
    said = kernel.execute("%runagent_config").ok().stdout
    assert "api_key   from RUNAGENT_API_KEY" in said
    assert "k-1" not in said
    said = kernel.execute("%runagent_config --base-url http://agents.invalid").ok().stdout
    assert "unencrypted" in said
    kernel.execute(
        "del os.environ['RUNAGENT_API_KEY']\n"
        "folder = os.path.expanduser('~/.runagent'); os.makedirs(folder, exist_ok=True)\n"
        "open(folder + '/config.json', 'w').write('{\"api_key\": \"k-2\"}')"
    ).ok()
    said = kernel.execute("%runagent_config --reset").ok().stdout
    assert "api_key   from " in said
    assert ".runagent/config.json" in said
    assert "k-2" not in said
    kernel.execute("os.remove(folder + '/config.json')").ok()


def test_the_key_that_was_entered_is_sent(kernel: Kernel) -> None:
    with serve({"locked": lambda: "open"}, api_key="planted-key-2") as server:
        kernel.execute(f"%runagent_config --base-url {server.url} --key", stdin=["wrong"]).ok()
        cell = kernel.execute("%%runagent locked --set a=1 --no-stream\n{}")
        said = "".join((cell.error or {})["traceback"])
        assert "AuthenticationError" in said
        assert "The key comes from %runagent_config --key" in said
        kernel.execute("%runagent_config --key", stdin=["planted-key-2"]).ok()
        cell = kernel.execute("%%runagent locked\n{}").ok()
        assert "open" in cell.outputs[0]["data"]["text/plain"]
    assert "planted-key-2" not in json.dumps([message.content for message in kernel.messages])


def test_options_and_agents_complete(kernel: Kernel) -> None:
    def completed(line: str) -> list[str]:
        found: list[str] = kernel.value(f"get_ipython().complete(None, {line!r})[1]")
        return found

    assert completed("%%runagent demo --s") == ["--session", "--set", "--stream"]
    kernel.execute("rows = []")
    assert completed("x = %runagent demo --input ro") == ["rows"]
    assert "demo" not in completed("%runagent demo de")
    assert "--session" in completed("%%runagent demo --se")
    assert "--reset" in completed("%runagent_config --re")
    assert "demo" in completed("%%runagent de")
    assert "markdown" in completed("%%runagent demo --format ma")


@pytest.mark.skipif(
    IPython.version_info < (8, 6), reason="IPython before 8.6 has no explanations of completions"
)
@pytest.mark.parametrize(
    ("line", "text", "about"),
    [
        ("%%runagent de", "demo", "agent: built in, needs no key"),
        ("%%runagent cou", "counts", "agent: served by this process"),
        ("%%runagent demo --sess", "--session", "option: keep a conversation over cells"),
        ("%runagent_config --ke", "--key", "option: ask for the API key"),
        ("x = %runagent demo --input row", "rows", "variable: list"),
        ("%%runagent demo --format ma", "markdown", "value of --format"),
    ],
)
def test_a_completion_says_what_it_is(kernel: Kernel, line: str, text: str, about: str) -> None:
    kernel.execute(AGENT + "rows = []").ok()
    content = kernel.value(
        f"get_ipython().kernel._experimental_do_complete({line!r}, {len(line)})"
        "['metadata']['_jupyter_types_experimental']"
    )
    # JupyterLab would break the line of a menu at an ordinary space.
    about = about.replace(" ", "\N{NO-BREAK SPACE}")
    assert (text, about) in [(found["text"], found["type"]) for found in content]


def test_alone_it_says_what_one_can_do_and_help_has_examples(kernel: Kernel) -> None:
    assert "demo" in kernel.execute("%runagent").ok().stdout
    help_text = json.dumps(kernel.execute("%runagent?").ok().reply)
    for expected in ("What can you do?", "{{df.head(20)}}", "--session", "--bg"):
        assert expected in help_text


def test_a_cached_reply_is_free_and_says_so(start_kernel: Callable[..., Kernel]) -> None:
    places: list[str] = []
    for restart in range(2):
        kernel = start_kernel(environment={"XDG_CACHE_HOME": places[0]} if places else {})
        kernel.execute("%load_ext runagent_jupyter" + AGENT).ok()
        places.append(kernel.value("__import__('os').environ['XDG_CACHE_HOME']"))
        first = kernel.execute("%%runagent counts --cache\nwhy").ok()
        again = kernel.execute("%%runagent counts --cache\nwhy").ok()
        assert ("from the cache" in first.outputs[0]["data"]["text/html"]) == bool(restart)
        assert "from the cache" in again.outputs[0]["data"]["text/html"]
        assert "<strong>why</strong> 1" in again.outputs[0]["data"]["text/html"]
        assert kernel.value("[asked, _.text, _.cached is not None]") == [
            0 if restart else 1,
            "**why** 1",
            True,
        ]
    kernel.execute("%%runagent counts --cache\nwhat else").ok()
    kernel.execute("%%runagent counts\nwhy").ok()
    assert kernel.value("asked") == 2
    kernel.execute("%runagent_config --clear-cache").ok()
    kernel.execute("%%runagent counts --cache\nwhy").ok()
    assert kernel.value("asked") == 3
    # Another header makes it another question.
    kernel.execute("%%runagent counts --cache --header X-Team:blue\nwhy").ok()
    assert kernel.value("asked") == 4


def test_only_complete_answers_are_kept(kernel: Kernel) -> None:
    kernel.execute(
        AGENT.replace(
            "    yield str(asked)", "    if asked == 1: raise LookupError\n    yield 'whole'"
        )
    ).ok()
    assert kernel.execute("%%runagent counts --cache\nwhy half").error is not None
    for _ in range(2):
        kernel.execute("%%runagent counts --cache --out reply\nwhy half").ok()
    assert kernel.value("(asked, reply.text)") == [2, "**why half** whole"]


DAMAGED = """
import os, sqlite3
from runagent_jupyter.cache import ReplyCache

def broken(path):
    open(path, "w").write("not a database" * 99)

def foreign(path):
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE customers (name TEXT)")

def other_columns(path):
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE replies (id TEXT, body BLOB)")

def damaged(path, reply="[1]"):
    ReplyCache.key = lambda *_: "same"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE replies (key TEXT PRIMARY KEY, kept REAL, reply TEXT)")
        database.execute("INSERT INTO replies VALUES ('same', 1, ?)", (reply,))

def odd(path):
    damaged(path, '{"value": 1, "elapsed": "long", "usage": [], "events": [{"odd": 1}]}')

def locked(path):
    global holder
    holder = sqlite3.connect(path)
    holder.execute("BEGIN EXCLUSIVE")

folder = os.makedirs
pipe = os.mkfifo
"""


@pytest.mark.parametrize(
    "kind",
    ["broken", "foreign", "other_columns", "damaged", "odd", "locked", "folder", "pipe"],
)
def test_a_cache_that_cannot_be_used_fails_no_cell(kernel: Kernel, kind: str) -> None:
    kernel.execute(AGENT + DAMAGED + f"key_of, path = ReplyCache.key, {kind!r} + '.sqlite'").ok()
    kernel.execute(f"{kind}(path)\n%config RunAgentMagics.cache_path = path").ok()
    cell = kernel.execute("%%runagent counts --cache\nwhy").ok()
    (line,) = cell.stderr.splitlines()
    assert f"--cache is passed over. The cache of replies, {kind}.sqlite, cannot be used" in line
    assert ("--clear-cache" in line) == (kind not in {"foreign", "folder", "pipe"})
    assert ("the answer in it is damaged" in line) == (kind in {"damaged", "odd"})
    assert "<strong>why</strong> 1" in "".join(cell.data("text/html"))
    kernel.execute("ReplyCache.key = key_of").ok()
    if kind == "foreign":
        cleared = kernel.execute("%runagent_config --clear-cache")
        assert "something else" in "".join((cleared.error or {})["traceback"])
        tables = "sqlite3.connect(path).execute('SELECT name FROM sqlite_master').fetchall()"
        assert kernel.value(tables) == [["customers"]]


@pytest.mark.parametrize("path", ["~nobody-of-that-name/x.sqlite", "/proc/x/y", "a\\0b"])
def test_a_cache_that_cannot_be_there_fails_no_cell(kernel: Kernel, path: str) -> None:
    kernel.execute(AGENT + f"%config RunAgentMagics.cache_path = '{path}'").ok()
    cell = kernel.execute("%%runagent counts --cache\nwhy").ok()
    assert "--cache is passed over" in cell.stderr
    assert len(cell.stderr.splitlines()) == 1


def test_a_broken_cache_can_begin_anew(kernel: Kernel) -> None:
    kernel.execute(AGENT + "open('broken', 'w').write('not a database' * 99)").ok()
    kernel.execute("%config RunAgentMagics.cache_path = 'broken'").ok()
    kernel.execute("%runagent_config --clear-cache").ok()
    for again in (False, True):
        cell = kernel.execute("%%runagent counts --cache\nwhy").ok()
        assert cell.stderr == ""
        assert ("from the cache" in "".join(cell.data("text/html"))) == again


def test_loading_again_keeps_settings_and_sessions(kernel: Kernel) -> None:
    kernel.execute(
        "from runagent.local import agent\n@agent('says')\ndef says(query, session_id=''):\n"
        "    return session_id"
    ).ok()
    kernel.execute("%runagent_config --agent says --timeout 2m").ok()
    kernel.execute("%config RunAgentMagics.format = 'text'\n%runagent says --session trip hi").ok()
    first = kernel.value("_.text")
    kernel.execute("%reload_ext runagent_jupyter").ok()
    kernel.execute("%unload_ext runagent_jupyter\n%load_ext runagent_jupyter").ok()
    said = kernel.execute("%runagent_config").ok().stdout
    for words in ("says", "120 s", "text"):
        assert words in said
    kernel.execute("%%runagent --session trip\nhi").ok()
    assert kernel.value("_.text") == first != ""
    kernel.execute("%config RunAgentMagics.format = 'markdown'\n%runagent_config --reset").ok()


def test_underscore_is_the_last_reply_after_a_loop(kernel: Kernel) -> None:
    kernel.execute(AGENT).ok()
    for cell in (
        "for q in ('one', 'two'):\n    %runagent counts {{q}}",
        "for q in ('one', 'two'):\n    r = %runagent counts --quiet {{q}}",
        "def ask(q):\n    %runagent counts {{q}}\nask('one')\nask('two')",
        "x = %runagent counts two",
        "%runagent counts two\nx = 1",
    ):
        kernel.execute("0").ok()
        kernel.execute(cell).ok()
        assert kernel.value("_.text").startswith("**two**"), cell
    kernel.execute("'before'").ok()
    kernel.execute("%runagent counts two").ok()
    assert kernel.value("[_.text[:7], __]") == ["**two**", "before"]
