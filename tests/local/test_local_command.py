"""`python -m runagent.local`, as a user runs it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from support.clock import PATIENCE

from runagent import RunAgentClient, RunAgentError, StreamError

AGENTS = """
    from runagent.local import agent

    @agent("greeter")
    def greet(name: str) -> str:
        print("greeting", name, flush=True)
        return f"Hello {name}"

    @agent
    async def counter(n: int):
        for i in range(n):
            yield str(i)

    def helper(): ...
"""

PLAIN = """
    import functools
    from os.path import join
    from pathlib import Path

    class Tool:
        def use(self, x): return x

    def double(x):
        return 2 * x

    async def triple(x):
        return 3 * x

    @functools.lru_cache
    def cached(x):
        return x

    tool = Tool()
    _secret = lambda: 1
    def _private(): ...
"""

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, code: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(code))
        return path

    return write


class Command:
    """The command, running in a directory of its own."""

    def __init__(self, directory: Path, *args: str, **env: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "runagent.local", *args],
            cwd=directory,
            env={**os.environ, "HOME": str(directory), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def announced(self) -> str:
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith("Stop with"):
                break
        return "".join(lines)

    def end(self, with_signal: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(with_signal)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err

    def refused(self) -> str:
        out, err = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 2, err
        assert out == ""
        return err


Start = Callable[..., Command]


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Start]:
    started: list[Command] = []

    def start(*args: str, **env: str) -> Command:
        started.append(Command(tmp_path, *args, **env))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


def url_in(text: str) -> str:
    found = re.search(r"Serving on (http://\S+)", text)
    assert found, text
    return found[1]


def ask(url: str, agent_id: str, key: str | None = None, **input_data: object) -> object:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = httpx2.post(
        f"{url}/v1/agents/{agent_id}/invoke", json=input_data, headers=headers, trust_env=False
    )
    return answer.json().get("result", answer.status_code)


def test_it_serves_the_decorated_functions_of_a_file(write: Write, command: Start) -> None:
    write("my_agents.py", AGENTS)
    running = command("my_agents.py", "--port", "0")
    text = running.announced()
    url = url_in(text)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
    assert "  greeter(name: 'str') -> 'str'\n" in text or "  greeter(name: str) -> str\n" in text
    assert "  counter(n: int)\n" in text
    assert "helper" not in text
    assert f"RunAgentClient('greeter', base_url='{url}')" in text
    assert ask(url, "greeter", name="you") == "Hello you"
    assert ask(url, "counter", n=3) == "012"
    assert ask(url, "helper") == 404
    code, out, err = running.end()
    assert (code, out, err) == (0, "greeting you\n\nStopped.\n", "")


def test_ctrl_c_ends_it(write: Write, command: Start) -> None:
    write("my_agents.py", AGENTS)
    running = command("my_agents.py", "--port", "0")
    running.announced()
    assert running.end(signal.SIGINT) == (0, "\nStopped.\n", "")


def test_it_serves_the_public_functions_where_none_is_decorated(
    write: Write, command: Start
) -> None:
    write("plain.py", PLAIN)
    running = command("plain.py", "--port", "0")
    text = running.announced()
    assert re.findall(r"^  (\w+)\(", text, re.MULTILINE) == ["double", "triple", "cached"]
    assert ask(url_in(text), "triple", x=2) == 6


def test_one_function_of_a_module(write: Write, command: Start) -> None:
    write("package/__init__.py", "")
    write("package/module.py", PLAIN)
    running = command("package.module:tool.use", "--port", "0", "--agent-id", "agent-123")
    text = running.announced()
    assert "  agent-123(x)\n" in text
    assert ask(url_in(text), "agent-123", x="y") == "y"


def test_a_decorated_function_keeps_its_id(write: Write, command: Start) -> None:
    write("my_agents.py", AGENTS)
    text = command("my_agents.py:greet", "--port", "0").announced()
    assert re.findall(r"^  (\S+)\(", text, re.MULTILINE) == ["greeter"]


def test_a_file_finds_its_neighbours_and_may_be_called_like_a_module(
    write: Write, command: Start
) -> None:
    write("sub/neighbour.py", "def say(): return 'hello'")
    write(
        "sub/json.py",
        """
        import pickle
        from dataclasses import dataclass
        from neighbour import say

        @dataclass
        class Point:
            x: int

        def speak():
            return say(), pickle.loads(pickle.dumps(Point(1)))
        """,
    )
    text = command("sub/json.py", "--port", "0").announced()
    assert ask(url_in(text), "speak") == ["hello", {"x": 1}]


def test_without_a_target_it_serves_the_demo(command: Start) -> None:
    text = command("--port", "0").announced()
    assert "Markdown" in str(ask(url_in(text), "demo", delay=0))


def test_a_key_from_the_environment_is_needed_and_not_shown(write: Write, command: Start) -> None:
    write("plain.py", PLAIN)
    running = command("plain.py", "--port", "0", RUNAGENT_LOCAL_API_KEY="sesame")
    text = running.announced()
    assert "sesame" not in text
    assert 'api_key=os.environ["RUNAGENT_LOCAL_API_KEY"]' in text
    url = url_in(text)
    assert ask(url, "double", x=1) == 401
    assert ask(url, "double", "sesame", x=1) == 2


def test_a_key_from_the_command_line(write: Write, command: Start) -> None:
    write("plain.py", PLAIN)
    url = url_in(command("plain.py", "--port", "0", "--api-key", "sesame").announced())
    assert ask(url, "double", x=1) == 401
    assert ask(url, "double", "sesame", x=1) == 2


def test_what_an_agent_raised_is_shown_with_the_users_frames(write: Write, command: Start) -> None:
    write("bad.py", "def bad():\n    raise ValueError('boom')\n")
    running = command("bad.py", "--port", "0")
    assert ask(url_in(running.announced()), "bad") == 500
    _, _, err = running.end()
    assert "Agent 'bad' failed" in err
    assert 'bad.py", line 2, in bad' in err
    assert err.rstrip().endswith("ValueError: boom")
    assert "execution.py" not in err


def test_who_asks_an_agent_that_fails_elsewhere_learns_where_its_traceback_is(
    write: Write, command: Start
) -> None:
    write("bad.py", "def bad():\n    raise ValueError('boom')\n")
    url = url_in(command("bad.py", "--port", "0").announced())
    with RunAgentClient("bad", base_url=url, max_retries=0) as client:
        with pytest.raises(RunAgentError, match="ValueError: boom") as failed:
            client.run_generic({})
        assert "log of its server has the traceback" in str(failed.value.hint)
        with pytest.raises(StreamError, match="log of its server has the traceback"):
            list(client.run_generic_stream({}))


def test_listening_to_the_network_without_a_key_is_said(write: Write, command: Start) -> None:
    write("plain.py", PLAIN)
    running = command("plain.py", "--port", "0", "--host", "0.0.0.0")
    running.announced()
    _, _, err = running.end()
    assert err.startswith("Warning: anybody who reaches 0.0.0.0 can call these agents.")


@pytest.mark.parametrize(
    "options",
    [
        ["--port", "99999"],
        ["--port", "0", "--host", "256.0.0.1"],
        ["--port", "0", "--api-key", "ü"],
    ],
    ids=lambda options: options[-2],
)
def test_an_address_that_cannot_be_served_is_found_before_the_file_runs(
    options: list[str], write: Write, command: Start, tmp_path: Path
) -> None:
    write("plain.py", f"open('ran', 'w').close()\n{textwrap.dedent(PLAIN)}")
    command("plain.py", *options).refused()
    assert not (tmp_path / "ran").exists()


def test_a_port_in_use_is_found_before_the_file_runs(
    write: Write, command: Start, tmp_path: Path
) -> None:
    write("plain.py", f"open('ran', 'w').close()\n{textwrap.dedent(PLAIN)}")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command("plain.py", "--port", str(taken.getsockname()[1])).refused()
    assert not (tmp_path / "ran").exists()


def test_a_port_in_use(write: Write, command: Start) -> None:
    write("plain.py", PLAIN)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        err = command("plain.py", "--port", str(port)).refused()
    assert err == (
        f"runagent.local: Cannot listen on 127.0.0.1:{port}: Address already in use. "
        "Choose another port with --port, or 0 for a free one.\n"
    )


REFUSED = [
    (["missing.py"], "There is no file missing.py."),
    (["missing.module"], "There is no module 'missing'."),
    (["sub.plan"], "There is no module 'sub.plan'."),
    (["my agents"], "'my agents' is neither a Python file nor the name of a module."),
    (["notes.ipynb"], "notes.ipynb is not a Python file."),
    (["plain.py:nothing"], "plain has no 'nothing'; it has double, triple, cached."),
    (["plain.py:tool.nothing"], "plain has no 'tool.nothing'"),
    (["empty.py"], "empty.py has no agents: decorate a function"),
    (["plain.py:Tool"], "Agent 'Tool' cannot be served: Tool is a class"),
    (["plain.py:tool"], "Agent 'tool' cannot be served: Tool cannot be called."),
    (["plain.py", "--agent-id", "x"], "--agent-id is for one function, but plain.py has 3"),
    (["plain.py:double", "--agent-id", " "], "agent_id=' ' is empty"),
    (["plain.py", "--port", "99999"], "port is 99999"),
    (["plain.py", "--api-key", ""], "api_key has to be"),
    (["plain.py", "--host", "256.0.0.1"], "Cannot listen on 256.0.0.1:8460"),
    (["positional.py"], "its parameter 'x' is positional-only"),
]


def test_what_cannot_be_served_is_one_clear_line(write: Write, command: Start) -> None:
    write("plain.py", PLAIN)
    write("sub/plain.py", PLAIN)
    write("empty.py", "x = 1\n")
    write("notes.ipynb", "{}")
    write("positional.py", "def f(x, /): ...\n")
    started = [command(*args) for args, _ in REFUSED]
    for one, (args, words) in zip(started, REFUSED, strict=True):
        err = one.refused()
        assert err.startswith("runagent.local: "), args
        assert words in err
        assert err.count("\n") == 1, err


BROKEN = [
    (
        "def f():\n    return 1 / 0\nf()\n",
        ["line 3, in <module>", "line 2, in f"],
        "ZeroDivisionError: division by zero",
    ),
    (
        "import surely_missing\n",
        ["line 1, in <module>"],
        "ModuleNotFoundError: No module named 'surely_missing'",
    ),
    ("x = (\n", ["line 1"], "SyntaxError: '(' was never closed"),
    ("import sys\nsys.exit('no')\n", ["line 2"], "SystemExit: no"),
]


def test_an_error_in_the_users_file_is_shown_from_there(write: Write, command: Start) -> None:
    for i, (code, _, _) in enumerate(BROKEN):
        write(f"broken{i}.py", code)
    targets = [f"broken{i}{suffix}" for i in range(len(BROKEN)) for suffix in (".py", "")]
    started = [command(target) for target in targets]
    for i, (one, target) in enumerate(zip(started, targets, strict=True)):
        _, frames, last = BROKEN[i // 2]
        err = one.refused()
        first, *lines = err.splitlines()
        assert first == f"runagent.local: {target} cannot be imported:"
        assert lines[-1] == last
        for frame in frames:
            assert any("broken" in line and frame in line for line in lines), err
        assert "importlib" not in err
        assert "loading.py" not in err
