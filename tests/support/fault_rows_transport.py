"""Faults of the transport: connections, silence, framing, encodings, floods and redirects."""

from __future__ import annotations

import gzip

from runagent import (
    NetworkError,
    RunAgentError,
    StreamError,
    TimeoutError,  # noqa: A004
)
from support.clock import MOMENT, PATIENCE, TIMEOUT
from support.fault_table import (
    BODY,
    CUT,
    GOOD,
    JSON_CHUNKED,
    LATE,
    LOST,
    SHORT,
    SSE_GZIP,
    UNREADABLE,
    Expected,
    Fault,
    both,
    each,
    sized,
    sse_sized,
)
from support.faults import (
    DONE,
    LAST_FRAME,
    RESET,
    SSE_HEAD,
    STALL,
    Drip,
    Pause,
    Repeat,
    answer,
    chunk,
    error,
    frame,
    good,
    head,
    stream,
)

TRANSPORT = [
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
]
