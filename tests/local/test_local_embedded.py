"""Agents of the process itself: the decorator, the registry, the one server, and its end."""

from __future__ import annotations

import os
import subprocess
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.clock import PATIENCE
from support.kernel import running_kernel
from support.scripts import run_script

from runagent import RunAgentClient, registry
from runagent.local import agent, demo_endpoint, embedded


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[embedded._Process]:
    """A fresh state, as in a process where nothing was decorated."""
    fresh = embedded._Process()
    monkeypatch.setattr(embedded, "_process", fresh)
    before = registry.agent_ids()
    yield fresh
    for agent_id in set(registry.agent_ids()) - set(before):
        registry.unregister(agent_id)
    if fresh._running:
        fresh._running[0].close()


def ask(agent_id: str, **input_data: Any) -> Any:
    endpoint = registry.lookup(agent_id)
    assert endpoint is not None
    answer = httpx2.post(
        f"{endpoint.base_url}/v1/agents/{agent_id}/invoke",
        json=input_data,
        headers={"Authorization": f"Bearer {endpoint.api_key}"},
        trust_env=False,
        timeout=PATIENCE,
    )
    return answer.json().get("result", answer.json())


def test_a_decorated_function_is_found_and_stays_a_function() -> None:
    @agent("my-agent")
    def greet(name: str) -> str:
        return f"Hello {name}"

    assert greet("you") == "Hello you"
    assert greet.__name__ == "greet"
    assert ask("my-agent", name="me") == "Hello me"


def test_without_an_id_it_is_the_functions_name() -> None:
    @agent
    def my_agent(name: str) -> str:
        return name

    assert my_agent("x") == "x"
    assert ask("my_agent", name="y") == "y"


def test_running_a_cell_again_replaces_the_function() -> None:
    def cell(version: int) -> None:
        @agent("a")
        def answer() -> int:
            return version

    cell(1)
    assert ask("a") == 1
    endpoint = registry.lookup("a")
    cell(2)
    assert ask("a") == 2
    assert registry.lookup("a") == endpoint


