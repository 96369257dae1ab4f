"""The magic's settings, its key, its help, completion and cache, in real kernels."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
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
    shared_kernel.execute("%reload_ext runagent_jupyter").ok()
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
        ("--base-url nowhere", ["from --base-url, 'nowhere'", "https://"]),
        ("--format pdf", ["pdf", "%runagent_config?"]),
        ("--reset --timeout soon", ["'soon'"]),
        ("--nope", ["--nope"]),
        ("--agent 'demo", ["quotation"]),
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

    nowhere = "--base-url http://127.0.0.1:9 --timeout 0.2"
    assert "comes from --base-url." in said(f"%%runagent x {nowhere}")
    assert "--timeout '1s' is not" in said("%%runagent x --timeout 1s")
    kernel.execute("import os; os.environ['RUNAGENT_API_KEY'] = 'k'")
    assert "set RUNAGENT_ALLOW_HTTP=1" in said("%%runagent x --base-url http://a.invalid")
    kernel.execute("del os.environ['RUNAGENT_API_KEY']").ok()
    kernel.execute(f"%runagent_config {nowhere}").ok()
    assert "comes from %runagent_config." in said("%%runagent x")


def test_a_missing_key_is_asked_for_and_stays_out_of_the_notebook(kernel: Kernel) -> None:
    # Not loopback by its name, so it wants a key; but it is nowhere, so it gets none.
    where = "%%runagent agent-1 --base-url https://agents.invalid --timeout 5"
    cell = kernel.execute(f"{where}\nhi", stdin=["planted-key-1"])
    assert cell.prompts == ["API key for https://agents.invalid: "]
    assert "NetworkError" in "".join((cell.error or {})["traceback"])
    assert kernel.execute(f"{where}\nhi").prompts == []
    kernel.execute("%tb\n%runagent_config\n%history\nprint(vars())")
    sent = json.dumps([message.content for message in kernel.messages])
    assert "planted-key-1" not in sent
    # No other server gets it.
    other = kernel.execute("%%runagent agent-1 --base-url https://other.invalid\nhi", stdin=[""])
    assert other.prompts == ["API key for https://other.invalid: "]
    assert "MISSING_API_KEY" in "".join((other.error or {})["traceback"])


def test_the_key_that_was_entered_is_sent(kernel: Kernel) -> None:
    with serve({"locked": lambda: "open"}, api_key="planted-key-2") as server:
        kernel.execute(f"%runagent_config --base-url {server.url} --key", stdin=["wrong"]).ok()
        cell = kernel.execute("%%runagent locked --set a=1 --no-stream\n{}")
        said = "".join((cell.error or {})["traceback"])
        assert "AuthenticationError" in said
        assert "The key comes from the prompt of this notebook" in said
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


def test_a_broken_cache_is_named(kernel: Kernel) -> None:
    kernel.execute(AGENT + "open('broken', 'w').write('not a database' * 99)").ok()
    kernel.execute("%config RunAgentMagics.cache_path = 'broken'").ok()
    cell = kernel.execute("%%runagent counts --cache\nwhy")
    text = "".join((cell.error or {})["traceback"])
    assert "broken" in text
    assert "--clear-cache" in text
