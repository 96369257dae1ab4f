"""The defaults in the signatures of the clients. `config` itself waits for the first client."""

from __future__ import annotations

from typing import cast

from runagent.checks import ProtocolName


class Default:
    """Marks a default in a signature; the same value passed by the user is not marked."""


class _DefaultStr(Default, str):
    __slots__ = ()


class _DefaultInt(Default, int):
    pass


class _DefaultFloat(Default, float):
    pass


BASE_URL = _DefaultStr("https://api.run-agent.ai")
TIMEOUT = _DefaultInt(30)
MAX_RETRIES = _DefaultInt(3)
RETRY_DELAY = _DefaultFloat(1.0)
RETRY_BACKOFF = _DefaultFloat(2.0)
PROTOCOL = cast("ProtocolName", _DefaultStr("auto"))

POOL_SIZE = 100
CONCURRENCY = 16
MAX_MESSAGE_SIZE = 64 * 1024 * 1024
