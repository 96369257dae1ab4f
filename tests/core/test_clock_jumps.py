"""A clock that jumps by hours: nothing depends on it but the times that a server names."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import pytest
from support.clock import PATIENCE
from support.faults import FaultServer, Late, answer, error

from runagent import retry
from runagent.many import quota

Serve = Callable[..., FaultServer]

HOURS = (-7200.0, 0.0, 7200.0)
"""Seconds by which the clock of this machine is wrong."""

PROGRAM = """
import itertools, time
real, hours = time.time, itertools.cycle((0, 7200, -7200, 86400))
time.time = lambda: real() + next(hours)

from runagent import RunAgentClient

with RunAgentClient("a", "", {url!r}, retry_delay=0.01) as client:
    for journal in ({path!r}, {path!r}):
        batch = client.map(({{"i": i}} for i in range(40)), journal=journal, rate=500)
        print(sum(row.error is None for row in batch))
"""


@pytest.mark.parametrize("wrong", HOURS)
def test_the_reset_of_a_limit_is_measured_by_the_clock_of_the_server(wrong: float) -> None:
    now = 1_800_000_000.0
    headers = {
        "date": formatdate(now, usegmt=True),
        "x-ratelimit-limit": "100",
        "x-ratelimit-remaining": "5",
    }
    for reset in (f"{now + 30:.0f}", "2027-01-15T08:00:30Z"):
        [found] = quota.read({**headers, "x-ratelimit-reset": reset}, lambda: now + wrong)
        assert found.reset_after == pytest.approx(30)


@pytest.mark.parametrize("wrong", HOURS)
def test_a_date_to_wait_for_is_measured_by_the_clock_of_the_server(wrong: float) -> None:
    now = time.time() + wrong
    dates = {"date": formatdate(now, usegmt=True), "retry-after": formatdate(now + 9, usegmt=True)}
    assert retry.retry_after(dates, {}, limited=True) == pytest.approx(9, abs=retry.CLOCKS_AGREE)
    resets = {"date": dates["date"], "x-ratelimit-reset": f"{now + 9:.0f}"}
    assert retry.retry_after(resets, {}, limited=True) == pytest.approx(9, abs=retry.CLOCKS_AGREE)


def test_a_batch_does_not_notice_that_the_clock_jumps(serve: Serve, tmp_path: Path) -> None:
    def dates(moment: float) -> list[str]:
        return [
            f"Date: {formatdate(moment, usegmt=True)}",
            "X-RateLimit-Limit: 1000",
            "X-RateLimit-Remaining: 500",
            f"X-RateLimit-Reset: {moment + 1:.0f}",
        ]

    def accept() -> list[object]:
        return list(answer(None, 200, *dates(time.time())))

    def refuse() -> list[object]:
        now = time.time()
        after = f"Retry-After: {formatdate(now + 1, usegmt=True)}"
        return list(error(429, "LIMITED", *dates(now), after))

    server = serve(*[[Late(accept)]] * 9, [Late(refuse)], [Late(accept)])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(url=server.url, path=str(tmp_path / "x.journal"))],
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.stdout.split() == ["40", "40"]
    assert len(server.exchanges) == 41, "one was refused, and the second run asked nothing"
