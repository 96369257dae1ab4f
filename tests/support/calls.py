"""The same call made in four ways: invoke or stream, blocking or not."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from runagent import AsyncRunAgentClient, RunAgentClient, RunAgentError
from support.clock import PATIENCE, TICK

KINDS = ("invoke", "stream")
MODES = ("sync", "async")

FAST = {"retry_delay": TICK, "timeout": PATIENCE}
"""Options under which nothing but the server decides how long a call takes."""


@dataclass
class Outcome:
    """The outcome of a call.

    Attributes:
        value: The result of `invoke`, or the text of a stream.
        error: The exception that was raised instead.
        seconds: How long it took.
    """

    value: Any
    error: RunAgentError | None
    seconds: float


def call(base_url: str, kind: str, mode: str, input_data: Any = None, **options: Any) -> Outcome:
    """Make one call with a new client."""
    input_data = {"query": "hi"} if input_data is None else input_data
    options = {**FAST, **options}
    value: Any = None
    error: RunAgentError | None = None
    began = time.monotonic()
    try:
        if mode == "sync":
            with RunAgentClient("a", base_url=base_url, **options) as client:
                value = run(client, kind, input_data)
        else:
            value = asyncio.run(_call_async(base_url, kind, input_data, options))
    except RunAgentError as exc:
        error = exc
    return Outcome(value, error, time.monotonic() - began)


def run(client: RunAgentClient, kind: str, input_data: Any = None, **options: Any) -> Any:
    """Make one call; return the result, or the text of the stream."""
    input_data = {"query": "hi"} if input_data is None else input_data
    if kind == "invoke":
        return client.run_generic(input_data, **options)
    return "".join(client.run_generic_stream(input_data, **options))


async def arun(
    client: AsyncRunAgentClient, kind: str, input_data: Any = None, **options: Any
) -> Any:
    """Make one call; return the result, or the text of the stream."""
    input_data = {"query": "hi"} if input_data is None else input_data
    if kind == "invoke":
        return await client.run_generic(input_data, **options)
    return "".join([text async for text in client.run_generic_stream(input_data, **options)])


def ask(client: Any, kind: str = "invoke") -> Any:
    """Make one call with a client of either kind."""
    if isinstance(client, AsyncRunAgentClient):
        return asyncio.run(arun(client, kind))
    return run(client, kind)


async def _call_async(base_url: str, kind: str, input_data: Any, options: Any) -> Any:
    async with AsyncRunAgentClient("a", base_url=base_url, **options) as client:
        return await arun(client, kind, input_data)
