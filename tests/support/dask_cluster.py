"""A scheduler of Dask and its workers, started by their commands as on machines of their own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.clock import PATIENCE, until
from support.isolation import isolated_environment

NO_PACKAGE = "import sys; sys.modules['runagent'] = None"
"""Makes a worker that loads it first find no package of this name."""


class Commands:
    """The processes of one cluster.

    Attributes:
        address: The address of the scheduler, empty before `wait_for_address`.
        scheduler: Its process.
    """

    def __init__(self, root: Path) -> None:
        """Start a scheduler, with everything below `root`."""
        self._root = root
        self._file = root / "scheduler.json"
        self._processes: list[subprocess.Popen[bytes]] = []
        options = ["--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"]
        self.scheduler = self._start("scheduler", *options)
        self.address = ""

    def wait_for_address(self) -> None:
        """Wait until the scheduler has written its address."""

        def found() -> str:
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):  # it is not whole
                self.address = json.loads(self._file.read_text())["address"]
            return self.address

        until(found)

    def worker(self, name: str, *, key: str = "", in_file: str = "", preload: str = "") -> None:
        """Start a worker, with an API key in its environment or in its home, or without one."""
        options = ["--name", name, "--nthreads", "2", "--no-nanny", "--no-dashboard"]
        options += ["--preload", preload] if preload else []
        home = self._root / name / "home" / ".runagent"
        if in_file:
            home.mkdir(parents=True)
            (home / "config.json").write_text(json.dumps({"api_key": in_file}))
            (home / "config.json").chmod(0o600)
        self._start("worker", *options, name=name, variables={"RUNAGENT_API_KEY": key})

    def _start(
        self, kind: str, *options: str, name: str = "", variables: Any = None
    ) -> subprocess.Popen[bytes]:
        place = self._root / (name or kind)
        place.mkdir(exist_ok=True)
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}"]
        with (place / "log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--scheduler-file", str(self._file), *options],
                cwd=place,
                env={**isolated_environment(place), **(variables or {})},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)
        return process

    def logs(self) -> str:
        """Return everything that the processes wrote."""
        return "\n".join(path.read_text("utf-8", "replace") for path in self._root.glob("*/log"))

    def end(self) -> None:
        """End all processes."""
        for process in self._processes:
            process.kill()
            process.wait(PATIENCE)


@contextlib.contextmanager
def commands(root: Path) -> Iterator[Commands]:
    """Start a scheduler; end it and its workers at the end."""
    cluster = Commands(root)
    try:
        cluster.wait_for_address()
        yield cluster
    finally:
        cluster.end()


def kill(pid: int) -> None:
    """End a process as the kernel does when memory runs out."""
    os.kill(pid, signal.SIGKILL)
