"""A real `runagent serve` of the upstream package, on a free loopback port."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from support.clock import PATIENCE, TICK
from support.isolation import isolated_environment
from support.ports import free_port
from support.upstream import upstream_python

AGENT_ID = "3f0c9a52-7a56-4a53-9d8f-0d4f7f9f2b11"

_SOURCE = Path(__file__).with_name("upstream_agent.py")


@dataclass(frozen=True)
class UpstreamServer:
    """A server that runs.

    Attributes:
        url: Its base URL.
        process: Its process.
    """

    url: str
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """Kill it, and close all its connections with it."""
        self.process.kill()
        self.process.wait()


def tags() -> list[str]:
    """Return the names of the entrypoints of the agent."""
    return re.findall(r"^(?:async )?def (\w+)", _SOURCE.read_text(), re.MULTILINE)


@contextmanager
def upstream_server(root: Path) -> Iterator[UpstreamServer]:
    """Serve the agent, with `root` as the place for everything the server writes."""
    program = str(upstream_python().with_name("runagent"))
    agent = root / "agent"
    agent.mkdir(parents=True)
    shutil.copy(_SOURCE, agent / "agent.py")
    (agent / "runagent.config.json").write_text(json.dumps(_config()))
    environment = isolated_environment(root)
    environment["RUNAGENT_CACHE_DIR"] = str(root / "home" / ".runagent")
    subprocess.run(
        [program, "config", "--register-agent", str(agent)],
        env=environment,
        cwd=root,
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    port = free_port()
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", "--no-animation", "--port", str(port), str(agent)],
            env=environment,
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    server = UpstreamServer(f"http://127.0.0.1:{port}", process)
    try:
        _wait_for(server, root / "log")
        yield server
    finally:
        server.stop()


def _config() -> dict[str, object]:
    return {
        "agent_name": "tests",
        "description": "every kind of answer",
        "framework": "default",
        "template": "default",
        "version": "1.0.0",
        "created_at": "2026-01-01T00:00:00",
        "template_source": {"repo_url": "none", "path": "none", "author": "none"},
        "agent_architecture": {
            "entrypoints": [{"file": "agent.py", "module": tag, "tag": tag} for tag in tags()]
        },
        "env_vars": {},
        "agent_id": AGENT_ID,
    }


def _wait_for(server: UpstreamServer, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.process.poll() is None:
        with suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            with urllib.request.urlopen(f"{server.url}/api/v1/health", timeout=PATIENCE) as answer:
                assert json.load(answer)["agent_id"] == AGENT_ID
            return
        time.sleep(TICK)
    raise RuntimeError(f"upstream's server did not start:\n{log.read_text(errors='replace')}")
