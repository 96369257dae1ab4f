"""What goes over the network, without doing any I/O: requests, answers and streams."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from runagent.errors import RunAgentError
from runagent.results import RunResult, StreamEvent

__all__ = ["Outgoing", "StreamReader", "Wire", "chunk_text", "excerpt", "parse_json"]


@dataclass(frozen=True)
class Outgoing:
    """A request as a wire wants it sent, before keys and timeouts are added.

    Attributes:
        method: The HTTP method.
        url: The absolute URL.
        content: The body, `None` for none.
        headers: Headers of this request.
    """

    method: str
    url: str
    content: bytes | None
    headers: Mapping[str, str]


class StreamReader(Protocol):
    """Reads one stream from its bytes."""

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take the next bytes; return the events they complete.

        The last event of a stream has the kind `"done"`, or `"error"` with a `value` that
        `failure` understands; nothing after it counts.
        """

    def outgoing(self) -> bytes:
        """Return bytes that must be sent to the server now, often none."""

    def failure(self, event: StreamEvent) -> RunAgentError:
        """Return the exception for an `"error"` event."""


class Wire(Protocol):
    """One protocol between a client and a server of agents."""

    @property
    def name(self) -> str:
        """The value of `protocol=` that selects it."""

    def invoke(self, content: bytes) -> Outgoing:
        """Return the request that runs the agent with this input (JSON)."""

    def stream(self, content: bytes) -> Outgoing:
        """Return the request that starts a stream with this input (JSON)."""

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> RunResult:
        """Read the answer to `invoke`.

        Raises:
            RunAgentError: It is an error, or not what this protocol knows.
        """

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> RunAgentError:
        """Return the exception for an answer whose status says that it failed."""

    def reader(self, max_message_size: int) -> StreamReader:
        """Return what reads the stream that answers `stream`."""


def parse_json(body: bytes | str) -> Any:
    """Return decoded JSON.

    Raises:
        ValueError: It is not JSON, or nested beyond what Python can hold.
    """
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def excerpt(body: bytes | str, length: int = 200) -> str:
    """Return the first characters of a body as one line for a message."""
    text = body[: 4 * length].decode("utf-8", "replace") if isinstance(body, bytes) else body
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return text if len(text) <= length else f"{text[:length]}…"


def chunk_text(value: Any) -> str | None:
    """Return the text a chunk's value adds to the answer.

    A string is itself. An object with a string under `content`, `delta` or `text` is that string.
    `None` adds nothing. Anything else is its JSON text.
    """
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, dict):
        for key in ("content", "delta", "text"):
            if isinstance(value.get(key), str):
                return str(value[key])
    return json.dumps(value, ensure_ascii=False)
