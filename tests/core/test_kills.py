"""A batch that is killed at ten random moments, counted at the server: nothing is paid for twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from support.batches import run
from support.clock import TICK, until
from support.faults import FaultServer, answer

from runagent.local import serve as serve_agents

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")

ROWS = 250
KILLS = 10
AT_ONCE = 4

SEEDS = range(int(os.environ.get("RUNAGENT_TEST_KILLS", "1")))
"""More than one on request: `RUNAGENT_TEST_KILLS=20 pytest tests/core/test_kills.py`."""

RATE = 500
"""Requests per second, so that no run has to find its pace."""

UNWRITTEN = AT_ONCE - 1
"""Rows whose answers had come but were not on the disk yet: nothing is sent while there are more."""

PROGRAM = """
import os, sys
import runagent.connections, runagent.many.blocking, runagent.many.journal_file  # once, not in each fork
from runagent import RunAgentClient

for _ in sys.stdin:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with RunAgentClient("a", "", {url!r}) as client:
            for row in client.map({rows}, journal={path!r}, max_concurrency={at_once},
                                  rate={rate}):
                os.write(write, b"%d\\n" % row.input["i"])
        os._exit(0)
    os.close(write)
    print(child, flush=True)
    os.waitpid(child, 0)
    with os.fdopen(read) as delivered:
        print(*delivered.read().split(), flush=True)
"""
"""Runs the batch in a forked process, once for each line of its input. Prints that process's number,
and when it has ended, the rows that it was given."""


@contextmanager
def runs_of(url: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start that program."""
    rows = f"(('r%d' % i, {{'i': i}}) for i in range({ROWS}))"
    program = PROGRAM.format(url=url, path=str(path), rows=rows, at_once=AT_ONCE, rate=RATE)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def is_reached(executed: Callable[[], Counter[int]], target: int) -> bool:
    return executed().total() >= target


def kill_ten_times(
    url: str, path: Path, executed: Callable[[], Counter[int]], seed: int
) -> dict[int, int]:
    """Kill the batch at ten random moments, then run it to its end.

    Returns:
        For each row that was given to the user, how often it had been executed by then.
    """
    chance = random.Random(seed)
    delivered: dict[int, int] = {}
    with runs_of(url, path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(KILLS):
            process.stdin.write("\n")
            process.stdin.flush()
            child = int(process.stdout.readline())
            # A machine that is slow to kill it may find the batch at its end.
            target = min(executed().total() + chance.randint(1, 10), ROWS)
            until(partial(is_reached, executed, target))
            time.sleep(chance.random() * TICK)
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            seen = map(int, process.stdout.readline().split())
            counts = executed()
            delivered.update({i: counts[i] for i in seen if i not in delivered})
    inputs = ((f"r{i}", {"i": i}) for i in range(ROWS))
    rows = run(url, "sync", inputs, journal=path, rate=RATE)
    assert [(row.id, row.output) for row in rows] == [(f"r{i}", "done") for i in range(ROWS)]
    return delivered


@pytest.mark.parametrize("seed", SEEDS)
def test_a_server_that_honours_keys_runs_no_row_twice(tmp_path: Path, seed: int) -> None:
    guard = threading.Lock()
    executed: Counter[int] = Counter()

    def a(i: int) -> str:
        with guard:
            executed[i] += 1
        return "done"

    with serve_agents({"a": a}) as server:
        delivered = kill_ten_times(server.url, tmp_path / "x.journal", executed.copy, seed)
    assert delivered
    assert executed == dict.fromkeys(range(ROWS), 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_another_server_runs_only_rows_again_that_were_under_way(tmp_path: Path, seed: int) -> None:
    with FaultServer(answer({"result": "done"})) as server:
        path = tmp_path / "x.journal"

        def executed() -> Counter[int]:
            return Counter(e.json["i"] for e in tuple(server.exchanges) if e.body)

        delivered = kill_ten_times(server.url, path, executed, seed)
        total = executed()
        keys: dict[int, set[str]] = {}
        for exchange in server.exchanges:
            if exchange.body:
                keys.setdefault(exchange.json["i"], set()).add(exchange.headers["idempotency-key"])
    assert delivered
    assert set(total) == set(range(ROWS))
    assert total.total() - ROWS <= KILLS * (AT_ONCE + UNWRITTEN)
    assert all(total[i] == times for i, times in delivered.items()), "a delivered row ran again"
    assert all(len(found) == 1 for found in keys.values())
