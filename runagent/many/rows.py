"""The rows of a batch: as users see them, and as the engine carries them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runagent.errors import RunAgentError


@dataclass(frozen=True)
class Row:
    """One row of a batch, with its answer or its error.

    >>> row = next(RunAgentClient("shout").map([("r1", {"query": "Good?"})]))
    >>> row.id, row.output, row.error
    ('r1', 'GOOD?', None)

    Attributes:
        id: Its id, or its position in the inputs, from 0, if it was given none.
        input: Its input.
        output: The agent's answer, of any JSON type, or as an instance of `response_model`. It is
            `None` if the row failed, unless it failed as its answer does not fit that model: then
            it is the answer as it came.
        error: Why it failed, `None` if it did not.
        attempts: How many times it was sent. Refusals because of a rate limit do not count.
        usage: Token counts by name, as the server sent them, and the money as `"cost"` if it said
            so; empty if it sent none.
        elapsed: Seconds from the first time it was sent to its answer; 0 if it never was.
    """

    id: Any
    input: Any = field(repr=False)
    output: Any = None
    error: RunAgentError | None = None
    attempts: int = 0
    usage: Mapping[str, Any] = field(default_factory=dict, repr=False)
    elapsed: float = 0.0


@dataclass(eq=False, slots=True)
class Entry:
    """A row that has no answer yet.

    Attributes:
        position: Its position in the inputs, from 0.
        id: Its id.
        name: Its id as text, by which it is known in a journal.
        input: Its input.
        encoded: The input as JSON; empty if it is none.
        round: How often it was asked again on purpose.
        error: Why it cannot be sent, `None` if it can.
    """

    position: int
    id: Any
    name: str
    input: Any
    encoded: bytes = b""
    round: int = 0
    error: RunAgentError | None = None

    @property
    def digest(self) -> bytes:
        """Tells whether the input is the same as at another time."""
        return hashlib.blake2b(self.encoded, digest_size=16).digest()


@dataclass(eq=False, slots=True)
class Task:
    """One request of a batch, for one row or for several.

    Attributes:
        entries: The rows.
        key: Its idempotency key, the same whenever these rows are sent.
        attempts: How often it was sent, without refusals because of a rate limit.
        lost: Whether a connection was lost with it.
        workers_lost: How many workers of an executor were lost with it.
        began: When it was first sent, `None` before.
    """

    entries: list[Entry]
    key: str
    attempts: int = 0
    lost: bool = False
    workers_lost: int = 0
    began: float | None = None


def key_of(batch: str, generation: int, entries: list[Entry]) -> str:
    """Return the idempotency key of a request: the same rows of the same batch have the same."""
    parts = [batch, generation, [(e.name, e.digest.hex(), e.round) for e in entries]]
    return f"row-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}"
