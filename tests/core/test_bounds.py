"""Floods of every kind: memory below 4 x `max_message_size` + 100 MB, and an end to each of them."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import pytest
from support import websockets as ws
from support.calls import MODES
from support.clock import TICK
from support.faults import DONE, LAST_FRAME, SSE_HEAD, STALL, Repeat, Script, frame, head
from support.measured_calls import MeasuredCalls
from support.websockets import COMPLETED, STARTED, UPGRADE, WebSocketServer
from wsproto.frame_protocol import Opcode

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is measured in Linux's units"),
]

SIZE = 16_000_000
"""The `max_message_size` of the clients here."""

JSON_HEAD = head(200, "application/json", "Transfer-Encoding: chunked")
TOO_LARGE = "MESSAGE_TOO_LARGE"


@dataclass(frozen=True)
class Flood:
    """The bytes that a server sends.

    Attributes:
        name: What it is.
        wire: The protocol.
        kind: The kind of call.
        script: Makes the answer.
        code: The code of the error that the call ends with, `"GOOD"` for a good end.
    """

    name: str
    wire: str
    kind: str
    script: Callable[[], Script]
    code: str = TOO_LARGE


def filled(begin: bytes, unit: bytes, end: bytes, size: int = SIZE - 100) -> bytes:
    """Return text of this size made of a unit again and again."""
    return begin + unit * ((size - len(begin) - len(end)) // len(unit)) + end


def framed(data: bytes) -> list[bytes]:
    return [frame(data[i : i + 65536]) for i in range(0, len(data), 65536)] + [LAST_FRAME]


def invoke(name: str, body: Callable[[], bytes], code: str = TOO_LARGE) -> Flood:
    return Flood(name, "rest", "invoke", lambda: [JSON_HEAD, *framed(body())], code)


def numbered(form: bytes) -> bytes:
    """Return enough different entries to fill a message."""
    return b",".join(form % number for number in range(SIZE // (len(form) + 7)))


def event(body: bytes) -> bytes:
    return b"event: chunk\ndata: " + body + b"\n\n"


def streamed(name: str, *steps: bytes | Repeat, code: str = TOO_LARGE) -> Flood:
    return Flood(name, "rest", "stream", lambda: [SSE_HEAD, *steps], code)


def message(payload: bytes) -> bytes:
    size = len(payload)
    return bytes([0x81, 127]) + size.to_bytes(8, "big") + payload


def socketed(name: str, *steps: bytes | Repeat, code: str = TOO_LARGE) -> Flood:
    return Flood(name, "server", "stream", lambda: [UPGRADE + STARTED, *steps, STALL], code)


def lists() -> bytes:
    return filled(b"[", b"[],", b"0]")


def text_of(unit: bytes, end: bytes = b"") -> Callable[[], bytes]:
    return lambda: filled(b'{"result": "', unit, end + b'"}')


GZIP = b"Content-Encoding: gzip\r\n"


def nested(begin: bytes, end: bytes) -> list[bytes]:
    inner = filled(begin, begin[1:], end, SIZE // 3).decode()
    data = json.dumps({"type": "array", "payload": inner})
    return [JSON_HEAD, *framed(json.dumps({"success": True, "data": data}).encode())]


def gzipped(begin: bytes, data: bytes) -> list[bytes]:
    return [begin.replace(b"Content-Type", GZIP + b"Content-Type"), *framed(gzip.compress(data, 1))]


FLOODS = [
    invoke("empty lists", lists),
    invoke("empty lists, one in the other", lambda: filled(b"[[", b"[[[]]],", b"0]]")),
    invoke("objects", lambda: filled(b"[", b'{"a":{}},', b"0]")),
    invoke("objects of keys of their own", lambda: b"[" + numbered(b'{"%d":1}') + b"]"),
    invoke("one object of many keys", lambda: b"{" + numbered(b'"%d":1') + b"}"),
    invoke("short texts", lambda: b"[" + numbered(b'"%d"') + b"]"),
    invoke("numbers", lambda: b"[" + numbered(b"%d") + b"]", ""),
    invoke("fractions", lambda: b"[" + numbered(b"1.%d") + b"]", ""),
    invoke("a text with an emoji", text_of(b"x", "\U0001f600".encode())),
    invoke("a text with an escaped emoji", text_of(b"x", b"\\ud83d\\ude00"), ""),
    invoke("a text of escapes", text_of(b"\\u00e9\\n"), ""),
    invoke("plain text", text_of(b"some words, and more. "), "GOOD"),
    invoke("commas and quotes in a text", text_of(b'\\",'), ""),
    invoke("bytes that are no UTF-8", text_of(b"\xff"), "INVALID_RESPONSE"),
    Flood("gzip of blanks", "rest", "invoke", lambda: gzipped(JSON_HEAD, b" " * 300_000_000)),
    Flood("an error of lists", "rest", "invoke", lambda: [head(400), lists()], ""),
    Flood("an event of lists", "rest", "stream", lambda: [SSE_HEAD, *framed(event(lists()))]),
    Flood("an error event of lists", "rest", "stream", lambda: [SSE_HEAD, *framed(b"event: error\ndata: " + lists() + b"\n\n")]),
    Flood("gzip of comments", "rest", "stream", lambda: gzipped(SSE_HEAD, b":\n" * 100_000_000)),
    Flood("gzip of one line", "rest", "stream", lambda: gzipped(SSE_HEAD, b"x" * 300_000_000)),
    streamed("an event of short lines", Repeat(frame(b"data:a\n" * 9000))),
    streamed("an event of empty lines", Repeat(frame(b"data\n" * 9000))),
    streamed("lines that mean nothing", Repeat(frame(b"x\n" * 9000))),
    streamed("an endless name", Repeat(frame(b"event: " + b"x" * 65000))),
    streamed("comments", Repeat(frame(b":\n" * 9000))),
    streamed("blank lines", Repeat(frame(b"\n" * 9000))),
    streamed("events without a name", Repeat(frame(b"data: {}\n\n" * 5000))),
    streamed("events nobody knows", Repeat(frame(b"event: x\ndata: 1\n\n" * 5000))),
    streamed("empty chunks", Repeat(frame(b'event: chunk\ndata: ""\n\n' * 2000))),
    streamed("frames of a byte", Repeat(frame(b"x") * 9000)),
    streamed("a long story", *[frame(event(b'"' + b"x" * 60_000 + b'"'))] * 300, frame(DONE), LAST_FRAME, code="GOOD"),
    Flood("a message of lists", "server", "stream", lambda: [UPGRADE, message(b'{"type":"data","content":' + lists()[:-50] + b"0]}"), STALL]),
    socketed("an endless frame", bytes([0x81, 127]) + (1 << 62).to_bytes(8, "big"), Repeat(b"x" * 65536)),
    socketed("fragments of a byte", ws.frame(Opcode.TEXT, b"x", first=0), Repeat(ws.frame(Opcode.CONTINUATION, b"x", first=0) * 9000)),
    socketed("empty fragments", ws.frame(Opcode.TEXT, b"x", first=0), Repeat(ws.frame(Opcode.CONTINUATION, b"", first=0) * 9000)),
    socketed("pings", Repeat(ws.ping(b"x" * 100) * 500, pause=TICK / 10)),
    socketed("empty pings", Repeat(ws.ping() * 500, pause=TICK / 10)),
    socketed("pongs", Repeat(ws.frame(Opcode.PONG, b"") * 9000)),
    socketed("messages nobody knows", Repeat(ws.message({"type": "x"}) * 2000)),
    socketed("messages without text", Repeat(ws.message("") * 9000)),
    socketed("a long story", *[ws.chunk("x" * 60_000)] * 300, COMPLETED, code="GOOD"),
    Flood("lists in JSON in JSON", "server", "invoke", lambda: nested(b"[[],", b"0]")),
    Flood("objects in JSON in JSON", "server", "invoke", lambda: nested(b'{"a":[{}],', b'"b":1}')),
]  # fmt: skip


@lru_cache(1)
def script_of(flood: Flood) -> Script:
    """Return the server's answer, which takes as long to make as to read, once for both modes."""
    return flood.script()


@pytest.fixture(scope="module")
def measured_call() -> Iterator[MeasuredCalls]:
    with MeasuredCalls() as calls:
        yield calls


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "flood", FLOODS, ids=lambda flood: f"{flood.wire}-{flood.kind}-{flood.name}"
)
def test_memory_is_bounded_and_there_is_an_end(
    flood: Flood, mode: str, measured_call: MeasuredCalls
) -> None:
    options = {"protocol": flood.wire, "max_message_size": SIZE, "max_retries": 0}
    with WebSocketServer(script_of(flood)) as server:
        ended = measured_call(server.url, flood.kind, mode, **options)
    print(ended.megabytes, "MB")
    assert ended.megabytes < 4 * SIZE / 1e6 + 100
    assert flood.code in ("", ended.code)
    assert len(ended.message) < 7000
