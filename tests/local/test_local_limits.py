"""The local server against clients that never finish, that send too much, or that come in crowds."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from support.callers import Caller
from support.clock import PATIENCE, TICK, TIMEOUT, until
from support.scripts import run_script

from runagent.local import serve

Start = Callable[..., Caller]
HEAD = b"POST /v1/agents/a/invoke HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
BODY = b'{"x": 1}'


def echo(**input_data: Any) -> Any:
    return input_data


def count(text: str) -> int:
    return len(text)


def connect(caller: Caller, *parts: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", caller.server.port), timeout=PATIENCE)
    for part in parts:
        connection.sendall(part)
    return connection


def read_all(connection: socket.socket) -> bytes:
    """Return everything up to the end that the server makes."""
    with connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"P"],
        [HEAD],
        [HEAD + b"X-Long: " + b"x" * 5000],
        [HEAD, b"Content-Length: 8\r\n\r\n", BODY, HEAD[:20]],
    ],
    ids=["nothing", "one letter", "half a head", "half a header", "half a second head"],
)
def test_a_head_that_does_not_end_ends_its_connection(parts: list[bytes], start: Start) -> None:
    caller = start(echo, request_timeout=TIMEOUT)
    with ExitStack() as stack:
        crowd = [stack.enter_context(connect(caller, *parts)) for _ in range(20)]
        answers = [read_all(connection) for connection in crowd]
    assert all(b'"result":{"x":1}' in answer for answer in answers) == (len(parts) > 1)
    assert caller.result(x=1) == {"x": 1}
    assert len(caller.server._http.server_state.connections) == 1


def dripped(connection: socket.socket, stop: threading.Event) -> None:
    while not stop.wait(TICK):
        try:
            connection.sendall(b"x")
        except OSError:
            return


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (HEAD + b"X-Drip: ", b""),
        (HEAD + b"Content-Length: 1000\r\n\r\n", b"REQUEST_TIMEOUT"),
        (HEAD.replace(b"/a/", b"/b/") + b"Content-Length: 1000\r\n\r\n", b"AGENT_NOT_FOUND"),
    ],
    ids=["head", "body", "body that nobody reads"],
)
def test_a_request_that_drips_does_not_live_for_ever(
    sent: bytes, code: bytes, start: Start
) -> None:
    caller = start(echo, request_timeout=TIMEOUT)
    connection = connect(caller, sent)
    stop = threading.Event()
    dripping = threading.Thread(target=dripped, args=(connection, stop))
    dripping.start()
    try:
        answer = b""
        try:
            while more := connection.recv(65536):
                answer += more
        except ConnectionResetError:
            pass  # it was still sending
    finally:
        stop.set()
        dripping.join()
        connection.close()
    assert code in answer


@pytest.mark.parametrize("size", [10, 2 * 1024 * 1024])
def test_a_body_that_does_not_end_is_refused(size: int, start: Start) -> None:
    caller = start(echo, request_timeout=TIMEOUT)
    head = HEAD + b"Content-Length: %d\r\n\r\n" % (size + 1)
    answer = read_all(connect(caller, head, b"x" * size))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in head.lower()
    error = json.loads(body)["error"]
    assert (error["code"], error["status"]) == ("REQUEST_TIMEOUT", 408)
    assert error["message"] == f"The body did not arrive within {TIMEOUT:g} s."
    assert caller.result(x=1) == {"x": 1}


def test_an_agent_and_a_quiet_connection_may_take_longer(start: Start) -> None:
    def slow(**input_data: Any) -> Any:
        time.sleep(2 * TIMEOUT)
        return input_data

    caller = start({"a": slow}, request_timeout=TIMEOUT)
    assert caller.result(x=1) == {"x": 1}
    time.sleep(2 * TIMEOUT)
    assert caller.result(x=2) == {"x": 2}
    until(lambda: caller.server._http.server_state.total_requests == 2)  # counted after the answer
    assert len(caller.server._http.server_state.connections) == 1


def test_large_bodies_take_turns_and_all_arrive(start: Start) -> None:
    caller = start(count, request_timeout=PATIENCE)
    sizes = [3 * 1024 * 1024 + i for i in range(8)]
    results: dict[int, Any] = {}

    def send(size: int) -> None:
        results[size] = caller.result(text="x" * size)

    threads = [threading.Thread(target=send, args=(size,)) for size in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert results == {size: size for size in sizes}


def test_small_bodies_pass_large_ones_that_do_not_end(start: Start) -> None:
    caller = start(count, request_timeout=PATIENCE)
    with ExitStack() as stack:
        for _ in range(4):
            length = b"Content-Length: 4000000\r\n\r\n"
            connection = stack.enter_context(connect(caller))
            connection.settimeout(TIMEOUT)
            with suppress(TimeoutError):  # the server reads no more of it for now
                connection.sendall(HEAD + length + b"x" * 3_000_000)
        assert caller.result(text="x" * 1000) == 1000


UNFINISHED = """
import resource, socket, sys, threading, time
from runagent.local import serve
server = serve({"a": lambda **x: x}, request_timeout=30)
head = (b"POST /v1/agents/a/invoke HTTP/1.1\\r\\nHost: localhost\\r\\n"
        b"Content-Type: application/json\\r\\nContent-Length: 12000000\\r\\n\\r\\n")
part = b"x" * 1_000_000
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def send(connection):
    try:
        connection.sendall(head)
        for _ in range(11):
            connection.sendall(part)
    except OSError:
        pass

connections = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(40)]
threads = [threading.Thread(target=send, args=(c,)) for c in connections]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for connection in connections:
    connection.close()
server.close()
print((peak - before) // 1024)
"""


@pytest.mark.skipif("sys.platform != 'linux'", reason="elsewhere, ru_maxrss has another unit")
def test_forty_unfinished_bodies_take_little_memory(tmp_path: Path) -> None:
    shown = run_script(UNFINISHED, tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert int(shown.stdout) < 150, "MiB"


def test_connections_beyond_the_limit_are_told_so(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runagent.local.http_server._MAX_CONNECTIONS", 5)
    caller = start(echo)
    with ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(connect(caller))
        assert caller.invoke(x=1).status_code == 503
    until(lambda: len(caller.server._http.server_state.connections) < 5)
    assert caller.result(x=1) == {"x": 1}


@pytest.mark.parametrize("name", ["keep_alive", "request_timeout"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_limit_that_makes_no_sense_is_refused(name: str, value: float) -> None:
    limits: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        serve(echo, **limits)
