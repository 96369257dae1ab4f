"""Agents that this very process serves, and how a client finds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from runagent.locks import ForkSafeLock

DEMO_AGENT_ID = "demo"
"""The built-in agent that works with no key and no set-up."""


@dataclass(frozen=True)
class Endpoint:
    """Where an embedded agent answers.

    Attributes:
        base_url: The base URL of the server, on loopback.
        api_key: The key this server asks for, `None` if it asks for none.
    """

    base_url: str
    api_key: str | None = field(default=None, repr=False)


def _demo_endpoint() -> Endpoint:
    from runagent.local import demo_endpoint  # noqa: PLC0415 - the server is an extra

    return demo_endpoint()


_lock = ForkSafeLock()
_endpoints: dict[str, Callable[[], Endpoint]] = {DEMO_AGENT_ID: _demo_endpoint}


def register(agent_id: str, endpoint: Callable[[], Endpoint]) -> None:
    """Let clients of this process reach `agent_id` at `endpoint()`.

    Args:
        agent_id: The id; an earlier registration of the same id is replaced.
        endpoint: Called for each client made for this id; may start a server the first time.
    """
    with _lock:
        _endpoints[agent_id] = endpoint


def unregister(agent_id: str) -> None:
    """Forget `agent_id`; an id that is not registered is no error."""
    with _lock:
        _endpoints.pop(agent_id, None)


def lookup(agent_id: str) -> Endpoint | None:
    """Return where this process serves `agent_id`, or `None` if it does not."""
    with _lock:
        endpoint = _endpoints.get(agent_id)
    return None if endpoint is None else endpoint()


def agent_ids() -> list[str]:
    """Return the ids this process serves, sorted."""
    with _lock:
        return sorted(_endpoints)
