"""The results of calls: answers with their facts, events of streams, entrypoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_RATE_LIMIT_HEADERS = frozenset(
    f"x-ratelimit-{name}" for name in ("limit", "remaining", "reset", "reset-after")
)


@dataclass(frozen=True)
class RateLimit:
    """The server's `X-RateLimit-*` headers; `None` for each that is missing.

    >>> RunAgentClient("shout").run_generic_with_metadata({"query": "Hello"}).rate_limit
    RateLimit(limit=None, remaining=None, reset=None, reset_after=None)

    Attributes:
        limit: Calls allowed in the current window.
        remaining: Calls left in it.
        reset: When the window ends, in seconds since the Unix epoch.
        reset_after: Seconds until it ends, at the time of the answer.
    """

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None
    reset_after: float | None = None

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> RateLimit:
        """Read the headers; one that is missing or not a number becomes `None`.

        Example:
            >>> RateLimit.from_headers({"x-ratelimit-limit": "60", "x-ratelimit-remaining": "7"})
            RateLimit(limit=60, remaining=7, reset=None, reset_after=None)
        """
        if _RATE_LIMIT_HEADERS.isdisjoint(headers):
            return cls()
        limit = number(headers.get("x-ratelimit-limit"))
        remaining = number(headers.get("x-ratelimit-remaining"))
        return cls(
            limit=None if limit is None else int(limit),
            remaining=None if remaining is None else int(remaining),
            reset=number(headers.get("x-ratelimit-reset")),
            reset_after=number(headers.get("x-ratelimit-reset-after")),
        )


@dataclass(frozen=True)
class RunResult:
    """An agent's answer, and everything that is known about it.

    >>> result = RunAgentClient("shout").run_generic_with_metadata({"query": "Hello"})
    >>> result.value, result.attempts, result.status_code
    ('HELLO', 1, 200)

    Attributes:
        result: The agent's answer as a dictionary, as `run_generic` returns it.
        value: The agent's answer unchanged, of any type.
        usage: Token counts by name, as the server sent them; empty if it sent none.
        execution_time: Seconds the agent took, as the server measured them.
        tokens_used: Tokens in all.
        agent_version: Version of the agent.
        request_id: The server's id of this request.
        metadata: Everything the server sent as metadata.
        status_code: The HTTP status.
        attempts: How many times the request was sent.
        elapsed: Seconds from the call to the answer, retries included.
        rate_limit: The server's rate-limit headers.
        raw: The decoded body of the answer, whole.
        cost: The money that the call cost, as the server says, in the server's currency.
    """

    result: dict[str, Any]
    value: Any = field(default=None, repr=False)
    usage: dict[str, Any] = field(default_factory=dict)
    execution_time: float | None = None
    tokens_used: int | None = None
    agent_version: str | None = None
    request_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    status_code: int = 200
    attempts: int = 1
    elapsed: float = 0.0
    rate_limit: RateLimit = field(default_factory=RateLimit)
    raw: Any = field(default=None, repr=False)
    cost: float | None = None


@dataclass(frozen=True)
class StreamEvent:
    """One event of a stream, as the agent's server sent it.

    >>> for event in RunAgentClient("shout").stream_events({"query": "Hello"}):
    ...     print(event.kind, event.text)
    start None
    chunk HELLO
    done None

    Attributes:
        kind: `"start"`, `"chunk"`, `"done"`, or the name of an event this version does not know.
        value: The value it carries, any JSON value.
        text: The text a chunk adds to the answer; `None` for an event that adds none.
    """

    kind: str
    value: Any
    text: str | None = None


Event = tuple[str, Any, str | None]
"""The kind, value and text of a `StreamEvent`, before anybody asks for one.

Most streams give out the text alone, and a tuple is made in a fraction of the time.
"""


@dataclass(frozen=True)
class Entrypoint:
    """A named way into an agent that `runagent serve` serves; `client.entrypoints` lists them.

    >>> Entrypoint("minimal_stream", file="main.py").streams
    True

    Attributes:
        tag: Its name; one that ends in `_stream` streams.
        file: The file it is in, `None` if the server does not say.
        module: The function's name, `None` if the server does not say.
    """

    tag: str
    file: str | None = None
    module: str | None = None

    @property
    def streams(self) -> bool:
        """Whether it streams its answer."""
        return self.tag.endswith("_stream")


@dataclass(frozen=True)
class Health:
    """The health of a server, as it reports it.

    >>> RunAgentClient("demo").health().status
    'healthy'

    Attributes:
        status: The state in the server's word, such as `"healthy"`, `"degraded"` or `"unhealthy"`.
        version: Version of the agent or its server, `None` if it does not say.
        uptime: Seconds it has been up, `None` if it does not say.
        checks: Its checks by name, with their results as it sent them; empty if it sent none.
        raw: The decoded body of the answer, whole.
    """

    status: str
    version: str | None = None
    uptime: float | None = None
    checks: dict[str, Any] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict, repr=False)


def cost_in(*places: object) -> float | None:
    """Return the field `cost` of the first of a server's objects that has it as an amount."""
    for place in places:
        if isinstance(place, dict) and "cost" in place:
            found = number(place["cost"])
            if found is not None and found >= 0:
                return found
    return None


def number(value: object) -> float | None:
    """Return a value of a server as a finite number, `None` if it is not one."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < float("inf") else None
