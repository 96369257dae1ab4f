"""The second wire under faults: fault x (blocking, not) -> exception, attempts, text so far."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from support.calls import MODES, call
from support.clock import PATIENCE, SOON, TICK, TIMEOUT
from support.faults import RESET, STALL, Drip, Script, Step, answer
from support.websockets import (
    COMPLETED,
    PONGED,
    STARTED,
    UPGRADE,
    WebSocketServer,
    chunk,
    close,
    frame,
    message,
    ping,
    stream,
)
from wsproto.frame_protocol import Opcode

from runagent import (
    AgentNotFoundError,
    AuthenticationError,
    RunAgentError,
    StreamError,
    TimeoutError,  # noqa: A004
    ValidationError,
)


@dataclass(frozen=True)
class Row:
    """A fault, and what must become of it.

    Attributes:
        scripts: What the server does, one script for each connection.
        error: The exception, `None` for a good answer.
        says: What its message has, or the answer is.
        attempts: How many requests were sent.
        text: What had come before.
    """

    scripts: list[Script]
    error: type[RunAgentError] | None
    says: str = ""
    attempts: int = 1
    text: str = ""


def http(status: str, body: bytes, kind: str = "application/json") -> list[bytes]:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return [head.encode() + body]


READ = (ping(b"read?"), PONGED)
"""Both sides have read: what is unread when a socket is closed is lost to the other."""

WITHIN = f"within {TIMEOUT:g} s"
BEGUN = UPGRADE + STARTED + chunk("one ")
PLAIN_500 = http("500 Internal Server Error", b"Internal Server Error", "text/plain")

STREAMS = {
    "a good stream": Row([[UPGRADE + stream("one ", "two"), STALL]], None, "one two"),
    "a stream byte by byte": Row([[UPGRADE, Drip(stream("one ", "two"), TICK / 10), STALL]], None),
    "pings in between": Row(
        [[BEGUN + ping(b"a") + ping(b"b") + chunk("two") + COMPLETED, STALL]], None, "one two"
    ),
    "no word after the upgrade": Row([[UPGRADE, *READ]], StreamError, "cut off"),
    "silence after the upgrade": Row([[UPGRADE, STALL]], TimeoutError, WITHIN),
    "silence in the middle": Row([[BEGUN, STALL]], TimeoutError, WITHIN, text="one "),
    "an end without an announcement": Row([[BEGUN, *READ]], StreamError, "cut off", text="one "),
    "a reset": Row([[BEGUN, *READ, RESET]], StreamError, "lost", text="one "),
    "half a frame": Row([[BEGUN, *READ, chunk("two")[:9]]], StreamError, "cut off", text="one "),
    "closed with 1000": Row([[BEGUN + close(1000)]], StreamError, "1000", text="one "),
    "closed with 1001": Row([[BEGUN + close(1001)]], StreamError, "1001", text="one "),
    "closed with 1011": Row(
        [[BEGUN + close(1011, "keepalive ping timeout")]], StreamError, "keepalive", text="one "
    ),
    "an error in mid-stream": Row(
        [[BEGUN + message({"type": "error", "error": "it broke"}), STALL]],
        StreamError,
        "it broke",
        text="one ",
    ),
    "an unknown entrypoint": Row(
        [
            [
                UPGRADE
                + message({"type": "error", "detail": "Entrypoint x not found"})
                + close(1003)
            ],
            http("404 Not Found", b"{}"),
        ],
        ValidationError,
        "not found",
    ),
    "a masked frame": Row(
        [[BEGUN + frame(Opcode.TEXT, b"1234ab", second=0x80)]], StreamError, "read", text="one "
    ),
    "garbage for frames": Row([[BEGUN + b"\xff" * 40]], StreamError, "read", text="one "),
    "an empty message": Row(
        [[BEGUN + message("") + chunk("two") + COMPLETED, STALL]], None, "one two"
    ),
    "a chunk without content": Row(
        [[BEGUN + message({"type": "data"}) + COMPLETED, STALL]], None, "one "
    ),
    "a type that is a list": Row(
        [
            [
                BEGUN
                + message({"type": "data", "content": {"type": ["x"], "payload": 1}})
                + COMPLETED,
                STALL,
            ]
        ],
        None,
        "one ",
    ),
    "an error whose code is a number": Row(
        [[UPGRADE + message({"type": "error", "detail": "No oil", "code": 7}), STALL], answer({})],
        ValidationError,
        "[7",
    ),
    "an error without a type": Row(
        [[BEGUN + message({"error": {"code": "C7", "message": "No oil"}}), STALL]],
        StreamError,
        "No oil [C7",
        text="one ",
    ),
    "an error that is a list": Row(
        [[BEGUN + message({"type": "error", "errors": ["No oil", "none"]}), STALL]],
        StreamError,
        "No oil; none",
        text="one ",
    ),
    "a message that is not JSON": Row([[BEGUN + message("{")]], StreamError, "JSON", text="one "),
    "a message too large": Row(
        [[BEGUN + chunk("x" * 5000)]], StreamError, "max_message_size", text="one "
    ),
    "an upgrade answered with a page": Row(
        [http("200 OK", b"<html>hello", "text/html")], RunAgentError, "hello"
    ),
    "an upgrade that is refused": Row([http("403 Forbidden", b"")], RunAgentError),
    "a wrong proof of the upgrade": Row(
        [
            [
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade"
                b"\r\nSec-WebSocket-Accept: bm8=\r\n\r\n" + stream("one")
            ]
        ],
        RunAgentError,
    ),
    "busy at first": Row(
        [http("503 Service Unavailable", b"{}"), [UPGRADE + stream("one"), STALL]], None, "one", 2
    ),
}


def enveloped(**fields: Any) -> list[Any]:
    return answer({"success": True, "data": None, "error": None, "request_id": "r-1", **fields})


def failed(code: str, text: str) -> dict[str, Any]:
    return {"success": False, "error": {"code": code, "message": text}}


INVOKES = {
    "a good answer": Row(
        [enveloped(data=json.dumps({"type": "object", "payload": '{"a": 1}'}))], None, "{'a': 1}"
    ),
    "a failure with status 200": Row(
        [enveloped(**failed("INTERNAL_ERROR", "agent exploded"))], RunAgentError, "agent exploded"
    ),
    "nothing but an error": Row([answer({"error": "No oil"})], RunAgentError, "No oil"),
    "a status of error": Row(
        [answer({"status": "error", "detail": {"code": "C7", "msg": "No oil"}})],
        RunAgentError,
        "No oil [C7",
    ),
    "an error of wrong types": Row(
        [enveloped(success=False, error={"code": {"a": [1]}, "message": 5, "type": ["x"]})],
        RunAgentError,
        '{"a": [1]}',
    ),
    "a result of a wrong type": Row(
        [enveloped(data=json.dumps({"type": ["x"], "payload": "1"}))], None, "payload"
    ),
    "a refused key": Row(
        [enveloped(**failed("AUTHENTICATION_ERROR", "no such key"))], AuthenticationError, "no such"
    ),
    "an unrouted agent": Row(
        [http("404 Not Found", b'{"detail":"Not Found"}')], AgentNotFoundError, "knows no agent"
    ),
    "a malformed request": Row(
        [http("422 Unprocessable", b'{"detail":[{"loc":["body"],"msg":"Field required"}]}')],
        ValidationError,
        "Field required",
    ),
    "a plain text failure": Row([PLAIN_500], RunAgentError, "Internal Server Error"),
    "an empty answer": Row([http("200 OK", b"")], RunAgentError, "empty body"),
    "truncated JSON": Row([http("200 OK", b'{"success": tr')], RunAgentError, "JSON"),
    "silence": Row([[STALL]], TimeoutError, WITHIN),
    "an answer byte by byte": Row(
        [[Drip(http("200 OK", b"{}")[0], TIMEOUT / 5)]], TimeoutError, WITHIN
    ),
}


def check(row: Row, kind: str, mode: str) -> None:
    scripts: list[list[Step]] = [list(script) for script in row.scripts]
    with WebSocketServer(*scripts) as server:
        timeout = TIMEOUT if row.error is TimeoutError else PATIENCE
        outcome = call(
            server.url, kind, mode, protocol="server", timeout=timeout, max_message_size=4000
        )
        if row.error is None:
            assert outcome.error is None
            assert row.says in str(outcome.value)
        else:
            assert isinstance(outcome.error, row.error), repr(outcome.error)
            assert row.says in str(outcome.error)
            assert outcome.error.attempts == row.attempts
            if isinstance(outcome.error, StreamError):
                assert outcome.error.text == row.text
        assert outcome.seconds < SOON
        assert server.exchanges[0].headers.get("authorization") is None


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", STREAMS)
def test_streams(name: str, mode: str) -> None:
    check(STREAMS[name], "stream", mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", INVOKES)
def test_answers(name: str, mode: str) -> None:
    check(INVOKES[name], "invoke", mode)
