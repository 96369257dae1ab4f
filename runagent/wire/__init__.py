"""What goes over the network, without doing any I/O: requests, answers and streams."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from runagent.errors import RunAgentError
from runagent.results import RunResult, StreamEvent

__all__ = [
    "GENERIC",
    "GENERIC_STREAM",
    "STREAM_SUFFIX",
    "Input",
    "Outgoing",
    "StreamReader",
    "Wire",
    "chunk_text",
    "describe",
    "excerpt",
    "parse_json",
]

GENERIC = "generic"
"""The tag of the usual entrypoint."""

GENERIC_STREAM = "generic_stream"
"""The tag of the usual entrypoint that streams."""

STREAM_SUFFIX = "_stream"
"""What the tags of entrypoints that stream end in."""


@dataclass(frozen=True)
class Input:
    """What an agent is called with, as JSON.

    Attributes:
        content: The input, an object.
        entrypoint: The entrypoint to call, `None` for the usual one.
        args: Positional arguments for it, an array.
    """

    content: bytes = field(repr=False)
    entrypoint: str | None = None
    args: bytes = field(default=b"[]", repr=False)

    @property
    def is_generic(self) -> bool:
        """Whether it is for the usual entrypoint, with no positional arguments."""
        return self.entrypoint is None and self.args == b"[]"


@dataclass(frozen=True)
class Outgoing:
    """A request as a wire wants it sent, before keys and timeouts are added.

    Attributes:
        method: The HTTP method.
        url: The absolute URL.
        content: The body, `None` for none.
        headers: Headers of this request.
        key_in_query: Whether the API key is put into the query as `token` too.
    """

    method: str
    url: str
    content: bytes | None
    headers: Mapping[str, str]
    key_in_query: bool = False


class StreamReader(Protocol):
    """Reads one stream from its bytes."""

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take the next bytes; return the events they complete.

        The last event of a stream has the kind `"done"`, or `"error"` with a `value` that
        `failure` understands; nothing after it counts.
        """

    def outgoing(self) -> bytes:
        """Return bytes that must be sent to the server now, often none."""

    def closing(self) -> bytes:
        """Return bytes that end the stream, to be sent before the connection is closed."""

    def failure(self, event: StreamEvent) -> RunAgentError:
        """Return the exception for an `"error"` event."""


class Wire(Protocol):
    """One protocol between a client and a server of agents."""

    @property
    def name(self) -> str:
        """The value of `protocol=` that selects it."""

    def invoke(self, data: Input) -> Outgoing:
        """Return the request that runs the agent with this input."""

    def stream(self, data: Input) -> Outgoing:
        """Return the request that starts a stream with this input."""

    def accepts(
        self, sent: Outgoing, status: int, headers: Mapping[str, str], *, streams: bool
    ) -> bool:
        """Whether an answer begins as a good one to `stream`, or to any other request, does."""

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> RunResult:
        """Read the answer to `invoke`.

        Raises:
            RunAgentError: It is an error, or not what this protocol knows.
        """

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> RunAgentError:
        """Return the exception for an answer that is not accepted."""

    def reader(self, data: Input, max_message_size: int) -> StreamReader:
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


def describe(body: bytes) -> str:
    """Say what an unreadable body is, for a message."""
    return f"{excerpt(body)!r}" if body.strip() else "an empty body"


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
