"""Rows of the table of faults: errors in the shapes of other servers, encodings, odd streams."""

from __future__ import annotations

import gzip

from runagent import RunAgentError, StreamError, ValidationError
from support.fault_table import (
    BODY,
    CUT,
    GOOD,
    JSON_CHUNKED,
    LATE,
    LOST,
    SHORT,
    SSE_GZIP,
    Expected,
    Fault,
    both,
    each,
)
from support.faults import DONE, LAST_FRAME, SSE_HEAD, Repeat, answer, chunk, frame, head, stream

SHAPES = [
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
        "members of gzip, and the encoding that changes nothing",
        each(
            [
                head(200, "application/json", "Content-Encoding: identity, x-gzip")
                + gzip.compress(BODY[:9])
                + gzip.compress(BODY[9:])
            ],
            [
                head(200, "text/event-stream", "Content-Encoding: gzip, identity")
                + gzip.compress(chunk("a"))
                + gzip.compress(DONE)
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
]
