"""Call your AI agents: from a script, from asyncio, from a notebook.

A name is loaded when it is first used, with the modules that it needs.
"""

from importlib import import_module

TYPE_CHECKING = False  # for type checkers it is true; importing it from typing takes 5 ms

if TYPE_CHECKING:
    from runagent.aliases import (
        AsyncStreamGenerator,
        InputData,
        OutputData,
        StreamChunk,
        StreamGenerator,
    )
    from runagent.attachments import attachment
    from runagent.client import AsyncRunAgentClient, RunAgentClient
    from runagent.errors import (
        AgentNotFoundError,
        AuthenticationError,
        NetworkError,
        RateLimitError,
        RunAgentError,
        StreamError,
        TimeoutError,  # noqa: A004 - also the builtin, so that either catches it
        ValidationError,
    )
    from runagent.results import Entrypoint, Health, RateLimit, RunResult, StreamEvent
    from runagent.stream import AsyncStream, Stream
    from runagent.version import __version__

else:
    _HOMES = {
        "AgentNotFoundError": "errors",
        "AsyncRunAgentClient": "client",
        "AsyncStream": "stream",
        "AsyncStreamGenerator": "aliases",
        "AuthenticationError": "errors",
        "Entrypoint": "results",
        "Health": "results",
        "InputData": "aliases",
        "NetworkError": "errors",
        "OutputData": "aliases",
        "RateLimit": "results",
        "RateLimitError": "errors",
        "RunAgentClient": "client",
        "RunAgentError": "errors",
        "RunResult": "results",
        "Stream": "stream",
        "StreamChunk": "aliases",
        "StreamError": "errors",
        "StreamEvent": "results",
        "StreamGenerator": "aliases",
        "TimeoutError": "errors",
        "ValidationError": "errors",
        "__version__": "version",
        "attachment": "attachments",
    }

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOMES})


__all__ = [
    "AgentNotFoundError",
    "AsyncRunAgentClient",
    "AsyncStream",
    "AsyncStreamGenerator",
    "AuthenticationError",
    "Entrypoint",
    "Health",
    "InputData",
    "NetworkError",
    "OutputData",
    "RateLimit",
    "RateLimitError",
    "RunAgentClient",
    "RunAgentError",
    "RunResult",
    "Stream",
    "StreamChunk",
    "StreamError",
    "StreamEvent",
    "StreamGenerator",
    "TimeoutError",
    "ValidationError",
    "__version__",
    "attachment",
]
