"""Call your AI agents: from a script, from asyncio, from a notebook."""

from collections.abc import AsyncGenerator, Generator
from typing import Any

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

InputData = dict[str, Any]
OutputData = dict[str, Any]
StreamChunk = str
StreamGenerator = Generator[StreamChunk, None, None]
AsyncStreamGenerator = AsyncGenerator[StreamChunk, None]

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
