"""The order in which settings are looked up: argument, environment, file, default."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from runagent import defaults, registry
from runagent.checks import (
    ProtocolName,
    check_agent_id,
    check_backoff,
    check_delay,
    check_flag,
    check_headers,
    check_key,
    check_key_is_sendable,
    check_protocol,
    check_retries,
    check_text,
    check_timeout,
    check_total_timeout,
    check_user_id,
)
from runagent.config_file import config_path, read_config_file
from runagent.errors import AuthenticationError, ValidationError
from runagent.secrecy import SourcedSecret, conceal
from runagent.urls import check_base_url, is_loopback

_URL_VARIABLES = ("RUNAGENT_API_URL", "RUNAGENT_BASE_URL")
"""The second is the name that `runagent` 0.1 reads."""


@dataclass(frozen=True)
class Settings:
    """The settings of one client, every value checked.

    Attributes:
        agent_id: The agent's id.
        api_key: The bearer key, `None` to send none.
        api_key_source: Where `api_key` was set, for messages.
        base_url: Without a trailing slash or `/v1`.
        base_url_source: Where `base_url` was set, for messages.
        timeout: Seconds, `math.inf` for no limit.
        total_timeout: Seconds for a whole stream, `math.inf` for no limit.
        user_id: The user named with each call, `None` for none.
        persistent_memory: Whether agents may remember calls for that user.
        max_retries: Attempts after the first.
        retry_delay: Seconds before the first retry, at most.
        retry_backoff: Factor from one retry's delay to the next.
        protocol: `"auto"`, `"rest"` or `"server"`.
        headers: Sent with every request.
        allow_http: Whether the key may travel unencrypted to another machine.
    """

    agent_id: str
    api_key: str | None = field(repr=False)
    base_url: str
    api_key_source: str
    base_url_source: str
    timeout: float
    max_retries: int
    retry_delay: float
    retry_backoff: float
    protocol: ProtocolName
    headers: Mapping[str, str] = field(repr=False)
    allow_http: bool
    total_timeout: float
    user_id: str | None
    persistent_memory: bool

    @property
    def quoted_agent_id(self) -> str:
        """The agent's id as one segment of a URL's path."""
        return quote(self.agent_id, safe="")


def resolve(
    *,
    agent_id: str,
    api_key: str | None = None,
    base_url: str | None = defaults.BASE_URL,
    timeout: float | None = defaults.TIMEOUT,
    max_retries: int | None = defaults.MAX_RETRIES,
    retry_delay: float | None = defaults.RETRY_DELAY,
    retry_backoff: float | None = defaults.RETRY_BACKOFF,
    protocol: ProtocolName | None = defaults.PROTOCOL,
    headers: Mapping[str, str] | None = None,
    allow_http: bool | None = None,
    total_timeout: float | None = None,
    user_id: str | None = None,
    persistent_memory: bool = False,
) -> Settings:
    """Return the settings of one client.

    Raises:
        ValidationError: A value is not valid; the message names it and says where it came from.
        AuthenticationError: There is no API key for a server on another machine.
    """
    if os.environ.get("RUNAGENT_LOG_LEVEL"):
        from runagent.logs import configure_logging  # noqa: PLC0415 - few need it

        configure_logging()
    agent_id = check_agent_id(agent_id)
    checked_headers = check_headers(headers, "headers")
    file = read_config_file(config_path())
    find = _Finder(file)
    retry = _Finder(file.get("retry_config") or {})
    server = _find_server(find, agent_id, api_key, base_url)
    may_use_http, _ = find(check_flag, "allow_http", allow_http, False, "RUNAGENT_ALLOW_HTTP")
    if not is_loopback(server.url):
        has_header = any(name.lower() == "authorization" for name in checked_headers)
        _check_remote(server, authorised=bool(server.key) or has_header, allow_http=may_use_http)
    seconds, _ = find(check_timeout, "timeout", timeout, defaults.TIMEOUT, "RUNAGENT_TIMEOUT")
    retries, _ = retry(check_retries, "max_retries", max_retries, defaults.MAX_RETRIES)
    delay, _ = retry(check_delay, "retry_delay", retry_delay, defaults.RETRY_DELAY)
    backoff, _ = retry(check_backoff, "retry_backoff", retry_backoff, defaults.RETRY_BACKOFF)
    wire, _ = find(check_protocol, "protocol", protocol, defaults.PROTOCOL, "RUNAGENT_PROTOCOL")
    return Settings(
        agent_id=agent_id,
        api_key=server.key or None,
        api_key_source=server.key_source,
        base_url=server.url,
        base_url_source=server.url_source,
        timeout=seconds,
        max_retries=retries,
        retry_delay=delay,
        retry_backoff=backoff,
        protocol=wire,
        headers=checked_headers,
        allow_http=may_use_http,
        total_timeout=check_total_timeout(total_timeout, math.inf),
        user_id=check_user_id(user_id),
        persistent_memory=check_flag(persistent_memory, "persistent_memory="),
    )


@dataclass(frozen=True)
class _Finder:
    """Finds the first place where a setting is set: argument, environment, file, default."""

    file: Mapping[str, Any]

    def __call__(
        self,
        check: Callable[[Any, str], Any],
        name: str,
        argument: object,
        default: object,
        *variables: str,
        key: str = "",
    ) -> tuple[Any, str]:
        """Return the value, checked, and where it was set."""
        key = key or name
        if argument is not None and not isinstance(argument, defaults.Default):
            return check(argument, f"{name}="), f"the {name} argument"
        for variable in variables:
            if text := os.environ.get(variable, "").strip():
                return check(text, f"{variable}="), variable
        if self.file.get(key) is not None:
            return check(self.file[key], f'{config_path()}: "{key}": '), str(config_path())
        # The check also makes a plain value of one that is marked as a default.
        return None if default is None else check(default, f"{name}="), DEFAULT


@dataclass(frozen=True)
class _Server:
    """A server's base URL and the key for it, and where each was set."""

    url: str
    url_source: str
    key: str | None = field(repr=False)
    key_source: str


