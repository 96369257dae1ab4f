"""The client of a chat, from the arguments of `AgentWidget` or of a model for marimo."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable
from typing import Any

from runagent import AsyncRunAgentClient, AuthenticationError, RunAgentClient
from runagent_jupyter.colab import client_with_secret
from runagent_jupyter.failure import say_what_is_served


def chat_client(
    agent: Any, options: dict[str, Any], others: Iterable[str], name: str = "AgentWidget"
) -> AsyncRunAgentClient:
    """Make the client of a chat.

    Args:
        agent: An agent's id, or a client.
        options: Options of the client.
        others: The names of the other arguments of a chat, one of which may have been meant.
        name: The function or class that was called, for messages.

    Returns:
        A client for the chat alone, or the asynchronous one that was given.

    Raises:
        TypeError: An option is unknown, or the agent is neither an id nor a client.
        RunAgentError: The client refuses its settings.
    """
    known = inspect.signature(AsyncRunAgentClient).parameters.keys() - {"agent_id"}
    for option in options.keys() - known:
        near = difflib.get_close_matches(option, [*known, *others], 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise TypeError(f"{name} has no option {option!r}{hint}")
    if isinstance(agent, str):
        try:
            if options.get("api_key") is not None:
                return AsyncRunAgentClient(agent, **options)
            given = {name: value for name, value in options.items() if name != "api_key"}
            return client_with_secret(lambda key: AsyncRunAgentClient(agent, key, **given))
        except AuthenticationError as exc:
            if exc.code == "MISSING_API_KEY" and not options.get("base_url"):
                say_what_is_served(exc, agent)
            raise
    if isinstance(agent, AsyncRunAgentClient):
        return agent.with_options(**options) if options else agent
    if isinstance(agent, RunAgentClient):
        return AsyncRunAgentClient(**{**agent.resolved_arguments(), **options})
    raise TypeError(f"agent is a {type(agent).__name__}; give an agent's id, or a RunAgentClient.")
