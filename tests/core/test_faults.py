"""Fault x (invoke, stream) x (sync, async): the exception, and the attempts made."""

from __future__ import annotations

import gzip
import logging
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest
from support.calls import KINDS, MODES, call
from support.clock import MOMENT, PATIENCE, SOON, TIMEOUT
from support.faults import (
    DONE,
    KEEP,
    LAST_FRAME,
    RESET,
    SSE_HEAD,
    STALL,
    Do,
    Drip,
    FaultServer,
    Late,
    Pause,
    Repeat,
    Script,
    answer,
    chunk,
    error,
    frame,
    good,
    head,
    sse,
    stream,
)

from runagent import (
    AgentNotFoundError,
    AuthenticationError,
    NetworkError,
    RateLimitError,
    RunAgentError,
    StreamError,
    TimeoutError,  # noqa: A004
    ValidationError,
)

Serve = Callable[..., FaultServer]

SHORT = {"timeout": TIMEOUT}
"""For faults that only the timeout ends."""

OK = None


@dataclass(frozen=True)
class Expected:
    """How a call ends: `kind` is the very class raised, `OK` for a good answer."""

    kind: type[RunAgentError] | None
    code: str | None = None
    attempts: int | None = 1  # None where it depends on when the client looks
    says: str = ""


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    Attributes:
        name: What goes wrong.
        scripts: The answers, by the kind of call.
        invoke: How `run_generic` ends.
        stream: How `run_generic_stream` ends, `None` for the same.
        options: Of the client.
        at_least: Seconds that the call takes, or more.
    """

    name: str
    scripts: Callable[[str], list[Script]]
    invoke: Expected
    stream: Expected | None = None
    options: dict[str, Any] = field(default_factory=dict)
    at_least: float = 0.0
    server: dict[str, Any] = field(default_factory=dict)


def http_date(seconds: float) -> str:
    """Return the time in so many seconds, without its fraction."""
    return formatdate(time.time() + seconds, usegmt=True)


def both(*scripts: Script) -> Callable[[str], list[Script]]:
    return lambda _: list(scripts)


def each(invoke: Script, stream: Script) -> Callable[[str], list[Script]]:
    return lambda kind: [invoke if kind == "invoke" else stream]


def then_good(*scripts: Script) -> Callable[[str], list[Script]]:
    """Return scripts that fail, and a good answer after them."""
    return lambda kind: [*scripts, good(kind)]


LOST = Expected(NetworkError, "CONNECTION_LOST")
CUT = Expected(StreamError, "CONNECTION_LOST")
LATE = Expected(TimeoutError, "TIMEOUT")
UNREADABLE = Expected(RunAgentError, "INVALID_RESPONSE")
GOOD = Expected(OK)
GOOD_AFTER_3 = Expected(OK, attempts=3)

BODY = b'{"result": {"answer": "ok"}}'
JSON_CHUNKED = head(200, "application/json", "Transfer-Encoding: chunked")
SSE_GZIP = head(200, "text/event-stream", "Content-Encoding: gzip", "Transfer-Encoding: chunked")


def sized(body: bytes, size: int | None = None) -> bytes:
    return head(200, "application/json", f"Content-Length: {size or len(body)}") + body


def sse_sized(body: bytes, size: int | None = None) -> bytes:
    return head(200, "text/event-stream", f"Content-Length: {size or len(body)}") + body


def retry_row(name: str, *lines: str, **fields: Any) -> Fault:
    return Fault(
        f"503, then 200: {name}",
        then_good(error(503, "BUSY", *lines, **fields)),
        Expected(OK, attempts=2),
    )


TABLE = [
    # connections
    Fault(
        "reset on accept",
        both([]),
        Expected(NetworkError, attempts=None),
        server={"on_accept": [RESET]},
    ),
    Fault("closed on accept", both([]), LOST, server={"on_accept": []}),
    Fault(
        "reset after the request",
        both([RESET]),
        Expected(NetworkError, "CONNECTION_LOST", says="reset by peer."),
    ),
    Fault("closes without a word", both([]), LOST),
    Fault(
        "greets before the request",
        both([]),
        LOST,
        server={"on_accept": [b"220 smtp.example\r\n", Pause(MOMENT)]},
    ),
    # silence
    Fault("stalls on accept", both([]), LATE, options=SHORT, server={"on_accept": [STALL]}),
    Fault("stalls before the headers", both([STALL]), LATE, options=SHORT),
    Fault(
        "stalls in the headers", both([b"HTTP/1.1 200 OK\r\nContent-", STALL]), LATE, options=SHORT
    ),
    Fault(
        "stalls after the headers",
        each([sized(b"", 99), STALL], [SSE_HEAD, STALL]),
        LATE,
        options=SHORT,
    ),
    Fault(
        "stalls in the body",
        each([sized(BODY[:9], 99), STALL], [SSE_HEAD, frame(chunk("a")), STALL]),
        LATE,
        options=SHORT,
    ),
    Fault(
        "stalls after an error's headers",
        both([head(400, "application/json", "Content-Length: 99"), STALL]),
        LATE,
        options=SHORT,
    ),
    Fault("drips headers", both([Drip(head() + BODY)]), LATE, options=SHORT),
    Fault(
        "drips the body",
        each(
            [Drip(sized(BODY))],
            [
                sse_sized(b"", 8 + len(chunk("a") + DONE)),
                Drip(b": drip\n\n" + chunk("a") + DONE, TIMEOUT / 80),
            ],
        ),
        LATE,
        GOOD,
        options=SHORT,
        at_least=TIMEOUT,
    ),
    Fault(
        "drips an error's body",
        both([head(400, "application/json", "Content-Length: 99"), Drip(b"x" * 99)]),
        LATE,
        options=SHORT,
    ),
    Fault(
        "endless 100 Continue",
        both([Repeat(b"HTTP/1.1 100 Continue\r\n\r\n", pause=TIMEOUT / 10)]),
        LATE,
        options=SHORT,
    ),
    Fault(
        "503 and then silence",
        both(error(503), [STALL]),
        Expected(TimeoutError, "TIMEOUT", 2),
        options=SHORT,
    ),
    Fault(
        "503 for ever, and the timeout comes first",
        both(*[error(503, "BUSY", retry_after=0)] * 2, error(503, "BUSY", retry_after=PATIENCE)),
        Expected(RunAgentError, "BUSY", 3),
        options={"max_retries": 99},
    ),
    # keep-alive comments are life
    Fault(
        "comments for longer than the timeout",
        each(
            answer(),
            [
                SSE_HEAD,
                Repeat(frame(b": keep-alive\n\n"), 30, TIMEOUT / 20),
                frame(chunk("a") + DONE),
                LAST_FRAME,
            ],
        ),
        GOOD,
        options=SHORT,
    ),
    # framing
    Fault(
        "half a chunked frame",
        each([JSON_CHUNKED, b"1c\r\n" + BODY[:9]], [SSE_HEAD, b"ff\r\n" + chunk("a")]),
        LOST,
        CUT,
    ),
    Fault(
        "no last chunk", each([JSON_CHUNKED, frame(BODY)], [SSE_HEAD, frame(chunk("a"))]), LOST, CUT
    ),
    Fault(
        "no last chunk after the announced end",
        each([JSON_CHUNKED, frame(BODY)], [SSE_HEAD, frame(chunk("a") + DONE)]),
        LOST,
        GOOD,
    ),
    Fault(
        "a chunk size that is no number",
        each([JSON_CHUNKED, b"zz\r\n" + BODY], [SSE_HEAD, b"zz\r\n" + chunk("a")]),
        LOST,
        CUT,
    ),
    Fault(
        "content-length too long", each([sized(BODY, 99)], [sse_sized(chunk("a"), 999)]), LOST, CUT
    ),
    Fault(
        "content-length too short",
        each([sized(BODY, 9)], [sse_sized(chunk("a") + DONE, 9)]),
        UNREADABLE,
        Expected(StreamError, "STREAM_CUT_OFF"),
    ),
    Fault(
        "content-length that is no number",
        both([head(200, "application/json", "Content-Length: many")]),
        LOST,
    ),
    Fault(
        "two content-lengths",
        both([head(200, "application/json", "Content-Length: 9", "Content-Length: 28") + BODY]),
        LOST,
    ),
    Fault(
        "HTTP/1.0 with a length",
        each(
            [head(200, "application/json", "Content-Length: 28", version="1.0") + BODY],
            [head(200, "text/event-stream", version="1.0") + chunk("a") + DONE],
        ),
        GOOD,
    ),
    Fault(
        "HTTP/1.0 without a length",
        each(
            [head(version="1.0") + BODY],
            [head(200, "text/event-stream", version="1.0") + chunk("a") + DONE],
        ),
        GOOD,
    ),
    Fault(
        "HTTP/1.0 without a length, cut off",
        each(
            [head(version="1.0") + BODY[:9]],
            [head(200, "text/event-stream", version="1.0") + chunk("a")],
        ),
        UNREADABLE,
        Expected(StreamError, "STREAM_CUT_OFF"),
    ),
    Fault(
        "bytes after the answer",
        each([*answer(), b"HTTP/1.1 500 Surprise\r\n\r\n"], [*stream("a"), b"more"]),
        GOOD,
    ),
    Fault("garbage instead of HTTP", both([b"\x00\x01\x02 not HTTP at all\r\n\r\n"]), LOST),
    Fault("SSH instead of HTTP", both([b"SSH-2.0-OpenSSH_9.6\r\n"]), LOST),
    Fault("HTTP/2 preface", both([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]), LOST),
    Fault("TLS alert", both([b"\x15\x03\x01\x00\x02\x02\x46"]), LOST),
    Fault("a status that is no number", both([b"HTTP/1.1 OK\r\n\r\n"]), LOST),
    Fault(
        "endless headers",
        both([b"HTTP/1.1 200 OK\r\n", Repeat(b"X-More: " + b"x" * 1000 + b"\r\n")]),
        LOST,
    ),
    Fault("one endless header", both([b"HTTP/1.1 200 OK\r\nX-More: ", Repeat(b"x" * 4096)]), LOST),
    Fault(
        "a header with a NUL",
        both([b"HTTP/1.1 200 OK\r\nX-A: a\x00b\r\nContent-Length: 0\r\n\r\n"]),
        LOST,
    ),
    Fault(
        "100, 102 and 103, then the answer",
        lambda kind: [
            [
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
                *good(kind),
            ]
        ],
        GOOD,
    ),
    Fault(
        "101 that nobody asked for",
        both(
            [
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
                Pause(MOMENT),
            ]
        ),
        LOST,
    ),
    # encodings
    Fault(
        "gzip",
        each(
            [
                head(
                    200,
                    "application/json",
                    "Content-Encoding: gzip",
                    f"Content-Length: {len(gzip.compress(BODY, mtime=0))}",
                )
                + gzip.compress(BODY, mtime=0)
            ],
            [SSE_GZIP, frame(gzip.compress(chunk("a") + DONE)), LAST_FRAME],
        ),
        GOOD,
    ),
    Fault(
        "invalid gzip",
        each(
            [head(200, "application/json", "Content-Encoding: gzip", "Content-Length: 28") + BODY],
            [SSE_GZIP, frame(chunk("a")), LAST_FRAME],
        ),
        UNREADABLE,
    ),
    Fault(
        "half a gzip",
        each(
            [
                head(200, "application/json", "Content-Encoding: gzip", "Content-Length: 30")
                + gzip.compress(BODY)[:30]
            ],
            [SSE_GZIP, frame(gzip.compress(chunk("a" * 999) + DONE)[:40]), LAST_FRAME],
        ),
        UNREADABLE,
        Expected(StreamError, "STREAM_CUT_OFF"),
    ),
    Fault(
        "an error with invalid gzip",
        both(
            [head(400, "application/json", "Content-Encoding: gzip", "Content-Length: 4") + b"oops"]
        ),
        UNREADABLE,
    ),
    Fault(
        "an unknown content encoding",
        lambda kind: [
            [
                step.replace(b"Content-Type", b"Content-Encoding: rot13\r\nContent-Type")
                if isinstance(step, bytes)
                else step
                for step in good(kind)
            ]
        ],
        GOOD,
    ),
    Fault(
        "invalid UTF-8",
        each(
            answer(b'{"result": {"answer": "\xff\xfe"}}'),
            [SSE_HEAD, frame(b'event: chunk\ndata: {"content": "\xff"}\n\n' + DONE), LAST_FRAME],
        ),
        UNREADABLE,
        GOOD,
    ),
    # more than anybody wants
    Fault(
        "100 MB without a newline",
        each(
            [JSON_CHUNKED, Repeat(frame(b" " * 65536), 1600)],
            [SSE_HEAD, Repeat(frame(b"x" * 65536), 1600)],
        ),
        Expected(RunAgentError, "MESSAGE_TOO_LARGE"),
        Expected(StreamError, "MESSAGE_TOO_LARGE"),
        options={"max_message_size": 1_000_000},
    ),
    Fault(
        "an error of 100 MB",
        both(
            [
                head(418, "text/plain", "Transfer-Encoding: chunked"),
                Repeat(frame(b"x" * 65536), 1600),
            ]
        ),
        Expected(RunAgentError, says="xxx"),
    ),
    Fault(
        "one event of many lines",
        each(answer(), [SSE_HEAD, Repeat(frame(b"data:\n" * 10_000), 1600)]),
        GOOD,
        Expected(StreamError, "MESSAGE_TOO_LARGE"),
        options={"max_message_size": 1_000_000},
    ),
    # errors in the shapes of other servers
    *[
        Fault(f"{name}, with {status}", both(answer(body, status)), Expected(kind, code, 1, says))
        for status, kind in ((400, ValidationError), (418, RunAgentError))
        for name, body, code, says in (
            (
                "FastAPI's detail that is an object",
                {"detail": {"code": "C7", "message": "No oil"}},
                "C7",
                "No oil",
            ),
            ("a detail of other fields", {"detail": {"reason": "No oil", "n": 1}}, None, "No oil"),
            (
                "FastAPI's list",
                {"detail": [{"loc": ["body", "x"], "msg": "No oil"}]},
                None,
                "body.x: No oil",
            ),
            (
                "a list of errors",
                {"errors": [{"message": "No oil", "code": "C7"}, "more"]},
                "C7",
                "No oil; more",
            ),
            ("a list of texts", {"errors": ["No oil"]}, None, "No oil"),
            (
                "GraphQL's errors",
                {"errors": [{"message": "No oil", "extensions": {"code": "C7"}}]},
                "C7",
                "No oil",
            ),
            (
                "problem details",
                {"type": "https://x/y", "title": "Stopped", "detail": "No oil", "status": 400},
                None,
                "Stopped: No oil",
            ),
            ("OAuth's words", {"error": "c_7", "error_description": "No oil"}, "c_7", "No oil"),
            (
                "a type instead of a code",
                {"error": {"message": "No oil", "type": "c_7", "code": None}},
                "c_7",
                "No oil",
            ),
            ("AWS's words", {"message": "No oil"}, None, "No oil"),
            (
                "a message of 1 MB",
                {"error": {"message": "No oil" + "x" * 1_000_000}},
                None,
                "No oil",
            ),
            (
                "a code of 1 MB",
                {"error": {"message": "No oil", "code": "x" * 1_000_000}},
                None,
                "No oil",
            ),
        )
    ],
    # an error is no answer
    *[
        Fault(name, each(answer(body), stream("a")), Expected(RunAgentError, code, 1, says), GOOD)
        for name, body, code, says in (
            (
                "200 with status error",
                {"status": "error", "error": {"code": "C7", "message": "No oil"}},
                "C7",
                "No oil",
            ),
            (
                "200 with status error and a result",
                {"status": "error", "message": "No oil", "result": 1},
                None,
                "No oil",
            ),
            (
                "200 without success",
                {"success": False, "message": "No oil", "code": "C7"},
                "C7",
                "No oil",
            ),
            ("200 with nothing but an error", {"error": "No oil"}, None, "No oil"),
            (
                "200 with nothing but an error object",
                {"error": {"code": 7, "message": "No oil"}},
                "7",
                "No oil",
            ),
        )
    ],
    *[
        Fault(f"an answer with {name}", each(answer(body), stream("a")), GOOD)
        for name, body in (
            ("an error among others", {"error": "none", "answer": 1}),
            ("an empty error", {"error": None}),
            ("a status of its own", {"status": "failed", "job": 7}),
            ("success that is no boolean", {"success": 0, "answer": 1}),
            ("an error in the result", {"result": {"status": "error", "error": "x"}}),
        )
    ],
    # streams that only look wrong
    Fault(
        "two content types",
        each(
            answer(),
            [head(200, "text/event-stream", "Content-Type: text/event-stream") + chunk("a") + DONE],
        ),
        GOOD,
    ),
    Fault(
        "an empty chunk", each(answer(), stream("a", end=b"event: chunk\ndata:\n\n" + DONE)), GOOD
    ),
    *[
        Fault(
            f"an error without a name: {body}",
            each(answer(), stream("a", end=f"data: {body}\n\n".encode())),
            GOOD,
            Expected(StreamError, code, says="No oil"),
        )
        for body, code in (
            ('{"error": {"message": "No oil", "code": "C7"}}', "C7"),
            ('{"error": "No oil", "request_id": "r"}', None),
            ('{"type": "error", "error": {"type": "c_7", "message": "No oil"}}', "c_7"),
            ('{"status": "error", "message": "No oil"}', None),
        )
    ],
    # encodings
    Fault(
        "x-gzip",
        each(
            [head(200, "application/json", "Content-Encoding: X-GZip") + gzip.compress(BODY)],
            [
                head(200, "text/event-stream", "Content-Encoding: x-gzip")
                + gzip.compress(chunk("a") + DONE)
            ],
        ),
        GOOD,
    ),
    Fault(
        "a member of gzip for each event",
        each(
            [
                head(200, "application/json", "Content-Encoding: gzip")
                + gzip.compress(BODY[:9])
                + gzip.compress(BODY[9:])
            ],
            [
                SSE_GZIP,
                frame(gzip.compress(chunk("a"))),
                frame(gzip.compress(chunk("b")) + gzip.compress(DONE)),
                LAST_FRAME,
            ],
        ),
        GOOD,
    ),
    Fault(
        "an encoding that cannot be read",
        each(
            [head(200, "application/json", "Content-Encoding: rot13") + b"\x01\x02\x03"],
            [head(200, "text/event-stream", "Content-Encoding: rot13") + b"\x01\x02\x03"],
        ),
        Expected(RunAgentError, "INVALID_RESPONSE", says="'rot13'"),
        Expected(StreamError, "INVALID_RESPONSE", says="'rot13'"),
    ),
    Fault(
        "an error in an encoding that cannot be read",
        both([head(400, "application/json", "Content-Encoding: compress") + b"\x01\x02\x03"]),
        Expected(ValidationError, "INVALID_RESPONSE", says="'compress'"),
    ),
    Fault(
        "endless 1xx as fast as they come",
        both([Repeat(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000)]),
        LATE,
        options=SHORT,
    ),
    Fault(
        "endless chunk extensions",
        each(
            [JSON_CHUNKED, b"1;", Repeat(b"x" * 65536)],
            [SSE_HEAD, b"1;", Repeat(b"x" * 65536)],
        ),
        LOST,
        CUT,
        options=SHORT,
    ),
    # redirects
    *[
        Fault(
            f"redirect {status} to {where}",
            both(answer("", status, f"Location: {where}")),
            Expected(RunAgentError, "REDIRECTED", says=where),
        )
        for status in (301, 302, 303, 307, 308)
        for where in ("/elsewhere", "http://127.0.0.1:9/v1")
    ],
    Fault(
        "redirect loop",
        both(answer("", 307, "Location: /v1/agents/a/invoke")),
        Expected(RunAgentError, "REDIRECTED"),
    ),
    Fault(
        "redirect without a location", both(answer("", 302)), Expected(RunAgentError, "REDIRECTED")
    ),
    Fault(
        "304 Not Modified", both([b"HTTP/1.1 304 Not Modified\r\n\r\n"]), Expected(RunAgentError)
    ),
    # statuses
    *[
        Fault(f"{status} twice, then 200", then_good(error(status), error(status)), GOOD_AFTER_3)
        for status in (408, 429, 500, 502, 503, 504)
    ],
    *[
        Fault(f"{status} for ever", both(error(status)), Expected(kind, "OOPS", 4, "It failed"))
        for status, kind in (
            (408, TimeoutError),
            (429, RateLimitError),
            (500, RunAgentError),
            (502, RunAgentError),
            (503, RunAgentError),
            (504, TimeoutError),
        )
    ],
    *[
        Fault(f"{status} is final", both(error(status)), Expected(kind, "OOPS", 1, "It failed"))
        for status, kind in (
            (400, ValidationError),
            (401, AuthenticationError),
            (402, RunAgentError),
            (403, AuthenticationError),
            (404, AgentNotFoundError),
            (405, RunAgentError),
            (409, RunAgentError),
            (413, RunAgentError),
            (418, RunAgentError),
            (422, ValidationError),
            (501, RunAgentError),
            (505, RunAgentError),
        )
    ],
    Fault(
        "no retries wanted",
        both(error(503)),
        Expected(RunAgentError, "OOPS", 1),
        options={"max_retries": 0},
    ),
    Fault("status 599", both(error(599)), Expected(RunAgentError, "OOPS")),
    Fault("status 999", both(error(999)), Expected(RunAgentError)),
    # waits the server asks for
    Fault(
        "Retry-After: 1",
        then_good(error(503, "BUSY", "Retry-After: 1")),
        Expected(OK, attempts=2),
        at_least=1.0,
    ),
    Fault(
        "Retry-After as a date",
        then_good([Late(lambda: error(429, "BUSY", f"Retry-After: {http_date(2)}"))]),
        Expected(OK, attempts=2),
        at_least=0.9,
    ),
    Fault(
        "body's retry_after",
        then_good(error(429, "BUSY", retry_after=0.3)),
        Expected(OK, attempts=2),
        at_least=0.3,
    ),
    Fault(
        "body's details.retry_after",
        then_good(error(429, "BUSY", details={"retry_after": 0.3})),
        Expected(OK, attempts=2),
        at_least=0.3,
    ),
    Fault(
        "X-RateLimit-Reset-After",
        then_good(error(429, "BUSY", "X-RateLimit-Reset-After: 0.3")),
        Expected(OK, attempts=2),
        at_least=0.3,
    ),
    Fault(
        "Retry-After counts before the others",
        then_good(
            error(429, "BUSY", "Retry-After: 0", "X-RateLimit-Reset-After: 99", retry_after=99)
        ),
        Expected(OK, attempts=2),
    ),
    retry_row("Retry-After in the past", "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"),
    retry_row("Retry-After: nonsense", "Retry-After: after lunch"),
    retry_row("Retry-After: -5", "Retry-After: -5"),
    retry_row("Retry-After: NaN", "Retry-After: NaN"),
    retry_row("Retry-After: infinity", "Retry-After: 1e999"),
    retry_row("Retry-After: empty", "Retry-After:"),
    retry_row("retry_after of a wrong type", retry_after=["soon"]),
    retry_row("rate-limit headers without a rate limit", "X-RateLimit-Reset-After: 99"),
    Fault(
        "Retry-After longer than the timeout",
        both(error(429, "BUSY", f"Retry-After: {10 * PATIENCE:.0f}")),
        Expected(RateLimitError, "BUSY"),
    ),
    Fault(
        "Retry-After longer than anything",
        both(error(429, "BUSY", "Retry-After: 99999999999999999999")),
        Expected(RateLimitError, "BUSY"),
    ),
    # answers that are none
    Fault(
        "empty 200",
        both(answer(b"")),
        Expected(RunAgentError, "INVALID_RESPONSE", says="an empty body"),
    ),
    Fault(
        "204",
        both([b"HTTP/1.1 204 No Content\r\n\r\n"]),
        Expected(RunAgentError, "INVALID_RESPONSE"),
    ),
    Fault(
        "HTML with 200",
        both(answer("<html><h1>Sign in</h1>", content_type="text/html")),
        Expected(RunAgentError, "INVALID_RESPONSE", says="Sign in"),
    ),
    Fault(
        "HTML with 502",
        both(answer("<html><h1>Bad Gateway</h1>", 502, content_type="text/html")),
        Expected(RunAgentError, None, 4, "Bad Gateway"),
    ),
    Fault(
        "HTML with 404",
        both(answer("<html><h1>Nobody here</h1>", 404, content_type="text/html")),
        Expected(AgentNotFoundError, says="Nobody here"),
    ),
    Fault("empty 500", both(answer(b"", 500)), Expected(RunAgentError, None, 4, "an empty body")),
    Fault(
        "truncated JSON",
        both(answer(b'{"result": {"ans')),
        Expected(RunAgentError, "INVALID_RESPONSE", says="ans"),
    ),
    Fault(
        "truncated JSON with 400",
        both(answer(b'{"error": {"co', 400)),
        Expected(ValidationError, says="co"),
    ),
    Fault(
        "JSON deeper than Python",
        each(
            answer(b"[" * 200_000),
            [SSE_HEAD, frame(b"event: chunk\ndata: " + b"[" * 200_000 + b"\n\n"), LAST_FRAME],
        ),
        UNREADABLE,
        Expected(StreamError, "INVALID_RESPONSE"),
    ),
    Fault(
        "a number longer than Python",
        each(
            answer(b'{"result": ' + b"9" * 5000 + b"}"),
            [SSE_HEAD, frame(b"event: chunk\ndata: " + b"9" * 5000 + b"\n\n" + DONE), LAST_FRAME],
        ),
        UNREADABLE,
        Expected(StreamError, "INVALID_RESPONSE"),
    ),
    Fault(
        "an error of wrong types",
        both(
            answer(
                {
                    "error": {
                        "code": 7,
                        "message": ["x"],
                        "details": "d",
                        "request_id": 9,
                        "status": "n",
                        "retry_after": {},
                    }
                },
                400,
            )
        ),
        Expected(ValidationError, "7"),
    ),
    Fault(
        "an error that is a string",
        both(answer({"error": "no such thing"}, 400)),
        Expected(ValidationError, says="no such thing"),
    ),
    Fault(
        "an error that is a list",
        both(answer(["oops"], 400)),
        Expected(ValidationError, says="oops"),
    ),
    Fault(
        "an error of a framework",
        both(answer({"detail": "Not Found"}, 405)),
        Expected(RunAgentError, says="Not Found"),
    ),
    Fault(
        "an error on one line",
        both(answer({"error": {"message": "no code"}}, 400)),
        Expected(ValidationError, None, says="no code"),
    ),
    Fault(
        "JSON instead of a stream",
        each(answer(), answer({"result": {"answer": "all at once"}})),
        GOOD,
        Expected(RunAgentError, "INVALID_RESPONSE", says="all at once"),
    ),
    Fault(
        "a documented error with 200 instead of a stream",
        each(
            answer(),
            answer({"error": {"code": "NO_STREAM", "message": "This agent cannot stream"}}),
        ),
        GOOD,
        Expected(RunAgentError, "NO_STREAM", says="cannot stream"),
    ),
    Fault("an event stream instead of JSON", each(stream("a"), stream("a")), UNREADABLE, GOOD),
    # streams
    Fault("done without data", each(answer(), stream("a", end=b"event: done\ndata\n\n")), GOOD),
    Fault(
        "done without a data line is no event",
        each(answer(), stream("a", end=b"event: done\n\n")),
        GOOD,
        Expected(StreamError, "STREAM_CUT_OFF"),
    ),
    Fault(
        "the end is not announced",
        each(answer(), stream("a", end=b": bye\n\n")),
        GOOD,
        Expected(StreamError, "STREAM_CUT_OFF"),
    ),
    Fault(
        "the end lacks its blank line",
        each(answer(), stream("a", end=DONE[:-1])),
        GOOD,
        Expected(StreamError, "STREAM_CUT_OFF"),
    ),
    Fault(
        "an empty stream",
        each(answer(), [SSE_HEAD, LAST_FRAME, KEEP]),
        GOOD,
        Expected(StreamError, "STREAM_CUT_OFF"),
    ),
    Fault(
        "an error before any chunk",
        each(
            answer(),
            stream(
                end=sse(
                    "error",
                    {"error": "Model overloaded", "code": "CAPACITY_ERROR", "retry_after": 30},
                )
            ),
        ),
        GOOD,
        Expected(StreamError, "CAPACITY_ERROR", says="Model overloaded"),
    ),
    Fault(
        "an error after chunks",
        each(
            answer(),
            stream(
                "a", "b", end=sse("error", {"error": "Model overloaded", "code": "CAPACITY_ERROR"})
            ),
        ),
        GOOD,
        Expected(StreamError, "CAPACITY_ERROR", says="Model overloaded"),
    ),
    Fault(
        "an error event that is text",
        each(answer(), stream("a", end=b"event: error\ndata: it broke\n\n")),
        GOOD,
        Expected(StreamError, says="it broke"),
    ),
    Fault(
        "an error event of a wrong shape",
        each(answer(), stream("a", end=sse("error", [1, {"x": None}]))),
        GOOD,
        Expected(StreamError, says="[1"),
    ),
    Fault(
        "a chunk that is not JSON",
        each(answer(), stream("a", end=b"event: chunk\ndata: {oops\n\n" + DONE)),
        GOOD,
        Expected(StreamError, "INVALID_RESPONSE", says="oops"),
    ),
    Fault(
        "events nobody knows",
        each(
            answer(),
            stream(
                "a",
                end=b"event: thought\ndata: hm\n\nid: 7\nretry: 10\n\nretry: "
                + b"9" * 6000
                + b"\n\n"
                + DONE,
            ),
        ),
        GOOD,
    ),
    Fault("chunks after the end", each(answer(), stream("a", end=DONE + chunk("too late"))), GOOD),
    Fault(
        "no content type", each(answer(), [b"HTTP/1.1 200 OK\r\n\r\n" + chunk("a") + DONE]), GOOD
    ),
    Fault(
        "a content type with parameters",
        each(answer(), [head(200, "Text/Event-Stream; Charset=UTF-8") + chunk("a") + DONE]),
        GOOD,
    ),
]


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
    if attempts is not None and "on_accept" not in row.server:
        server.wait_for(attempts)  # a busy server may read the last one after its client left
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
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
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
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

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
