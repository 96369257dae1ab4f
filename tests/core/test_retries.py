"""Which answers are followed by another attempt, and what a server may say about the wait."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from email.utils import formatdate
from typing import Any

import pytest
from support import websockets as ws
from support.calls import KINDS, MODES, call
from support.clock import FOR_EVER, PATIENCE, TICK, stretched
from support.faults import STALL, Late, Script, answer, error, good
from support.websockets import UPGRADE, WebSocketServer

from runagent import RunAgentError
from runagent.retry import MAX_HINT, MIN_HINT, RetryPolicy, retry_after

Serve = Callable[..., WebSocketServer]
WIRES = ("rest", "server")


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server with these scripts."""
    with ExitStack() as stack:
        yield lambda *scripts: stack.enter_context(WebSocketServer(*scripts))


def fine(wire: str, kind: str) -> Script:
    """Return a good answer."""
    if wire == "rest":
        return good(kind)
    if kind == "stream":
        return [UPGRADE + ws.stream("o", "k"), STALL]
    return answer({"success": True, "data": ws.structured({"answer": "ok"}), "error": None})


def attempts(server: WebSocketServer) -> int:
    """Return how many attempts were made, without questions to the server about itself."""
    ends = ("/invoke", "/stream", "/run", "/run-stream")
    return sum(e.target.partition("?")[0].endswith(ends) for e in server.exchanges)


def logged_waits(caplog: pytest.LogCaptureFixture) -> list[float]:
    found = re.findall(r"trying again in ([0-9.]+) s", "\n".join(caplog.messages))
    return [float(seconds) for seconds in found]


everywhere = [
    pytest.mark.parametrize("mode", MODES),
    pytest.mark.parametrize("kind", KINDS),
    pytest.mark.parametrize("wire", WIRES),
]


def in_every_way(test: Any) -> Any:
    """Run a test for both wires, both kinds of calls and both clients."""
    for mark in everywhere:
        test = mark(test)
    return test


@in_every_way
@pytest.mark.parametrize("status", [409, 425, 520, 521, 522, 523, 524, 529])
def test_statuses_of_proxies_and_busy_servers(
    status: int, wire: str, kind: str, mode: str, serve: Serve
) -> None:
    server = serve(error(status), error(status), fine(wire, kind))
    outcome = call(server.url, kind, mode, protocol=wire)
    assert outcome.error is None, repr(outcome.error)
    assert attempts(server) == 3
    assert len({e.headers["idempotency-key"] for e in server.exchanges}) == 1


SAYINGS = [
    (503, "false", 1),
    (429, "False", 1),
    (409, " false ", 1),
    (400, "true", 4),
    (422, "TRUE", 4),
    (501, "true", 4),
    (302, "true", 1),
    (503, "perhaps", 4),
    (400, "perhaps", 1),
    (503, "", 4),
    (503, "true, false", 4),
]


@in_every_way
@pytest.mark.parametrize(("status", "said", "expected"), SAYINGS)
def test_a_server_may_say_whether_to_try_again(
    status: int, said: str, expected: int, wire: str, kind: str, mode: str, serve: Serve
) -> None:
    server = serve(error(status, "OOPS", f"X-Should-Retry: {said}"))
    outcome = call(server.url, kind, mode, protocol=wire)
    assert outcome.error is not None
    assert outcome.error.attempts == attempts(server) == expected


@in_every_way
def test_it_counts_for_the_answer_that_says_it(
    wire: str, kind: str, mode: str, serve: Serve
) -> None:
    said = error(400, "OOPS", "X-Should-Retry: true")
    server = serve(said, error(400, "OOPS"), said)
    outcome = call(server.url, kind, mode, protocol=wire)
    assert outcome.error is not None
    assert outcome.error.attempts == attempts(server) == 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_an_agent_that_failed_is_asked_again_only_if_the_server_says_so(
    kind: str, mode: str, serve: Serve
) -> None:
    server = serve(error(500, "AGENT_ERROR"))
    assert call(server.url, kind, mode).error is not None
    assert attempts(server) == 1
    server = serve(error(500, "AGENT_ERROR", "X-Should-Retry: true"), good(kind))
    assert call(server.url, kind, mode).error is None
    assert attempts(server) == 2


