"""Interrupts of a call or a chat: they come at any moment, also while one is being handled."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from support.kernel import Kernel

AGENT = """
%load_ext runagent_jupyter
import asyncio, pathlib, time
from runagent.local import agent

@agent("endless")
async def endless(query: str):
    yield "part 0"
    await asyncio.sleep(600)

def wait_for_calm(message):
    # The last display of the call; what comes after it interrupts IPython, not the magic.
    if "stopped after" in str(message["content"]):
        pathlib.Path("enough").touch()
        while not pathlib.Path("calm").exists():
            time.sleep(0.001)
    return message

get_ipython().display_pub.register_hook(wait_for_calm)
"""

STORM = """
import os, pathlib, random, signal, sys, time

pid, longest_pause = int(sys.argv[1]), float(sys.argv[2])
sent, deadline = 0, time.monotonic() + 60
while not os.path.exists("enough") and time.monotonic() < deadline:
    os.kill(pid, signal.SIGINT)
    sent += 1
    pause_end = time.perf_counter() + random.uniform(0, longest_pause)
    while time.perf_counter() < pause_end:
        pass
pathlib.Path("calm").touch()
print(sent)
"""


@contextmanager
def storm(kernel: Kernel, directory: Path, longest_pause: float) -> Iterator[subprocess.Popen[str]]:
    """Send SIGINT to the kernel from another process, until the call's last display."""
    arguments = [sys.executable, "-c", STORM, str(kernel.pid), str(longest_pause)]
    with subprocess.Popen(arguments, cwd=directory, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_storm_of_interrupts_ends_the_call_and_keeps_the_reply(
    start_kernel: Callable[..., Kernel], tmp_path: Path
) -> None:
    kernel = start_kernel(cwd=tmp_path)
    kernel.execute(AGENT).ok()
    for longest_pause in (0, 3e-6, 3e-5, 3e-4) * 3:
        cell = kernel.submit("%%runagent endless --out reply\nx")
        cell.wait_for_output("part 0")
        with storm(kernel, tmp_path, longest_pause) as sending:
            cell.wait()
            assert int(sending.communicate()[0]) > 0
        assert (cell.error or {})["ename"] == "KeyboardInterrupt"
        assert "stopped after" in str(cell.outputs)
        assert kernel.value("[reply.stopped, reply.text]") == [True, "part 0"]
        kernel.execute("del reply").ok()
        for name in ("enough", "calm"):
            (tmp_path / name).unlink()


CHAT = """
import random, signal, threading
from runagent_jupyter import AgentWidget

w, interrupted = AgentWidget("endless"), 0

# Bare locks: an interrupt may come while the main thread is in one of their methods.
asking, interrupted_once = threading.Lock(), threading.Lock()
asking.acquire()
interrupted_once.acquire()

def interrupt_often():
    for _ in range(100):
        asking.acquire()
        time.sleep(random.uniform(0, 0.004))
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        interrupted_once.release()

threading.Thread(target=interrupt_often, daemon=True).start()
for _ in range(100):
    try:
        asking.release()
        w.ask("x")
    except KeyboardInterrupt:
        interrupted += 1
    interrupted_once.acquire()
    while w.busy or w._current:
        time.sleep(0.001)

@agent("short")
def short(query: str):
    yield "hi"

w.client = type(w.client)("short")
answer = w.ask("x").text
"""


def test_an_interrupt_at_any_moment_leaves_a_chat_usable(
    start_kernel: Callable[..., Kernel], tmp_path: Path
) -> None:
    kernel = start_kernel(cwd=tmp_path)
    kernel.execute(AGENT).ok()
    kernel.execute(CHAT).ok()
    assert kernel.value("[interrupted, answer]") == [100, "hi"]