DEFAULT = "the default"
"""The source of a setting that was set nowhere."""

_MOST_IDS = 10
"""The number of the user's agents that a message names."""

EMBEDDED = "the agents served by this process"
"""The source of a base URL whose port is another one in each process."""


def _find_server(
    find: _Finder, agent_id: str, api_key: str | None, base_url: str | None
) -> _Server:
    explicit_url = base_url is not None and not isinstance(base_url, defaults.Default)
    embedded = None if explicit_url else registry.lookup(agent_id)
    if embedded is not None:
        url_source = key_source = EMBEDDED
        url, key = embedded.base_url, conceal(embedded.api_key)
    else:
        url, url_source = find(
            check_text, "base_url", base_url, defaults.BASE_URL, *_URL_VARIABLES, key="api_url"
        )
        key, key_source = find(check_key, "api_key", api_key, None, "RUNAGENT_API_KEY")
        if isinstance(api_key, SourcedSecret):
            key_source = api_key.source
    url = check_base_url(url, url_source)
    return _Server(url, url_source, check_key_is_sendable(key, key_source), key_source)


def _check_remote(server: _Server, *, authorised: bool, allow_http: bool) -> None:
    if not authorised and server.key is None:
        raise AuthenticationError(
            f"There is no API key for {server.url}.",
            code="MISSING_API_KEY",
            hint=(
                f"{_say_what_is_served(server)}Pass api_key=, set RUNAGENT_API_KEY, "
                f'or put "api_key" into {config_path()}. '
                'If the server asks for no key, pass api_key="". '
                "If the agent is served on this machine, pass its server's base_url=. "
                'To try without a key, call the built-in agent "demo".'
            ),
        )
    if authorised and server.url.startswith("http://") and not allow_http:
        raise ValidationError(
            f"The API key would travel to {server.url} unencrypted.",
            code="INSECURE_URL",
            hint="Use https://, or pass allow_http=True if the network between is trusted.",
        )


def _say_what_is_served(server: _Server) -> str:
    """Return a sentence about the user's own agents in this process: the id may have a typo."""
    own = [name for name in registry.agent_ids() if name != registry.DEMO_AGENT_ID]
    if not own or server.url_source != DEFAULT:
        return ""
    shown = [*own[:_MOST_IDS], "..."] if len(own) > _MOST_IDS else own
    return f"Check the agent's id: this process serves {', '.join(shown)}. "
