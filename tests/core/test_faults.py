"""Fault x (invoke, stream) x (sync, async): the exception, and the attempts made."""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from support.calls import KINDS, MODES, call
from support.clock import PATIENCE, SOON, TIMEOUT, until
from support.fault_rows_answers import ANSWERS
from support.fault_rows_shapes import SHAPES
from support.fault_rows_transport import TRANSPORT
from support.fault_table import (
    OK,
    Fault,
)
from support.faults import (
    Do,
    FaultServer,
    error,
    good,
)
from support.ports import free_port

from runagent import (
    NetworkError,
    RunAgentError,
    TimeoutError,  # noqa: A004
)

Serve = Callable[..., FaultServer]

TABLE = [*TRANSPORT, *ANSWERS, *SHAPES]


def waits(caplog: pytest.LogCaptureFixture) -> list[float]:
    """Return the seconds that the client waited between attempts, as it says itself."""
    return [
        float(seconds)
        for message in caplog.messages
        for seconds in re.findall(r"trying again in ([0-9.]+) s", message)
    ]


def test_names_are_unique() -> None:
    assert len({row.name for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_table(
    row: Fault, kind: str, mode: str, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "runagent")
    server = serve(*row.scripts(kind), **row.server)
    outcome = call(server.url, kind, mode, **row.options)
    expected = row.invoke if kind == "invoke" or row.stream is None else row.stream

    if expected.kind is OK:
        assert outcome.error is None, repr(outcome.error)
        assert outcome.value
    else:
        assert outcome.error is not None, f"returned {outcome.value!r}"
        assert type(outcome.error) is expected.kind, repr(outcome.error)
        if expected.code is not None:
            assert outcome.error.code == expected.code, str(outcome.error)
        assert expected.says in str(outcome.error)
        assert outcome.error.attempts == (expected.attempts or outcome.error.attempts)
    assert row.at_least <= outcome.seconds < SOON
    # Between attempts there is nothing but what the server asked for and some hundredths.
    assert sum(waits(caplog)) <= row.at_least + 1.1
    attempts = outcome.error.attempts if outcome.error is not None else expected.attempts
    if attempts is not None:  # a busy server may read the last one after its client left
        if "on_accept" in row.server:
            until(lambda: server.connections >= attempts)
        else:
            server.wait_for(attempts)
    # Whether a 404 comes from another kind of server is asked with a GET; attempts are POSTs.
    posts = [e for e in server.exchanges if e.head.startswith(b"POST ")]
    made = server.connections if "on_accept" in row.server else len(posts)
    assert made == attempts
    assert len({e.headers["idempotency-key"] for e in posts}) <= 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_nobody_listens(kind: str, mode: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    outcome = call(f"http://127.0.0.1:{port}", kind, mode)
    assert type(outcome.error) is NetworkError
    assert outcome.error.code == "CONNECTION_FAILED"
    assert outcome.error.attempts == 4
    assert f"http://127.0.0.1:{port}" in str(outcome.error)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_nobody_listens_until_the_timeout(kind: str, mode: str) -> None:
    port = free_port()
    options = {"timeout": TIMEOUT, "max_retries": 9, "retry_delay": TIMEOUT / 10}
    outcome = call(f"http://127.0.0.1:{port}", kind, mode, **options)
    # Which of them ends the last attempt depends on when the time is over.
    assert type(outcome.error) in (NetworkError, TimeoutError)
    assert outcome.seconds < SOON


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_comes_up_is_found_by_a_retry(
    kind: str, mode: str, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()

    def come_up(record: logging.LogRecord) -> bool:
        if "trying again" in record.msg and not servers:
            servers.append(serve(good(kind), port=port))
        return True

    servers: list[FaultServer] = []
    caplog.set_level(logging.INFO, "runagent")
    caplog.handler.addFilter(come_up)
    try:
        assert call(f"http://127.0.0.1:{port}", kind, mode).value
    finally:
        caplog.handler.removeFilter(come_up)
    assert len(servers[0].exchanges) == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_time_that_an_attempt_took_is_not_there_for_a_wait(
    kind: str, mode: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = [0.0]
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + passed[0])
    monkeypatch.setattr("runagent.call.time", clock)
    busy = error(503, "BUSY", retry_after=PATIENCE / 2)
    server = serve(
        error(503, "BUSY", retry_after=0),
        [Do(lambda: passed.append(passed.pop() + PATIENCE * 0.9)), *busy],
    )
    outcome = call(server.url, kind, mode, max_retries=99)
    assert type(outcome.error) is RunAgentError
    assert (outcome.error.code, outcome.error.attempts) == ("BUSY", 2)
