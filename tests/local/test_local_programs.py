"""Programs that serve agents: how they end, and what they leave to forked processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from support.clock import PATIENCE
from support.ports import free_port
from support.scripts import run_script


def test_a_program_that_ends_says_so_to_its_clients(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import asyncio\n"
        "from runagent.local import serve\n"
        "async def agent():\n"
        "    yield 'x'\n"
        "    await asyncio.sleep(36_000)\n"
        "print(serve(agent).url, flush=True)\n"
        "input()\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with (
            httpx2.Client(base_url=url, trust_env=False, timeout=PATIENCE) as http,
            http.stream("POST", "/v1/agents/agent/stream", json={}) as stream,
        ):
            lines = stream.iter_lines()
            assert "event: chunk" in lines
            process.communicate("\n", timeout=PATIENCE)
            assert "SERVER_SHUTDOWN" in "".join(lines)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def test_a_program_ends_while_agents_are_working(tmp_path: Path) -> None:
    done = run_script(
        """
        import asyncio, threading, time
        import httpx2
        from runagent.local import Server, serve

        def sync():
            while True:
                yield "x"
                time.sleep(0.01)

        def blocked():
            yield "x"
            time.sleep(36_000)

        async def asynchronous():
            yield "x"
            await asyncio.sleep(36_000)

        server = serve({"s": sync, "b": blocked, "a": asynchronous})
        clients = []
        for name in "sba":
            client = httpx2.Client(base_url=server.url, trust_env=False)
            answer = client.send(
                client.build_request("POST", f"/v1/agents/{name}/stream", json={}), stream=True
            )
            next(answer.iter_raw())
            clients.append((client, answer))
        for client, answer in clients[:1]:
            answer.close()
            client.close()
        print("end", flush=True)
        """,
        tmp_path,
    )
    assert done.stdout == "end\n"
    assert done.returncode == 0
    own = [line for line in done.stderr.splitlines() if "runagent" in line]
    assert own == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_does_not_keep_the_port(tmp_path: Path) -> None:
    done = run_script(
        """
        import os, warnings
        import httpx2
        from runagent.local import Server, serve

        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
        server = serve({"a": lambda: os.getpid()}, port=PORT)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(writing)
            os.read(reading, 1)  # until the parent has had its turn
            server.close()
            os._exit(0)
        os.close(reading)
        url = f"{server.url}/v1/agents/a/invoke"
        assert httpx2.post(url, json={}, trust_env=False).json()["result"] == os.getpid()
        server.close()
        serve({"a": lambda: 1}, port=PORT).close()
        os.close(writing)
        print(os.waitpid(child, 0)[1])
        """.replace("PORT", str(free_port())),
        tmp_path,
    )
    assert done.stdout == "0\n", done.stderr
    assert done.returncode == 0
