"""Starts kernels as forks of one process that has imported what every kernel imports at its start.

These imports are most of the CPU time of a new kernel, and the tests start some hundred. A fork goes on as
`python -m ipykernel_launcher` does, in a session, a working directory and an environment of its own. The process that is
forked runs this file as a script: it imports nothing of the tests, and nothing of what is tested.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# What ipykernel has imported before the first cell, in every version that the tests run with.
_PRELOADED = (
    *("ipykernel.kernelapp", "ipykernel.debugger", "tornado.platform.asyncio", "tornado.queues"),
    *("IPython.core.completerlib", "IPython.core.oinspect", "IPython.extensions.storemagic"),
    "sqlite3",
)


def start_kernel(
    arguments: Sequence[str], *, environment: dict[str, str], cwd: Path, log: Path, fresh: bool
) -> int:
    """Start a kernel, and return the id of its process.

    Args:
        arguments: The arguments for ipykernel.
        environment: All environment variables of the kernel.
        cwd: Its working directory.
        log: The file to which its stdout and stderr are appended.
        fresh: Whether to start a new Python, which reads variables such as `PYTHONPATH` itself.
    """
    nursery = _nursery()
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    order = {
        "arguments": list(arguments),
        "environment": environment,
        "cwd": str(cwd),
        "log": str(log),
        "fresh": fresh or sys.platform != "linux",  # not every library of macOS survives a fork
    }
    print(json.dumps(order), file=nursery.stdin, flush=True)
    answer = nursery.stdout.readline()
    assert answer, "the process that kernels are forks of has died"
    return int(answer)


@functools.cache
def _nursery() -> subprocess.Popen[str]:
    """Return the process that kernels are forks of; it ends with this one, and they with it."""
    nursery = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYDEVD_DISABLE_FILE_VALIDATION": "1"},  # or it prints a warning
        start_new_session=True,
    )
    atexit.register(nursery.communicate)
    return nursery


def _fork_for_each_order() -> dict[str, Any] | None:
    """Return the order in each fork, and `None` in this process when no more can come."""
    signal.signal(signal.SIGCHLD, _reap)
    for line in sys.stdin:
        if os.fork() == 0:
            order: dict[str, Any] = json.loads(line)
            return order
    return None


def _reap(*_: object) -> None:
    """Take note of the kernels that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _become_kernel(order: dict[str, Any], set_by_imports: dict[str, str]) -> None:
    """Go on as the kernel that was ordered, until it ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    print(os.getpid(), flush=True)  # now signals for its process group reach nothing else
    os.chdir(order["cwd"])
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for file, standard in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(file, standard)
    os.close(nothing)
    os.close(log)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.environ.update(set_by_imports)
    if order["fresh"]:
        os.execv(sys.executable, [sys.executable, "-m", "ipykernel_launcher", *order["arguments"]])
    sys.argv[1:] = order["arguments"]
    runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)


def main() -> None:
    """Fork kernels; return in each fork when its kernel has ended, else when standard input ends."""
    del sys.path[0]  # the directory of this file
    before = set(os.environ)
    os.environ["JPY_PARENT_PID"] = str(os.getpid())  # which ipykernel reads when it is imported
    for name in _PRELOADED:
        if find_spec(name):
            import_module(name)
    set_by_imports = {name: os.environ[name] for name in os.environ.keys() - before}
    gc.collect()
    gc.freeze()  # no collection in a fork copies the pages of what is imported
    if order := _fork_for_each_order():
        _become_kernel(order, set_by_imports)


if __name__ == "__main__":
    main()
