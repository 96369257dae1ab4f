"""Agents for the clients of this process: a decorator, and the one server behind it."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from typing import Any, TypeVar, overload

from runagent import registry
from runagent.local.agents import Agent, default_id
from runagent.local.demo import demo
from runagent.local.server import Server, serve

F = TypeVar("F", bound=Callable[..., Any])


@overload
def agent(agent_id: str) -> Callable[[F], F]: ...
@overload
def agent(agent_id: F) -> F: ...
def agent(agent_id: str | F) -> F | Callable[[F], F]:
    """Make a function reachable as an agent for the clients of this process.

    >>> @agent("agent-123")
    ... def answer(query: str) -> str:
    ...     return f"You asked: {query}"
    >>> RunAgentClient("agent-123").run({"query": "Why?"})
    'You asked: Why?'

    With `@agent` alone, the function's name is its id. The function itself does not change and can
    be called as before. Another function decorated with the same id replaces it, so that a notebook
    cell can be run again. Clients of other agent ids still talk to the configured server.

    A server on loopback answers for the functions, on a free port, and asks for a key that only
    this process knows. It starts when the first client looks for one of them, and ends with the
    process. `runagent.local.serve` says which functions can be agents and how they are called.

    Args:
        agent_id: The id, or the function itself.

    Returns:
        The function, or a decorator for it.

    Raises:
        TypeError: The function is a class, or cannot be called.
        ValueError: The id or the function's parameters cannot be used.
    """
    if not isinstance(agent_id, str):
        _register(default_id(agent_id), agent_id)
        return agent_id

    def decorate(function: F) -> F:
        _register(agent_id, function)
        return function

    return decorate


def demo_endpoint() -> registry.Endpoint:
    """Return where the built-in demo agent answers; start the server if it is not running.

    >>> demo_endpoint().base_url
    'http://127.0.0.1:...'
    """
    _process.add(registry.DEMO_AGENT_ID, demo)
    return _process.endpoint()


def decorated() -> dict[str, Callable[..., Any]]:
    """Return the functions that were decorated in this process, by agent id."""
    return dict(_process.agents)


def _register(agent_id: str, function: Callable[..., Any]) -> None:
    _process.add(agent_id, function)
    registry.register(agent_id, _process.endpoint)


class _Process:
    """The agents of this process; a forked process serves them with a server of its own."""

    def __init__(self) -> None:
        self.agents: dict[str, Callable[..., Any]] = {}
        self._lock = threading.Lock()
        self._running: tuple[Server, registry.Endpoint] | None = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def add(self, agent_id: str, function: Callable[..., Any]) -> None:
        Agent(agent_id, function)  # raises now rather than when the server starts
        with self._lock:
            self.agents[agent_id] = function
            if self._running:
                self._running[0].add(agent_id, function)

    def endpoint(self) -> registry.Endpoint:
        with self._lock:
            if self._running is None:
                key = secrets.token_urlsafe(32)
                server = serve(self.agents, api_key=key)
                self._running = server, registry.Endpoint(server.url, key)
            return self._running[1]

    def _forget(self) -> None:
        self._lock = threading.Lock()  # a thread that does not exist here may hold the old one
        self._running = None


_process = _Process()
