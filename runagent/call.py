"""The state of one call over all its attempts: its request, its time, its attempts."""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import httpx2

from runagent import raised
from runagent.errors import RunAgentError
from runagent.redaction import Redactor
from runagent.results import RunResult
from runagent.wire import Input, Outgoing, Wire

Action = Literal["invoke", "stream", "entrypoints", "health"]

_UNHEALTHY = 503
"""The status with which many servers report that they are not healthy."""

_TIMER = 0.02
"""Seconds by which a timer may be early."""

logger = logging.getLogger("runagent")


@dataclass(frozen=True)
class Attempt:
    """The outcome of a call that is not repeated, with what its maker needs to repeat it.

    Attributes:
        result: The answer, `None` if there is none.
        error: The error, `None` if there is an answer.
        again: Whether the same request may be sent again, after an error.
        headers: The headers of the response, by their names in lower case; empty without one.
    """

    result: RunResult | None = None
    error: RunAgentError | None = None
    again: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Call:
    """One call.

    Attributes:
        wire: The wire it is made over.
        data: The input.
        action: The method of the wire that makes its request.
        timeout: Seconds, `math.inf` for no limit: for the whole call, or of a stream's silence.
        total_timeout: Seconds, `math.inf` for no limit: for a stream, to its end.
        limit: Seconds until the call must be answered, the lesser of both.
        headers: Sent with each attempt.
        redact: Takes the secrets of the client and of these headers out of texts.
        idempotency_key: Sent with each attempt, so that a server may tell that they are one call.
        outgoing: The request.
        attempts: Requests sent so far.
        answered: Whether the last attempt has an answer.
        accepted: Whether that is a good one, judged by its status and headers.
        received: The headers of the answer, by their names in lower case.
        repeats: Whether the client itself repeats it.
        again: Whether the last attempt may be repeated.
    """

    def __init__(
        self,
        wire: Wire,
        data: Input,
        action: Action,
        timeout: float,
        headers: Mapping[str, str],
        redactor: Redactor,
        total_timeout: float = math.inf,
    ) -> None:
        """Prepare the request; `start` begins the call."""
        self.data = data
        self.action = action
        self.timeout = timeout
        self.total_timeout = total_timeout
        self.headers = headers
        self.redact = redactor.with_headers(headers)
        self.limit = min(timeout, total_timeout)
        self.idempotency_key = ""
        self.repeats = True
        self.again = False
        self.attempts = 0
        self.answered = self.accepted = False
        self.received: Mapping[str, str] = {}
        self._started = self._sent = 0.0
        self.switch(wire)

    def switch(self, wire: Wire) -> None:
        """Go on over another wire: the requests over the first one did not reach the agent."""
        self.attempts = 0
        self.wire = wire
        self.outgoing = self._outgoing()

    def _outgoing(self) -> Outgoing:
        if self.action == "stream":
            return self.wire.stream(self.data)
        if self.action == "entrypoints":
            return self.wire.entrypoints()
        if self.action == "health":
            return self.wire.health()
        return self.wire.invoke(self.data)

    @property
    def streams(self) -> bool:
        """Whether the answer is a stream."""
        return self.action == "stream"

    @property
    def needs_entrypoints(self) -> bool:
        """Whether it can only be made over a wire that has named entrypoints and users."""
        data = self.data
        return self.action == "entrypoints" or not data.is_generic or data.names_user

    @property
    def silence(self) -> float | None:
        """Seconds a stream may be silent, `None` for no limit."""
        return None if math.isinf(self.timeout) else self.timeout

    def start(self) -> None:
        """Begin: the time runs from here."""
        # Not before: a stream may be taken along to a forked process, and begin in both.
        if not self.idempotency_key:
            self.idempotency_key = secrets.token_hex(16)
        raised.expect(self.idempotency_key)
        self._started = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the call began."""
        return time.monotonic() - self._started

    @property
    def remaining(self) -> float:
        """Seconds left until the call must be answered; never quite zero."""
        return max(self._started + self.limit - time.monotonic(), 0.001)

    @property
    def deadline(self) -> float:
        """When a stream must have ended, on the monotonic clock; `math.inf` for no limit."""
        return self._started + self.total_timeout

    @property
    def is_over(self) -> bool:
        """Whether the time for the whole stream is over, but for the precision of a timer."""
        return self.elapsed > self.total_timeout - _TIMER

    def begin_attempt(self) -> None:
        """Take note that a request is about to be sent."""
        self.attempts += 1
        self.answered = self.accepted = False
        self._sent = time.monotonic()

    def accepts(self, response: httpx2.Response) -> bool:
        """Take note of an answer's status and headers; return whether it is a good one."""
        self.answered = True
        # A plain dictionary is quicker to look things up in.
        self.received = dict(response.headers.items())
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug(
                "%s %s: %d in %.3f s (attempt %d, request %s)",
                self.outgoing.method,
                self.outgoing.url,
                response.status_code,
                time.monotonic() - self._sent,
                self.attempts,
                self.redact(self.received.get("x-request-id", "unknown")),
            )
        self.accepted = self.wire.accepts(
            self.outgoing, response.status_code, self.received, streams=self.streams
        ) or (self.action == "health" and response.status_code == _UNHEALTHY)
        return self.accepted
