"""Makes the clients of cells, with the notebook's settings and the API keys entered in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from runagent import AsyncRunAgentClient, AuthenticationError, RunAgentClient, RunAgentError
from runagent.registry import agent_ids
from runagent.secrecy import Secret
from runagent_jupyter.colab import client_with_secret, forget_secret, how_to_set_a_key
from runagent_jupyter.failure import say_what_is_served
from runagent_jupyter.magic_line.options import AskOptions, seconds_of
from runagent_jupyter.shell import ask_secretly

C = TypeVar("C", RunAgentClient, AsyncRunAgentClient)


@dataclass(frozen=True)
class Settings:
    """The settings of a notebook; an empty one leaves the choice to the client.

    Attributes:
        agent: The agent that is called if a cell names none.
        base_url: The server's base URL.
        timeout: Seconds for a call, as text, or a duration such as `2m`; the client checks it.
        format: How answers are shown.
    """

    agent: str = ""
    base_url: str = ""
    timeout: str = ""
    format: str = "markdown"

    def probe(self, agent_id: str = "-") -> AsyncRunAgentClient:
        """Return a client with these settings, which needs no API key to have them.

        Raises:
            ValidationError: A setting is not valid.
        """
        return _client(agent_id, "", _given(self))


class Clients:
    """Makes clients, and keeps the API keys that were entered in the notebook.

    Args:
        shell: The IPython shell, to ask for keys.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._keys: dict[str, Secret] = {}  # by base URL: no other server gets them

    def make(self, options: AskOptions, settings: Settings) -> AsyncRunAgentClient:
        """Make the client of a call, as `_make` does."""
        return self._make(AsyncRunAgentClient, options, settings)

    def make_blocking(self, options: AskOptions, settings: Settings) -> RunAgentClient:
        """Make the client of a batch, as `_make` does."""
        return self._make(RunAgentClient, options, settings)

    def _make(self, kind: type[C], options: AskOptions, settings: Settings) -> C:
        """Make a client.

        Nobody is asked for a key here: in *Run All*, the kernel would wait for the answer with all
        other cells queued behind it.

        Raises:
            AuthenticationError: The server wants an API key, and there is none. The message says
                which agents this process serves.
            ValidationError: A setting or an option is not valid.
        """
        arguments: dict[str, Any] = _arguments(options, settings)
        server = _client(options.agent, "", arguments).base_url
        arguments["headers"] = options.headers()
        arguments["connection_pool_size"] = max(0, options.max_concurrency or 0)
        try:
            return _client_with_key(kind, options.agent, self._keys.get(server), arguments)
        except AuthenticationError as exc:
            if exc.code != "MISSING_API_KEY":
                raise
            missing = exc
        missing.hint = (
            f"To call it on {server}, enter a key with %runagent_config --key, or "
            f"{how_to_set_a_key()}."
        )
        if not options.base_url:
            say_what_is_served(missing, options.agent)
        raise missing

    def enter_key(self, base_url: str) -> bool:
        """Ask the user for the API key to a server.

        Returns:
            Whether a key was entered.
        """
        key = ask_secretly(self._shell, f"API key for {base_url}: ")
        if key:
            self._keys[base_url] = Secret(key)
        return bool(key)

    def key_source(self, settings: Settings) -> str:
        """Say in words whether there is a key for a notebook's server, and where it comes from."""
        server = settings.probe().base_url
        if server in self._keys:
            return "entered in this notebook"
        try:
            client = _client_with_key(AsyncRunAgentClient, "-", None, _given(settings))
            source = client.api_key_source
        except RunAgentError as exc:
            if exc.code == "MISSING_API_KEY":
                return f"none; enter one with %runagent_config --key, or {how_to_set_a_key()}"
            return exc.message
        return f"from {source}" if source else "none; this server needs none"

    def forget_key(self, base_url: str) -> None:
        """Forget the key to a server."""
        self._keys.pop(base_url, None)

    def forget_keys(self) -> None:
        """Forget all keys."""
        self._keys.clear()
        forget_secret()


def server_of(options: AskOptions, settings: Settings) -> str | None:
    """Return the base URL of a call, `None` for an agent that this process serves.

    The port of such an agent is another one each time.
    """
    arguments = _arguments(options, settings)
    if "base_url" not in arguments and options.agent in agent_ids():
        return None
    arguments.pop("timeout", None)
    return _client(options.agent, "", arguments).base_url


def _arguments(options: AskOptions, settings: Settings) -> dict[str, str]:
    """Return the client's arguments: an option, or else a setting."""
    given = {
        "base_url": options.base_url or settings.base_url,
        "timeout": options.timeout or settings.timeout,
    }
    if not options.base_url and options.agent in agent_ids():
        del given["base_url"]  # it is served here
    return {name: value for name, value in given.items() if value}


def _client(agent_id: str, key: str | None, arguments: dict[str, Any]) -> AsyncRunAgentClient:
    return AsyncRunAgentClient(agent_id, key, **_in_seconds(arguments))


def _in_seconds(arguments: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in arguments.items() if value}
    if "timeout" in given:
        given["timeout"] = seconds_of(given["timeout"])
    return given


def _client_with_key(kind: type[C], agent_id: str, key: str | None, arguments: dict[str, Any]) -> C:
    """Make a client with the key that was entered, or else with one that is set."""
    given = _in_seconds(arguments)
    if key is not None:
        return kind(agent_id, key, **given)
    return client_with_secret(lambda secret: kind(agent_id, secret, **given))


def _given(settings: Settings) -> dict[str, Any]:
    return {"base_url": settings.base_url, "timeout": settings.timeout}
