"""Answers and streams of both wires, changed at random from a seed: values, bytes and headers."""

from __future__ import annotations

import copy
import json
import random
from dataclasses import dataclass
from typing import Any

from support import websockets as ws
from support.faults import DONE, chunk, sse

HUGE = "@huge@"
DEEP = "@deep@"
DEEPER = "@deeper@"
RAW = {
    HUGE: b"9" * 5000,
    DEEP: b"[" * 600 + b"]" * 600,
    DEEPER: b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
}
"""Strings that stand for JSON which `json.dumps` does not write."""

HOSTILE: list[Any] = [
    *(None, True, False, 0, -1, 1, 0.5, -0.0, 2**63, 10**400, 1e308),
    *(float("inf"), float("-inf"), float("nan"), HUGE, DEEP, DEEPER),
    *("", " ", "x", "0", "null", "\x00", "\x1b]0;x\x07", "\ud83d", "\ude00", "\U0001f600"),
    *("x" * 5000, "é" * 300, "error", "success", "type", "\u202e", "1e999", "NaN", "[" * 50),
    *([], {}, [[]], [None], [{}], {"": None}, {"error": None}, {"message": ["x"]}, {"a": {"b": 1}}),
    *({"type": ["x"], "payload": 1}, {"type": "number", "payload": "inf"}, {"detail": {}}),
    '{"type": "object", "payload": "{\\"a\\": 1}"}',
    '{"type": {}, "payload": []}',
]

KEYS = [
    *("error", "errors", "detail", "details", "message", "code", "type", "status", "success"),
    *("data", "result", "usage", "metadata", "content", "payload", "request_id", "retry_after"),
    *("title", "hint", "suggestion", "loc", "msg", "execution_time", "tokens_used", "", "x"),
]

STATUSES = [200, 200, 200, 200, 201, 204, 206, 299, 300, 302, 400, 401, 403, 404, 405, 408, 409]
STATUSES += [413, 418, 422, 425, 429, 500, 502, 503, 504, 529, 599, 999]

HEADER_VALUES = [
    *("", "x", "0", "-1", "1e999", "NaN", "9" * 400, "Wed, 21 Oct 2015 07:28:00 GMT", "a, b"),
    *("text/event-stream", "text/event-stream, text/event-stream", "TEXT/event-stream;x", ";"),
    *("application/json", "gzip, rot13", "br", "\x7f\xff", "1969-01-01", "Fri, 99 Foo 0000"),
]
HEADERS = [
    *("content-type", "content-encoding", "retry-after", "x-request-id", "x-ratelimit-limit"),
    *("x-ratelimit-remaining", "x-ratelimit-reset", "x-ratelimit-reset-after", "location"),
    *("x-should-retry", "sec-websocket-accept"),
]

_PROBLEM = {
    "code": "RATE_LIMITED", "message": "Too many", "details": {"limit": 1, "retry_after": 3},
    "request_id": "r-1", "documentation_url": "https://x", "status": 429, "retry_after": 6,
}  # fmt: skip
_FASTAPI = {"detail": [{"type": "missing", "loc": ["body", "x", 0], "msg": "Field required"}]}

ERRORS: list[Any] = [
    {"error": _PROBLEM},
    {"error": "words", "code": "C"},
    {"error": "invalid_token", "error_description": "It has expired"},
    {"detail": "Not Found"},
    {"detail": {"code": "C", "message": "words"}},
    _FASTAPI,
    {"errors": [{"message": "words", "extensions": {"code": "C"}}, "more"]},
    {"type": "https://x/y", "title": "Out of credit", "detail": "30 left", "status": 403},
    {"status": "error", "error": _PROBLEM},
]
ANSWERS: dict[str, list[Any]] = {
    "rest": [
        {"result": {"answer": "a"}, "usage": {"total_tokens": 2}, "metadata": {"execution_time": 1.5, "agent_version": "1", "request_id": "r"}},
        {"status": "success", "data": {"result": {"answer": "a"}, "metadata": {"execution_time": 1, "tokens_used": 15}}},
        {"answer": ["bare", 1, None]},
    ],
    "server": [
        {"success": True, "data": ws.structured({"answer": "a"}), "error": None, "request_id": "r"},
        {"success": True, "output_data": {"type": "array", "payload": "[1, 2]"}},
        {"success": True, "data": {"result_data": {"data": ws.structured(5)}}},
        {"success": False, "data": None, "error": {"code": "INTERNAL_ERROR", "message": "boom", "details": None, "field": None}},
    ],
}  # fmt: skip
EVENTS: dict[str, list[Any]] = {
    "rest": [
        ("start", {"message": "Stream started", "session_id": "s", "request_id": "r"}),
        ("chunk", {"content": "some text", "index": 0}),
        ("chunk", {"content": {"delta": "x", "n": [1]}}),
        ("error", {"error": "Model overloaded", "code": "CAPACITY_ERROR", "retry_after": 30}),
        ("message", {"error": {"message": "words", "type": "server_error", "code": None}}),
        ("done", {"usage": {"total_tokens": 150}, "execution_time": 2.5}),
    ],
    "server": [
        {"type": "status", "status": "stream_started", "invocation_id": "i"},
        {"type": "data", "content": ws.structured("some text")},
        {"type": "data", "content": ws.structured({"delta": "x", "n": [1]})},
        {"type": "error", "error": "Streaming error: boom"},
        {"type": "error", "detail": "Entrypoint nope not found"},
        {"type": "status", "status": "stream_failed"},
        {"type": "status", "status": "stream_completed", "execution_time": 0.5},
    ],
}  # fmt: skip


