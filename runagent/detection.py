"""Which protocol a server speaks: found once, by its responses, and remembered."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from runagent.config import Settings
from runagent.errors import RunAgentError
from runagent.wire import Wire
from runagent.wire.rest import RestWire
from runagent.wire.runagent_serve import RunAgentServeWire

WIRES: tuple[type[Wire], ...] = (RestWire, RunAgentServeWire)
"""Every protocol there is. The first is spoken until a server's response speaks against it."""

logger = logging.getLogger("runagent")


@dataclass
class _Knowledge:
    """The place in `WIRES` of the protocol that a server speaks; its clients share it."""

    index: int
    is_certain: bool


class Detection:
    """The wires of one agent, and the knowledge which of them its server speaks."""

    def __init__(self, settings: Settings) -> None:
        """Know no more than `protocol=` says."""
        self.base_url = settings.base_url
        self.protocol = settings.protocol
        self.wires: Sequence[Wire] = [
            kind(settings.base_url, settings.quoted_agent_id) for kind in WIRES
        ]
        names = [wire.name for wire in self.wires]
        is_named = self.protocol in names
        self._knowledge = _Knowledge(
            index=names.index(self.protocol) if is_named else 0, is_certain=is_named
        )

    def share(self, other: Detection) -> None:
        """Know of the same server the same as another detection, whichever learns it first."""
        if (self.base_url, self.protocol) == (other.base_url, other.protocol):
            self._knowledge = other._knowledge

    @property
    def wire(self) -> Wire:
        """The wire that the server speaks, as far as is known."""
        return self.wires[self._knowledge.index]

    @property
    def is_certain(self) -> bool:
        """Whether that is known, not just assumed."""
        return self._knowledge.is_certain

    def wire_with_entrypoints(self) -> Wire | None:
        """Return a wire for named entrypoints, `None` if the server is known to have none."""
        if self.is_certain:
            return self.wire if self.wire.has_entrypoints else None
        return next((wire for wire in self.wires if wire.has_entrypoints), None)

    def is_needed_before(self, wire: Wire) -> bool:
        """Whether a request over this wire must wait until it is known to be spoken."""
        return wire is not self.wires[0] and not self._knowledge.is_certain

    def is_needed_after(self, wire: Wire, error: RunAgentError) -> bool:
        """Whether the server does not route this wire's paths, and may speak another one."""
        return (
            wire is self.wires[0]
            and not (self._knowledge.is_certain and self.wire is wire)
            and error.status_code in (404, 405)
            and error.code is None
        )

    def settle(self, wire: Wire) -> None:
        """Take note that the server speaks this wire."""
        self._knowledge.index = self.wires.index(wire)
        self._knowledge.is_certain = True
        logger.debug("%s speaks the protocol %r", self.base_url, wire.name)
