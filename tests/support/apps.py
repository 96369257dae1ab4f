"""Runs programs that have a web page, as the examples do, until their server answers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from support.clock import PATIENCE, TICK
from support.faults import FaultServer
from support.ports import free_port
from support.programs import end

EXAMPLES = Path(__file__).parents[2] / "examples"


@contextmanager
def running(directory: Path, *arguments: str, **variables: str) -> Iterator[str]:
    """Run a module of Python that serves a page, until the `with` block ends.

    Args:
        directory: The home and the working directory of the program.
        *arguments: The module and its arguments; `{port}` stands for the port.
        **variables: Environment variables; `{port}` stands for the port there, too.

    Yields:
        The address of its page.
    """
    port = str(free_port())
    given = [argument.replace("{port}", port) for argument in arguments]
    more = {name: value.replace("{port}", port) for name, value in variables.items()}
    with (directory / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *given],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env={**os.environ, **_quiet(directory), **more},
        )
        try:
            _wait_for(int(port), process, directory / "output.txt")
            yield f"http://127.0.0.1:{port}"
        finally:
            end(process)


def agent_at(server: FaultServer) -> dict[str, str]:
    """Return the environment in which the examples call this server."""
    return {"AGENT": "a", "RUNAGENT_API_URL": server.url, "RUNAGENT_TIMEOUT": str(PATIENCE)}


def _quiet(directory: Path) -> Mapping[str, str]:
    """Return the settings with which frameworks ask nobody on the internet."""
    return {
        "HOME": str(directory),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
        "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
        "BOKEH_RESOURCES": "server",
    }


def _wait_for(port: int, process: subprocess.Popen[bytes], output: Path) -> None:
    ends = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < ends:
        try:
            with socket.create_connection(("127.0.0.1", port)) as probe:
                # Where nobody listens yet, a socket that was given this very port meets itself.
                if probe.getsockname() != probe.getpeername():
                    return
        except OSError:
            pass
        time.sleep(TICK)
    raise RuntimeError(f"No server on port {port}: {output.read_text(errors='replace')}")
