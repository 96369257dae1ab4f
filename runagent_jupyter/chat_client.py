"""Makes the client of a chat: of an agent's id, or of a client that the user passes."""

from __future__ import annotations

import difflib
import inspect
from typing import Any

from runagent import AsyncRunAgentClient, AuthenticationError, RunAgentClient
from runagent_jupyter.failure import say_what_is_served


def client_of(agent: Any, options: dict[str, Any], chat: type) -> AsyncRunAgentClient:
    """Make the client of a chat.

    Args:
        agent: An agent's id, or a client.
        options: The options of the client that are given.
        chat: The class of the chat, whose own options messages name too.

    Returns:
        The client.

    Raises:
        AuthenticationError: The server wants an API key, and there is none. The message says which
            agents this process serves.
        TypeError: There is no such option, or the agent is neither an id nor a client.
        ValidationError: An option is not valid.
    """
    known = inspect.signature(AsyncRunAgentClient).parameters.keys() - {"agent_id"}
    own = inspect.signature(chat.__init__).parameters.keys()  # type: ignore[misc]
    for name in options.keys() - known:
        near = difflib.get_close_matches(name, [*known, *own], 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise TypeError(f"AgentWidget has no option {name!r}{hint}")
    if isinstance(agent, str):
        try:
            return AsyncRunAgentClient(agent, **options)
        except AuthenticationError as exc:
            if exc.code == "MISSING_API_KEY" and not options.get("base_url"):
                say_what_is_served(exc, agent)
            raise
    if isinstance(agent, AsyncRunAgentClient):
        return agent.with_options(**options) if options else agent
    if isinstance(agent, RunAgentClient):
        return AsyncRunAgentClient(**{**agent.resolved_arguments(), **options})
    raise TypeError(f"agent is a {type(agent).__name__}; give an agent's id, or a RunAgentClient.")
