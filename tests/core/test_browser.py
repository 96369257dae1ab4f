"""In a browser's Python: Pyodide in node, and a real server on loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.clock import FOR_EVER, PATIENCE, TICK, TIMEOUT

from runagent.local import serve

ROOT = Path(__file__).resolve().parents[2]
PYODIDE = os.environ.get("RUNAGENT_TEST_PYODIDE", "")
"""The folder of npm's package `pyodide`; `nox -s pyodide` installs it."""

pytestmark = pytest.mark.skipif(
    not (PYODIDE and shutil.which("node")), reason="needs node, and npm's pyodide: nox -s pyodide"
)

PROGRAM = """
import asyncio, json
import runagent
from runagent import AsyncRunAgentClient, RunAgentClient, RunAgentError
from runagent.time_limits import move_on_after

found = {}

def client(agent, **options):
    return AsyncRunAgentClient(agent, **{"api_key": "key", "base_url": URL, **options})

async def failing(name, awaitable):
    try:
        await awaitable
    except RunAgentError as error:
        kind = type(error).__name__
        found[name] = [kind, error.code, error.message, error.hint or "", error.attempts]

async def is_cancelled_after(seconds):
    with move_on_after(seconds) as limit:
        await asyncio.sleep(4 * SECONDS)
    return limit.cancelled_caught

async def first(stream):
    return await anext(stream)

async def read(stream, chunks):
    async for chunk in stream:
        chunks.append(chunk)

echo, counts = client("echo"), client("counts")
found["answer"] = await echo.run_generic({"query": "für 5 €"})
found["gathered"] = [
    answer["result"]
    for answer in await asyncio.gather(*(echo.run_generic({"query": str(i)}) for i in range(5)))
]
found["whole"] = [chunk async for chunk in client("three").run_generic_stream({"query": ""})]
chunks = []
async for chunk in counts.run_generic_stream({"query": "left"}):
    chunks.append(chunk)
    if len(chunks) == 3:
        break
found["left"] = chunks
chunks = []
reading = asyncio.ensure_future(
    read(counts.run_generic_stream({"query": "cancelled"}), chunks)
)
while not chunks:
    await asyncio.sleep(PAUSE)
reading.cancel()
found["cancelled"] = isinstance(
    (await asyncio.gather(reading, return_exceptions=True))[0], asyncio.CancelledError
)
chunks = []
total = counts.run_generic_stream({"query": "total"}, total_timeout=SECONDS)
await failing("total", read(total, chunks))
found["before the end"] = chunks
chunks = []
await failing("broken", read(client("breaks").run_generic_stream({"query": ""}), chunks))
found["before the break"] = chunks
limits = (SECONDS * (1 + number / 1000) for number in range(2000))
found["cancelled too early"] = [await is_cancelled_after(s) for s in (3_000_000, 1e12)]
found["cancelled in time"] = await asyncio.gather(*map(is_cancelled_after, limits))
found["rows"] = [(row.id, row.output) async for row in echo.map([("r", {"query": "row"})])]
await failing("key", client("echo", api_key="wrong").run_generic({"query": ""}))
await failing("late", counts.run_generic({"query": "late"}, timeout=SECONDS))
await failing("silent", first(client("silent").run_generic_stream({"query": ""}, timeout=SECONDS)))
await failing("nowhere", client("echo", base_url="http://127.0.0.1:9").run_generic({}))
websocket = client("echo", protocol="server").run_generic_stream({"query": ""})
await failing("websocket", first(websocket))
try:
    RunAgentClient("echo", api_key="key", base_url=URL)
except RunAgentError as error:
    found["blocking"] = [error.code, error.message, error.hint]
await echo.aclose()
print(json.dumps(found))
"""

ended = {name: threading.Event() for name in ("left", "late", "cancelled", "total")}


def echo(query: str) -> str:
    return f"You said {query}"


def three(query: str) -> Iterator[str]:
    yield from ("one ", "two ", "three ✓")


async def counts(query: str) -> Any:
    import asyncio

    try:
        for number in range(int(FOR_EVER / TICK)):
            yield f"{number} "
            await asyncio.sleep(TICK)
    finally:
        ended[query].set()


def breaks(query: str) -> Iterator[str]:
    yield "one "
    raise RuntimeError("the model is overloaded")


async def silent(query: str) -> Any:
    import asyncio

    await asyncio.sleep(FOR_EVER)
    yield "late"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run the program in Pyodide, and return what it found."""
    program = tmp_path_factory.mktemp("browser") / "program.py"
    packages = Path(httpx2.__file__).parents[1]
    agents = {
        "echo": echo,
        "three": three,
        "counts": counts,
        "breaks": breaks,
        "silent": silent,
    }
    with serve(agents, api_key="key") as server:
        program.write_text(f"URL, SECONDS, PAUSE = {server.url!r}, {TIMEOUT}, {TICK}\n{PROGRAM}")
        script = Path(__file__).parents[1] / "support" / "pyodide.mjs"
        done = subprocess.run(
            ["node", script, PYODIDE, program, ROOT, packages],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        # Nobody reads on, so the agents are told; the end of the server would tell them too.
        assert done.returncode == 0, done.stderr
        told = {name: event.wait(PATIENCE) for name, event in ended.items()}
    assert "Warning" not in done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result | {"told": told}


def test_agents_answer_and_stream(found: dict[str, Any]) -> None:
    assert found["answer"] == {"result": "You said für 5 €"}
    assert found["gathered"] == [f"You said {number}" for number in range(5)]
    assert found["whole"] == ["one ", "two ", "three ✓"]
    assert found["rows"] == [["r", "You said row"]]


def test_leaving_a_stream_and_a_timeout_end_the_request(found: dict[str, Any]) -> None:
    assert found["cancelled"]
    assert found["total"][:2] == ["TimeoutError", "TIMEOUT"]
    assert found["before the end"][0] == "0 "
    assert found["left"] == ["0 ", "1 ", "2 "]
    assert found["late"][:2] == ["TimeoutError", "TIMEOUT"]
    assert found["told"] == dict.fromkeys(ended, True)
    assert found["silent"][0] == "TimeoutError"


def test_every_time_limit_is_kept(found: dict[str, Any]) -> None:
    # A browser's timers come early now and then, so one limit alone would seldom show a fault.
    assert found["cancelled in time"] == [True] * 2000
    assert found["cancelled too early"] == [False, False]


def test_failures_say_what_a_page_can_know(found: dict[str, Any]) -> None:
    assert found["key"][0] == "AuthenticationError"
    assert "the model is overloaded" in found["broken"][2]
    assert found["before the break"] == ["one "]
    kind, _, message, _, attempts = found["nowhere"]
    assert kind == "NetworkError"
    assert "does not allow calls from this page's origin" in message
    assert attempts in (None, 1)  # the agent may have run


def test_unsupported_calls_say_why(found: dict[str, Any]) -> None:
    code, message, hint = found["blocking"]
    assert code == "NOT_IN_BROWSER"
    assert "neither sockets nor threads" in message
    assert "AsyncRunAgentClient" in hint
    assert found["websocket"][1] == "NOT_IN_BROWSER"
    assert "WebSocket" in found["websocket"][2]
