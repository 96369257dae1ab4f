"""Faults of the answers: statuses, waits, answers that cannot be read, and streams."""

from __future__ import annotations

from runagent import (
    AgentNotFoundError,
    AuthenticationError,
    RateLimitError,
    RunAgentError,
    StreamError,
    TimeoutError,  # noqa: A004
    ValidationError,
)
from support.clock import PATIENCE
from support.fault_table import (
    GOOD,
    GOOD_AFTER_3,
    OK,
    UNREADABLE,
    Expected,
    Fault,
    both,
    each,
    http_date,
    retry_row,
    then_good,
)
from support.faults import (
    DONE,
    KEEP,
    LAST_FRAME,
    SSE_HEAD,
    Late,
    answer,
    chunk,
    error,
    frame,
    head,
    sse,
    stream,
)

ANSWERS = [
    # statuses
    *[
        Fault(f"{status} twice, then 200", then_good(error(status), error(status)), GOOD_AFTER_3)
        for status in (408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529)
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
            *[(status, RunAgentError) for status in (409, 425, 520, 521, 522, 523, 524, 529)],
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
        Expected(RateLimitError, "BUSY", 4),
    ),
    # answers that cannot be read
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