def in_ms() -> str:
    return str(round(time.time() * 1000))


NONSENSE: dict[str, Callable[[], Script]] = {
    "a date that is over": lambda: error(429, "B", "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"),
    "a date that is just over": lambda: error(
        429, "B", f"Retry-After: {formatdate(time.time() - 2, usegmt=True)}"
    ),
    "a date in another age": lambda: error(429, "B", "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT"),
    "a date that is none": lambda: error(429, "B", "Retry-After: Wed, 99 Oct 2015 07:28:00 GMT"),
    "a negative number": lambda: error(429, "B", "Retry-After: -30"),
    "NaN": lambda: error(429, "B", "Retry-After: nan"),
    "infinity": lambda: error(429, "B", "Retry-After: inf"),
    "10^12": lambda: error(429, "B", "Retry-After: 1000000000000"),
    "the time in milliseconds": lambda: error(429, "B", f"Retry-After: {in_ms()}"),
    "the time in seconds": lambda: error(429, "B", f"Retry-After: {time.time():.0f}"),
    "two of them": lambda: error(429, "B", "Retry-After: -1", "Retry-After: -2"),
    "negative milliseconds": lambda: error(429, "B", "Retry-After-Ms: -1"),
    "a body's negative number": lambda: error(429, "B", retry_after=-1),
    "a body's 10^12": lambda: error(429, "B", retry_after=10**12),
    "a body's number without end": lambda: error(429, "B", retry_after=10**400),
    "details with 10^12": lambda: error(429, "B", details={"retry_after": 1e12}),
    "a body's boolean": lambda: error(429, "B", retry_after=True),
    "a reset in milliseconds": lambda: error(429, "B", f"X-RateLimit-Reset: {in_ms()}"),
    "a reset in microseconds": lambda: error(429, "B", f"X-RateLimit-Reset: {in_ms()}000"),
    "a reset as a difference": lambda: error(429, "B", "X-RateLimit-Reset: 30"),
    "a reset that is over": lambda: error(429, "B", f"X-RateLimit-Reset: {time.time() - 5:.0f}"),
    "a reset of zero": lambda: error(429, "B", "X-RateLimit-Reset: 0"),
    "a negative reset": lambda: error(429, "B", "X-RateLimit-Reset: -1"),
    "a negative difference": lambda: error(429, "B", "X-RateLimit-Reset-After: -1"),
    "a difference of 10^12": lambda: error(429, "B", "X-RateLimit-Reset-After: 1e12"),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("name", NONSENSE)
def test_a_hint_that_makes_no_sense_is_none(
    name: str, wire: str, mode: str, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "runagent")
    server = serve([Late(NONSENSE[name])])
    outcome = call(server.url, "invoke", mode, protocol=wire, retry_delay=TICK)
    assert outcome.error is not None
    assert outcome.error.attempts == attempts(server) == 4
    assert outcome.error.retry_after is None
    waits = logged_waits(caplog)
    assert len(waits) == 3
    assert all(wait <= TICK * 2**attempt for attempt, wait in enumerate(waits))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("said", ["0", "0.0", "0.001"])
def test_no_wait_at_all_is_left_to_the_backoff(said: str, mode: str, serve: Serve) -> None:
    server = serve(error(503, "BUSY", f"Retry-After: {said}"))
    outcome = call(server.url, "invoke", mode, retry_delay=stretched(0.5))
    assert outcome.error is not None
    assert outcome.error.attempts == 4
    assert outcome.error.retry_after == float(said)
    moments = [e.at for e in server.exchanges]
    assert moments[-1] - moments[0] > 0.01


@pytest.mark.parametrize("mode", MODES)
def test_a_hint_that_makes_sense_is_found_after_one_that_makes_none(
    mode: str, serve: Serve
) -> None:
    far = 10 * PATIENCE
    server = serve(error(429, "BUSY", "Retry-After: -1", f"X-RateLimit-Reset-After: {far}"))
    outcome = call(server.url, "invoke", mode)
    assert outcome.error is not None
    assert (outcome.error.retry_after, outcome.error.attempts) == (far, 1)


@pytest.mark.parametrize("mode", MODES)
def test_milliseconds_are_obeyed(mode: str, serve: Serve) -> None:
    server = serve(error(429, "BUSY", "Retry-After-Ms: 300", "Retry-After: 1"), good("invoke"))
    assert call(server.url, "invoke", mode, retry_delay=TICK).value == {"answer": "ok"}
    first, second = (e.at for e in server.exchanges)
    assert second - first >= 0.3


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        (lambda moment: formatdate(moment, usegmt=True), True),
        (lambda moment: formatdate(moment, usegmt=True).replace(" GMT", " -0000"), True),
        (lambda moment: formatdate(moment, usegmt=True).replace(" GMT", ""), True),
        (lambda moment: time.asctime(time.gmtime(moment)), True),
        (lambda moment: time.strftime("%A, %d-%b-%y %H:%M:%S GMT", time.gmtime(moment)), True),
        (lambda moment: f"{moment}", False),
    ],
)
def test_dates_are_in_utc(
    date: Callable[[float], str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        found = retry_after({"retry-after": date(time.time() + FOR_EVER)}, {}, limited=False)
        if expected:
            assert found == pytest.approx(FOR_EVER, abs=stretched(2) + 1)
        else:
            assert found is None
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("said", [MAX_HINT, MAX_HINT / 31, 0.0])
def test_long_waits_are_told_to_the_user(said: float) -> None:
    assert retry_after({"retry-after": str(said)}, {}, limited=False) == said
    assert retry_after({"retry-after": str(said + MAX_HINT + 1)}, {}, limited=False) is None


def test_a_call_without_a_timeout_does_not_sleep_for_ages() -> None:
    policy = RetryPolicy(3, 1.0, 2.0)
    busy = RunAgentError("busy", status_code=503)
    for seconds in ("1000000000000", "1e300", "inf"):
        busy.retry_after = retry_after({"retry-after": seconds}, {}, limited=True)
        delay = policy.next_delay(busy, 1, float("inf"), undelivered=False)
        assert delay is not None
        assert delay <= 1.0
    delays = {policy.next_delay(busy, 1, float("inf"), undelivered=False) for _ in range(9)}
    assert len(delays) == 9  # jitter


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("retries", [0, 2])
def test_a_call_is_repeated_as_often_as_is_said(retries: int, mode: str, serve: Serve) -> None:
    server = serve(error(503, "BUSY"))
    call(server.url, "invoke", mode, max_retries=retries, retry_delay=TICK)
    assert attempts(server) == 1 + retries


def test_waits_are_random_up_to_a_bound_that_grows() -> None:
    policy = RetryPolicy(3, 1.0, 2.0)
    busy = RunAgentError("busy", status_code=503)
    for attempt, most in ((1, 1.0), (2, 2.0), (3, 4.0)):
        delays = [policy.next_delay(busy, attempt, 100.0, undelivered=False) for _ in range(99)]
        assert most / 2 < max(delay for delay in delays if delay is not None) <= most


def test_a_short_hint_is_the_least_that_is_waited() -> None:
    policy = RetryPolicy(3, 0.0, 1.0)
    busy = RunAgentError("busy", status_code=503, retry_after=MIN_HINT / 2)
    assert policy.next_delay(busy, 1, 30.0, undelivered=False) == MIN_HINT / 2
