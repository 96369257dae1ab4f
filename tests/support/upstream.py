"""The upstream package of the same name, in a virtual environment of its own."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

VERSION = "0.1.49"
DIRECTORY = Path(__file__).resolve().parents[2] / ".cache" / f"upstream-{VERSION}"


def upstream_python() -> Path:
    """Return the Python whose `runagent` is upstream's, installing it the first time.

    Raises:
        RuntimeError: It could not be installed; the message holds the installer's output.
    """
    python = DIRECTORY / "bin" / "python"
    finished = DIRECTORY / "installed"
    DIRECTORY.parent.mkdir(exist_ok=True)
    with DIRECTORY.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            uv = (sys.executable, "-m", "uv")
            _run(*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(DIRECTORY))
            _run(*uv, "pip", "install", "--quiet", "--python", str(python), f"runagent=={VERSION}")
            finished.touch()
    return python


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
