"""Ends programs that tests have started."""

from __future__ import annotations

import subprocess

from support.clock import PATIENCE


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a program to end, and kill it if it does not.

    A server of Jupyter's at times waits at its end for a thread that waits for it.
    """
    process.terminate()
    try:
        process.wait(PATIENCE / 60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