@dataclass
class Case:
    """The bytes that a server sends in one case.

    Attributes:
        status: The status of an answer.
        headers: Its headers.
        body: Its body, or the bytes of the stream.
        pieces: The same bytes, as they arrive.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    pieces: list[bytes]


class Mutator:
    """Makes the cases of one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def case(self, wire: str, kind: str) -> Case:
        """Return what a server of this wire sends to a call of this kind."""
        pick = self._random
        streams = kind == "stream" and pick.random() < 0.85
        if streams:
            body = self._stream(wire)
            status = 200
        else:
            status = pick.choice(STATUSES)
            value = pick.choice(ANSWERS[wire] if pick.random() < 0.5 else ERRORS)
            body = self._json(self._mutated(value))
        for _ in range(pick.choice([0, 0, 0, 1, 1, 2, 5])):
            body = self._with_bytes_changed(body)
        kinds = {True: "text/event-stream", False: "application/json"}
        headers = [("content-type", kinds[streams and wire == "rest"])]
        for _ in range(pick.choice([0, 0, 1, 3])):
            headers.append((pick.choice(HEADERS), pick.choice(HEADER_VALUES)))
        return Case(status, headers, body, self._cut(body))

    def _stream(self, wire: str) -> bytes:
        pick = self._random
        found = b""
        for _ in range(pick.randrange(1, 6)):
            event = pick.choice(EVENTS[wire])
            if wire == "rest":
                name, value = event
                name = pick.choice([name, name, name, "", "chunk\x00", "x" * 5000])
                text = self._json(self._mutated(value)).replace(b"\n", b"\ndata: ")
                found += f"event: {name}\n".encode() * bool(name) + b"data: " + text + b"\n\n"
            else:
                said = self._json(self._mutated(event)).decode("utf-8", "replace")
                found += ws.message(said) if pick.random() < 0.8 else ws.fragments(said, 3, 1)
        if pick.random() < 0.3:
            found += {"rest": chunk("x") + DONE, "server": ws.stream("x")}[wire]
        if pick.random() < 0.2:
            noise = {"rest": [b": ping\n\n", b"\n", sse("ping", {})], "server": [ws.ping(b"x"), ws.close(1011, "x")]}  # fmt: skip
            found = found + pick.choice(noise[wire]) + found
        return found

    def _json(self, value: Any) -> bytes:
        text = json.dumps(value, ensure_ascii=self._random.random() < 0.5)
        found = text.encode("utf-8", "surrogatepass")
        for name, raw in RAW.items():
            found = found.replace(b'"' + name.encode() + b'"', raw)
        return found

    def _mutated(self, value: Any) -> Any:
        """Return a value with some of its parts replaced, renamed, left out or added."""
        pick = self._random
        value = json.loads(json.dumps(value))
        for _ in range(pick.choice([0, 1, 1, 2, 4])):
            value = self._changed(value)
        return value

    def _changed(self, value: Any) -> Any:
        pick = self._random
        if isinstance(value, dict) and value and pick.random() < 0.75:
            key = pick.choice(list(value))
            way = pick.randrange(4)
            if way == 0:
                value[pick.choice(KEYS)] = value.pop(key)
            elif way == 1:
                value[pick.choice(KEYS)] = copy.deepcopy(pick.choice(HOSTILE))
            elif way == 2 and pick.random() < 0.3:
                del value[key]
            else:
                value[key] = self._changed(value[key])
            return value
        if isinstance(value, list) and value and pick.random() < 0.75:
            index = pick.randrange(len(value))
            value[index] = self._changed(value[index])
            return value
        if pick.random() < 0.1:
            return pick.choice([[value], {pick.choice(KEYS): value}, json.dumps(value)])
        return copy.deepcopy(pick.choice(HOSTILE))

    def _with_bytes_changed(self, data: bytes) -> bytes:
        pick = self._random
        start = pick.randrange(len(data) + 1)
        end = min(len(data), start + pick.choice([0, 1, 1, 4, 30, 1000]))
        inserted = pick.choice(
            [b"", b"\x00", b"\xff\xfe", b'"', b"{", b"}", b"\n\n", b"\r", b'{"error":1,', b"NaN",
             b"\xed\xa0\xbd", b"1e999", b"\x88\x02\x03\xf3", b"\x89\x00", bytes([pick.randrange(256)])]
        )  # fmt: skip
        way = pick.randrange(4)
        if way == 0:
            return data[:start] + inserted + data[end:]
        if way == 1:
            return data[:start] + data[start:end] * 2 + data[end:]
        if way == 2 and start < len(data):
            return (
                data[:start] + bytes([data[start] ^ (1 << pick.randrange(8))]) + data[start + 1 :]
            )
        return data[:start] if pick.random() < 0.3 else data[:start] + inserted + data[start:]

    def _cut(self, data: bytes) -> list[bytes]:
        cuts = sorted(
            self._random.randrange(len(data) + 1) for _ in range(self._random.choice([0, 1, 4]))
        )
        return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
