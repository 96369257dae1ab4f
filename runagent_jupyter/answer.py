"""An agent's answer with the facts about it: the part that cells and chats have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Protocol

from runagent import RunAgentError, StreamEvent
from runagent_jupyter import prices
from runagent_jupyter.event_log import EventLog

FACTS = ("usage", "execution_time", "request_id", "cost")
"""The facts that a server sends with an answer. They are copied from streams and results, kept in
the cache and exported."""


class FactSource(Protocol):
    """A stream or a result of a client, which knows the `FACTS`."""

    @property
    def usage(self) -> Mapping[str, Any]:
        """Token counts by name; empty if the server sent none."""

    @property
    def execution_time(self) -> float | None:
        """Seconds the agent took, as the server measured them."""

    @property
    def request_id(self) -> str | None:
        """The server's id of the request."""

    @property
    def cost(self) -> float | None:
        """The money that the answer cost, in the server's currency."""


@dataclass(kw_only=True, repr=False)
class Answer:
    """An answer as far as it has come.

    Attributes:
        events: The events of the stream, in order: a sequence to be read. It holds the answer's
            text once, however many events it came in, and makes those events when it is read. In an
            answer from a cache or a file, strings that came one after the other are one event.
        usage: Token counts by name; empty if the server sent none.
        execution_time: Seconds the agent took, as the server measured them.
        request_id: The server's id of the request.
        cost: The money that the answer cost, as the server says, or else by the price that
            `%runagent_config --price` had set when it ended; `None` if neither is known.
        elapsed: Seconds from the request to the end of the answer.
        stopped: Whether it was interrupted.
        error: The error it ended with, if it failed.
    """

    _LEADING: ClassVar[tuple[str, ...]] = ()
    """Fields that the `repr` begins with; the others follow in their order."""

    events: EventLog = field(default_factory=EventLog, repr=False)
    usage: dict[str, Any] = field(default_factory=dict)
    execution_time: float | None = None
    request_id: str | None = None
    cost: float | None = field(default=None, repr=False)
    elapsed: float = 0.0
    stopped: bool = False
    error: RunAgentError | None = None

    def __post_init__(self) -> None:
        """Keep events that are given in a list as compactly as those of a stream."""
        if not isinstance(self.events, EventLog):
            self.events = EventLog(self.events)

    def take(self, event: StreamEvent) -> None:
        """Add an event of the stream."""
        self.events.append(event)

    def take_facts(self, source: FactSource) -> None:
        """Copy the facts that the server sent, from a stream or a result."""
        for name in FACTS:
            setattr(self, name, getattr(source, name))
        self.usage = dict(self.usage or {})

    def end(self, *, elapsed: float, error: RunAgentError | None, stopped: bool) -> None:
        """Note how the answer ended.

        Args:
            elapsed: Seconds from the request to the end.
            error: The error it ended with, if it failed.
            stopped: Whether it was interrupted.
        """
        self.events.close()
        self.elapsed, self.error, self.stopped = elapsed, error, stopped
        if self.cost is None:
            self.cost = prices.cost_of(self.usage)

    def __repr__(self) -> str:
        others = [f.name for f in fields(self) if f.repr and f.name not in self._LEADING]
        shown = (*self._LEADING, *others)
        facts = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{type(self).__name__}({facts})"
