"""Signals that come while a signal is being handled, in a storm from another process."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.scripts import run_script

STORM = """
import os, signal, subprocess, sys
from runagent.latch import Latch

current = Latch()
calls = 0

def handle(*_):
    global calls
    calls += 1
    current.set()

signal.signal(signal.SIGUSR1, handle)
sending = f"import os, signal\\nwhile True: os.kill({os.getpid()}, signal.SIGUSR1)"
with subprocess.Popen([sys.executable, "-c", sending]) as storm:
    try:
        while not calls:
            pass
        for _ in range(20_000):
            current = latch = Latch()
            WORK
    finally:
        storm.kill()
print("done")
"""


@pytest.mark.parametrize(
    "work",
    [
        "latch.set(); assert latch.wait(0)",
        "latch.wait(0.00001)",
        "assert latch.wait(36_000)",
    ],
)
def test_a_handler_may_set_what_the_thread_sets_or_waits_for(work: str, tmp_path: Path) -> None:
    done = run_script(STORM.replace("WORK", work), tmp_path)
    assert done.stdout == "done\n", done.stderr


def test_a_finalizer_may_give_back_the_connection_that_its_thread_waits_for(
    tmp_path: Path,
) -> None:
    done = run_script(
        """
        import signal
        from runagent.connections import _ProcessConnections
        from runagent.interrupt import BlockingIO

        # Between two bytecodes, as the garbage collector comes too.
        connections = _ProcessConnections(None, 1)
        leased = False

        def give_back(*_):
            global leased
            if leased:
                leased = False
                connections.release()

        signal.signal(signal.SIGALRM, give_back)
        for pause in range(1, 400):
            connections.lease(BlockingIO(), 36_000)
            leased = True
            # A signal just before the wait is handled when the next one comes.
            signal.setitimer(signal.ITIMER_REAL, pause * 1e-6, 1e-3)
            connections.lease(BlockingIO(), 36_000)
            connections.release()
        print("done")
        """,
        tmp_path,
    )
    assert done.stdout == "done\n", done.stderr