def test_one_server_starts_with_the_first_look(process: embedded._Process) -> None:
    agent("a")(lambda: 1)
    agent("b")(lambda: 2)
    assert process._running is None
    looked: list[registry.Endpoint | None] = []

    def look(agent_id: str) -> None:
        looked.append(registry.lookup(agent_id))

    threads = [threading.Thread(target=look, args=(agent_id,)) for agent_id in "abababab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(looked) == 8
    assert len(set(looked)) == 1
    assert [ask("a"), ask("b")] == [1, 2]
    agent("c")(lambda: 3)
    assert ask("c") == 3


def test_it_asks_for_a_key_that_only_this_process_knows() -> None:
    agent("a")(lambda: 1)
    endpoint = registry.lookup("a")
    assert endpoint is not None
    assert endpoint.api_key is not None
    assert len(endpoint.api_key) >= 43  # 32 random bytes
    assert endpoint.base_url.startswith("http://127.0.0.1:")
    arguments = RunAgentClient("a").resolved_arguments()
    assert arguments["api_key"] == endpoint.api_key
    assert endpoint.api_key not in repr((endpoint, arguments))
    url = f"{endpoint.base_url}/v1/agents/a/invoke"
    assert httpx2.post(url, json={}, trust_env=False).status_code == 401


@pytest.mark.parametrize("thing", [int, 3, lambda x, /: x])
def test_what_cannot_be_served_is_refused_when_decorated(
    thing: Any, process: embedded._Process
) -> None:
    with pytest.raises((TypeError, ValueError), match="'a' cannot be served"):
        agent("a")(thing)
    with pytest.raises((TypeError, ValueError)):
        agent(thing)
    assert process.agents == {}
    assert registry.lookup("a") is None


def test_the_demo_agent_is_there_from_the_start() -> None:
    assert "demo" in registry.agent_ids()
    assert registry.lookup("demo") == demo_endpoint()
    tour = ask("demo", query="What is this?", delay=0)
    assert "What is this?" in tour


def test_ones_own_demo_replaces_the_built_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_endpoints", dict(registry._endpoints))
    agent("demo")(lambda: "mine")
    assert ask("demo") == "mine"


Run = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(code: str) -> subprocess.CompletedProcess[str]:
        return run_script(HELPER + textwrap.dedent(code), tmp_path)

    return run


HELPER = """
import os, sys, time, warnings
import httpx2
from runagent import registry
from runagent.local import agent

def ask(agent_id, call="invoke"):
    endpoint = registry.lookup(agent_id)
    return httpx2.post(
        f"{endpoint.base_url}/v1/agents/{agent_id}/{call}", json={}, trust_env=False, timeout=None,
        headers={"Authorization": f"Bearer {endpoint.api_key}"},
    ).json()["result"]
"""


def test_the_process_ends_by_itself_and_quietly(run: Run) -> None:
    done = run("""
        agent("a")(lambda: 1)
        print(ask("a"))
    """)
    assert (done.stdout, done.stderr, done.returncode) == ("1\n", "", 0)


def test_the_process_ends_while_an_agent_works(run: Run) -> None:
    done = run("""
        import threading
        begun = threading.Event()

        @agent("a")
        def works():
            begun.set()
            time.sleep(36_000)

        def call():
            try:
                ask("a")
            except (KeyError, httpx2.TransportError):
                pass

        threading.Thread(target=call, daemon=True).start()
        begun.wait()
        print("end")
    """)
    assert (done.stdout, done.stderr, done.returncode) == ("end\n", "", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_serves_by_itself(run: Run) -> None:
    done = run("""
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
        agent("pid")(os.getpid)
        assert ask("pid") == os.getpid()
        parent = registry.lookup("pid")
        child = os.fork()
        if child == 0:
            assert ask("pid") == os.getpid()
            assert registry.lookup("pid").base_url != parent.base_url
            assert registry.lookup("pid").api_key != parent.api_key
            sys.exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert ask("pid") == os.getpid()
        assert registry.lookup("pid") == parent
        print("end")
    """)
    assert (done.stdout, done.stderr, done.returncode) == ("end\n", "", 0)


def test_it_works_under_nested_event_loops(run: Run) -> None:
    pytest.importorskip("nest_asyncio2")
    done = run("""
        import asyncio
        import nest_asyncio2

        async def agents_loop():
            await asyncio.sleep(0)
            return "async"

        agent("before")(agents_loop)

        async def main():
            nest_asyncio2.apply()
            agent("after")(agents_loop)
            print(ask("before"), ask("after"), asyncio.run(agents_loop()))

        asyncio.run(main())
    """)
    assert done.stdout == "async async async\n", done.stderr
    assert done.returncode == 0


def test_in_a_kernel_it_lives_and_ends_with_it(tmp_path: Path) -> None:
    answer = """
import runagent
from runagent.local import agent

@agent("a")
def answer(query):
    yield from query.{method}().split()

print(list(runagent.RunAgentClient("a").run_generic_stream({{"query": "Hi You"}})))
"""
    working = """
import threading, time
begun = threading.Event()

@agent
def works():
    begun.set()
    time.sleep(36_000)

def call():
    runagent.RunAgentClient("works", timeout=600).run_generic({})

threading.Thread(target=call, daemon=True).start()
print(begun.wait())
"""
    with running_kernel(tmp_path) as kernel:
        assert kernel.execute(answer.format(method="upper")).ok().stdout == "['HI', 'YOU']\n"
        assert kernel.execute(answer.format(method="lower")).ok().stdout == "['hi', 'you']\n"
        assert kernel.execute(working).ok().stdout == "True\n"
        kernel.shutdown(timeout=PATIENCE)


def test_without_the_server_packages_the_error_says_what_to_install(run: Run) -> None:
    done = run("""
        for name in [n for n in sys.modules if n.startswith(("runagent", "starlette", "uvicorn"))]:
            del sys.modules[name]
        sys.modules["uvicorn"] = None
        try:
            import runagent.local
        except ImportError as exc:
            print(exc)
    """)
    assert done.stdout == 'Serving agents needs uvicorn: pip install "runagent[local]"\n', (
        done.stderr
    )
