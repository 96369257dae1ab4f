"""A row of the table of faults: the server's behaviour, and the outcome of the call."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from runagent import (
    NetworkError,
    RunAgentError,
    StreamError,
    TimeoutError,  # noqa: A004
)
from support.clock import TIMEOUT
from support.faults import (
    Script,
    error,
    good,
    head,
)

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
    """Return the time that many seconds from now, without its fraction."""
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
