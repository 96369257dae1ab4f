"""The exceptions of this package, and the class and hint for each HTTP status."""

# RunAgentError
# ├── AuthenticationError
# ├── AgentNotFoundError
# ├── ValidationError       also a ValueError
# ├── RateLimitError
# ├── TimeoutError          also the builtin TimeoutError
# └── NetworkError          also a ConnectionError
#     └── StreamError       carries the text received so far

from __future__ import annotations

import builtins
import re
import sys
from typing import Any

MAX_MESSAGE = 2_000
"""Characters of a message. Notebooks save each error that they show."""

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class RunAgentError(Exception):
    """Base class of every error this package raises.

    >>> try:
    ...     RunAgentClient("demo").run({"query": 42})
    ... except RunAgentError as error:
    ...     print(error.message, error.code, error.status_code)
    query is 42, not a string. INVALID_FIELD_TYPE 422

    Attributes:
        message: The failure in one sentence, of at most 2,000 characters.
        code: The server's error code (`"AGENT_NOT_FOUND"`), or this client's; `None` if unknown.
        details: Everything else the server said, as a dictionary, or `None`. A message that had
            to be cut is here in full, as `"message"` (`"full_message"` if the server sent one).
        status_code: The HTTP status of the response, `None` if there was none.
        request_id: The server's id of the request, for its support, `None` if it sent none.
        retry_after: Seconds the server asks to wait before the next attempt, `None` if unknown.
        attempts: How many times the request was sent, `None` if it never was.
        hint: Advice on how to go on, `None` if there is none.
    """

    def __init__(
        self,
        message: str,
        code: str | None = None,
        details: dict[str, Any] | None = None,
        *,
        status_code: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        attempts: int | None = None,
        hint: str | None = None,
    ) -> None:
        if len(message) > MAX_MESSAGE:
            details = _with_full_message(details, message)
            message = f"{message[:MAX_MESSAGE]}…"
        super().__init__(message)
        self.message = _printable(message)
        self.code = code
        self.details = details
        self.status_code = status_code
        self.request_id = request_id
        self.retry_after = retry_after
        self.attempts = attempts
        self.hint = hint

    def __str__(self) -> str:
        facts = []
        if self.code is not None:
            facts.append(self.code)
        if self.status_code is not None:
            facts.append(f"HTTP {self.status_code}")
        if self.request_id is not None:
            facts.append(f"request {self.request_id}")
        if self.attempts is not None and self.attempts > 1:
            facts.append(f"{self.attempts} attempts")
        text = f"{self.message} [{', '.join(facts)}]" if facts else self.message
        text = _printable(f"{text} {self.hint}" if self.hint else text)
        # A server's words may not steer the terminal that shows a traceback.
        return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception would call the class with `args` alone; the attributes are in `__dict__`.
        return (_rebuild, (type(self), self.message), self.__dict__)


def _with_full_message(details: dict[str, Any] | None, message: str) -> dict[str, Any]:
    """Return details in which a message that is too long for an error's text is found in full."""
    details = details or {}
    if "message" not in details:
        return {"message": message, **details}
    return details if details["message"] == message else {"full_message": message, **details}


def _printable(text: str) -> str:
    """Return the text without lone surrogates: a notebook loses an error that has one."""
    return text.encode("utf-8", "backslashreplace").decode()


def _rebuild(kind: type[RunAgentError], message: str) -> RunAgentError:
    return kind(message)


class AuthenticationError(RunAgentError):
    """The API key is missing, wrong, expired, or not allowed to do this.

    >>> RunAgentClient("agent-123")
    Traceback (most recent call last):
    ...
    runagent.errors.AuthenticationError: There is no API key for https://api.run-agent.ai. ...
    """


class AgentNotFoundError(RunAgentError):
    """The server knows no agent with this id.

    >>> with serve({}) as server:
    ...     RunAgentClient("agent-123", base_url=server.url).run({"query": "Hello"})
    Traceback (most recent call last):
    ...
    runagent.errors.AgentNotFoundError: There is no agent 'agent-123' here. ...
    """


class ValidationError(RunAgentError, ValueError):
    """The input, a setting or an argument is not valid; nothing was done.

    >>> RunAgentClient("demo").run("Hello")
    Traceback (most recent call last):
    ...
    runagent.errors.ValidationError: input_data is of type str; ... Wrap it, ... as {"query": ...}.
    """


class RateLimitError(RunAgentError):
    """Too many requests; `retry_after` says when the next one is welcome, if the server did.

    >>> try:
    ...     RunAgentClient("busy", max_retries=0).run({})
    ... except RateLimitError as error:
    ...     print("again in", error.retry_after, "s")
    again in 30.0 s
    """


if sys.version_info >= (3, 11):
    _SystemTimeout = builtins.TimeoutError
else:  # there, asyncio's is not yet the builtin
    import asyncio

    class _SystemTimeout(builtins.TimeoutError, asyncio.TimeoutError):
        """The builtin as it is from Python 3.11 on."""


class TimeoutError(RunAgentError, _SystemTimeout):  # noqa: A001
    """There was no answer within the timeout, or the server gave up waiting.

    >>> try:
    ...     RunAgentClient("slow").run({}, timeout=0.1)
    ... except TimeoutError as error:  # runagent's own, or the builtin
    ...     print(error.code)
    TIMEOUT
    """


class NetworkError(RunAgentError, ConnectionError):
    """The server could not be reached, or the connection was lost.

    >>> with serve({}) as server:
    ...     url = server.url
    >>> try:
    ...     RunAgentClient("agent-123", base_url=url, max_retries=0).run({})
    ... except NetworkError as error:
    ...     print(error.code)
    CONNECTION_FAILED
    """


class StreamError(NetworkError):
    """A stream failed after it had begun, or ended without its end being announced.

    >>> try:
    ...     for chunk in RunAgentClient("breaking").run_generic_stream({}):
    ...         print(chunk)
    ... except StreamError as error:
    ...     print("so far:", error.text)
    The first half
    so far: The first half

    Attributes:
        text: The text received before the failure.
    """

    def __init__(
        self,
        message: str,
        code: str | None = None,
        details: dict[str, Any] | None = None,
        *,
        text: str = "",
        status_code: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        attempts: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(
            message,
            code,
            details,
            status_code=status_code,
            request_id=request_id,
            retry_after=retry_after,
            attempts=attempts,
            hint=hint,
        )
        self.text = text


_BY_STATUS: dict[int, type[RunAgentError]] = {
    400: ValidationError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: AgentNotFoundError,
    408: TimeoutError,
    422: ValidationError,
    429: RateLimitError,
    504: TimeoutError,
}

_HINTS: dict[type[RunAgentError], str] = {
    AuthenticationError: "Check the API key, and that it may use this agent.",
    AgentNotFoundError: "Check the agent's id and the base URL.",
}


def for_status(status: int) -> type[RunAgentError]:
    """Return the exception class for an HTTP status of 400 or more."""
    return _BY_STATUS.get(status, RunAgentError)


def hint_for(kind: type[RunAgentError]) -> str | None:
    """Return advice on errors of this class, `None` if there is none."""
    return _HINTS.get(kind)
