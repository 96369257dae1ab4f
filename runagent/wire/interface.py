"""The interface of a wire: the requests it makes, and the responses and streams it reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from runagent.errors import RunAgentError
from runagent.results import Entrypoint, Event, Health, RunResult
from runagent.wire.health import health

GENERIC = "generic"
"""The tag of the usual entrypoint."""

GENERIC_STREAM = "generic_stream"
"""The tag of the usual entrypoint that streams."""

STREAM_SUFFIX = "_stream"
"""The ending of the tags of entrypoints that stream."""


@dataclass(frozen=True)
class Input:
    """The input of one call, as JSON.

    Attributes:
        content: The input, an object.
        entrypoint: The entrypoint to call, `None` for the usual one.
        args: Positional arguments for it, an array.
        user_id: The user on whose behalf the agent runs, `None` to name none.
        persistent_memory: Whether the agent may remember the call for that user.
    """

    content: bytes = field(repr=False)
    entrypoint: str | None = None
    args: bytes = field(default=b"[]", repr=False)
    user_id: str | None = None
    persistent_memory: bool = False

    @property
    def is_generic(self) -> bool:
        """Whether it is for the usual entrypoint, with no positional arguments."""
        return self.entrypoint is None and self.args == b"[]"

    @property
    def names_user(self) -> bool:
        """Whether it has facts about a user, which only some wires carry."""
        return self.user_id is not None or self.persistent_memory


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
    content: bytes | None = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    key_in_query: bool = False


class StreamReader(Protocol):
    """Reads one stream from its bytes.

    Attributes:
        effort: Bytes read so far, with a surcharge for everything that takes work whatever its
            size. Whoever reads may set it back, and stop when it grows too large.
    """

    effort: int

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes; return the events they complete.

        The last event of a stream has the kind `"done"`, or `"error"` with a value that
        `failure` understands; nothing after it counts.
        """

    def outgoing(self) -> bytes:
        """Return bytes that must be sent to the server now, often none."""

    def closing(self) -> bytes:
        """Return bytes that end the stream, to be sent before the connection is closed."""

    def failure(self, value: Any) -> RunAgentError:
        """Return the exception for an `"error"` event with this value."""


@dataclass(frozen=True)
class Wire(ABC):
    """One protocol between a client and the server of one agent. Does no I/O.

    The methods that are not abstract belong to abilities that a protocol may lack.

    Attributes:
        base_url: The server, without `/v1`.
        agent: The agent's id, quoted for a path.
        name: The value of `protocol=` that selects this wire.
        has_entrypoints: Whether agents have named entrypoints besides the usual two, and calls
            may name a user.
    """

    base_url: str
    agent: str
    name: ClassVar[str]
    has_entrypoints: ClassVar[bool] = False

    @abstractmethod
    def invoke(self, data: Input) -> Outgoing:
        """Return the request that runs the agent with this input."""

    @abstractmethod
    def stream(self, data: Input) -> Outgoing:
        """Return the request that starts a stream with this input."""

    @abstractmethod
    def accepts(
        self, sent: Outgoing, status: int, headers: Mapping[str, str], *, streams: bool
    ) -> bool:
        """Whether a good response to `stream`, or to any other request, begins like this."""

    @abstractmethod
    def answer(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        max_message_size: int | None = None,
    ) -> RunResult:
        """Read the response to `invoke`.

        Args:
            status: The HTTP status.
            headers: The headers, by their names in lower case.
            body: The body.
            max_message_size: The bytes that a response may have, which also limits the memory it
                may take; `None` for no limit.

        Raises:
            RunAgentError: An error, or a response that this protocol does not know.
        """

    @abstractmethod
    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> RunAgentError:
        """Return the exception for a response that is not accepted."""

    @abstractmethod
    def reader(self, data: Input, max_message_size: int) -> StreamReader:
        """Return a reader for the stream that answers `stream`."""

    @abstractmethod
    def health(self) -> Outgoing:
        """Return the request that asks for the health of the agent or its server."""

    def read_health(self, body: bytes) -> Health:
        """Read the response to `health`.

        Raises:
            ValueError: A body that is not a report of health.
        """
        return health(body)

    # Entrypoints

    def entrypoints(self) -> Outgoing:
        """Return the request for the list of the agent's entrypoints."""
        raise NotImplementedError

    def read_entrypoints(self, body: bytes) -> list[Entrypoint]:
        """Read the response to `entrypoints`.

        Raises:
            ValueError: A body that is not such a list.
        """
        raise NotImplementedError

    # Detection

    def identity(self) -> Outgoing | None:
        """Return the request whose response shows whether a server speaks this protocol."""
        return None

    def is_spoken_by(self, identity: bytes) -> bool:  # noqa: ARG002
        """Whether the response to `identity` is one of a server that speaks this protocol."""
        return False

    # Explanation of errors

    def question(self, error: RunAgentError) -> Outgoing | None:  # noqa: ARG002
        """Return the request whose response says more about an error, `None` if there is none."""
        return None

    def explain(self, error: RunAgentError, answer: bytes) -> RunAgentError:  # noqa: ARG002
        """Return an error that says more, if the response to its `question` allows that."""
        return error
