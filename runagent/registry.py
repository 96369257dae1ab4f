"""The agents that this process serves itself, and where clients reach them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import cast

from runagent.locks import ForkSafeLock

DEMO_AGENT_ID = "demo"
"""The built-in agent, which needs no key and no set-up."""


@dataclass(frozen=True)
class Endpoint:
    """Where an agent of this process answers.

    Attributes:
        base_url: The base URL of the server, on loopback.
        api_key: The key this server asks for, `None` if it asks for none.
    """

    base_url: str
    api_key: str | None = field(default=None, repr=False)


_lock = ForkSafeLock()
_endpoints: dict[str, Callable[[], Endpoint] | str] = {
    # A name, because the server is an extra and slow to import.
    DEMO_AGENT_ID: "runagent.local:demo_endpoint",
}


def register(agent_id: str, endpoint: Callable[[], Endpoint] | str) -> None:
    """Let clients of this process reach `agent_id`.

    Args:
        agent_id: The id; replaces an earlier registration of the same id.
        endpoint: Returns the endpoint; called for each client made for this id, and may start a
            server the first time. Either a function, or a function's name as `"module:function"`,
            which is imported for the first client.
    """
    with _lock:
        _endpoints[agent_id] = endpoint


def unregister(agent_id: str) -> None:
    """Remove `agent_id`; do nothing if it is not registered."""
    with _lock:
        _endpoints.pop(agent_id, None)


def lookup(agent_id: str) -> Endpoint | None:
    """Return where this process serves `agent_id`, or `None` if it does not.

    Raises:
        ModuleNotFoundError: A package that the agent needs is not installed.
    """
    with _lock:
        endpoint = _endpoints.get(agent_id)
    if endpoint is None:
        return None
    if isinstance(endpoint, str):
        module, _, function = endpoint.partition(":")
        endpoint = cast("Callable[[], Endpoint]", getattr(import_module(module), function))
    return endpoint()


def agent_ids() -> list[str]:
    """Return the ids of the agents that this process serves, sorted."""
    with _lock:
        return sorted(_endpoints)
