"""The agents that a chat can ask, and the session that it has with each of them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from traitlets import TraitError

from runagent import AsyncRunAgentClient, RunAgentClient
from runagent_jupyter.chats.client import chat_client
from runagent_jupyter.control_characters import strip_controls

AgentOrClient = str | RunAgentClient | AsyncRunAgentClient
"""An agent's id, or a client."""


class Agents:
    """The agents of a chat by their labels, in order, and the one that is asked next.

    Args:
        given: An agent, a list of agents, or a dictionary of agents by their labels.
        options: Options of the clients.
        others: The names of the other arguments of a chat, one of which may have been meant.
        session_id: The session of the questions; by default each agent has one of its own.

    Raises:
        TypeError: An agent is neither an id nor a client, or an option is unknown.
        ValueError: There is no agent, two have the same label, or a label says nothing.
        RunAgentError: A client refuses its settings.

    Attributes:
        clients: The client of each agent, by its label.
        chosen: The label of the agent that is asked next.
        sessions: The session with each agent, by its label; `None` for none.
    """

    def __init__(
        self, given: Any, options: dict[str, Any], others: Iterable[str], session_id: str | None
    ) -> None:
        self.clients: dict[str, AsyncRunAgentClient] = {}
        if isinstance(given, (list, tuple)):
            for agent in given:
                client = chat_client(agent, options, others)
                self._add(client.agent_id, client)
        elif isinstance(given, Mapping):
            for label, agent in given.items():
                if not isinstance(label, str):
                    raise TypeError(f"The label {label!r} of an agent is not a string.")
                self._add(label, chat_client(agent, options, others))
        else:
            client = chat_client(given, options, others)
            self._add(client.agent_id, client)
        if not self.clients:
            raise ValueError("There is no agent; give an agent's id, or a list with some.")
        self.chosen = next(iter(self.clients))
        self.sessions: dict[str, str | None] = {
            label: session_id or uuid.uuid4().hex for label in self.clients
        }

    def _add(self, label: str, client: AsyncRunAgentClient) -> None:
        label = strip_controls(label)
        if not label.strip():
            raise ValueError("The label of an agent is empty; give a word that names it.")
        if label in self.clients:
            raise ValueError(
                f"The agent {label!r} is there twice; give each a label of its own: "
                "{'first': 'agent-123', 'second': 'agent-123'}."
            )
        self.clients[label] = client

    def choose(self, label: str) -> str:
        """Ask another agent from now on.

        Raises:
            TraitError: There is no agent with this label.
        """
        if label not in self.clients:
            known = ", ".join(map(repr, self.clients))
            raise TraitError(f"This chat has no agent {label!r}; it has {known}.")
        self.chosen = label
        return label

    @property
    def client(self) -> AsyncRunAgentClient:
        """The client of the agent that is asked next."""
        return self.clients[self.chosen]

    @property
    def is_choice(self) -> bool:
        """Whether there are several."""
        return len(self.clients) > 1

    def begin_sessions(self) -> None:
        """Begin a new session with each agent that takes one."""
        for label, session in self.sessions.items():
            self.sessions[label] = session and uuid.uuid4().hex

    def ids(self) -> dict[str, str]:
        """Return the ids of the agents by their labels."""
        return {label: client.agent_id for label, client in self.clients.items()}
