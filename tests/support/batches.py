"""The same batch run with either client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from runagent import AsyncRunAgentClient, RunAgentClient
from runagent.many import Row
from support.clock import PATIENCE, TICK

MODES = ("sync", "async")


def inputs(count: int) -> list[dict[str, int]]:
    """Return as many inputs."""
    return [{"i": i} for i in range(count)]


def with_client(url: str, mode: str, use: Callable[[Any], Any], **options: Any) -> Any:
    """Return what `use` returns for a client; for the asynchronous one it returns an awaitable."""
    options = {"base_url": url, "retry_delay": TICK, "timeout": PATIENCE, "api_key": "", **options}

    async def main() -> Any:
        async with AsyncRunAgentClient("a", **options) as client:
            return await use(client)

    if mode == "async":
        return asyncio.run(main())
    with RunAgentClient("a", **options) as client:
        return use(client)


def run(url: str, mode: str, inputs: Any, options: Any = None, **arguments: Any) -> list[Row]:
    """Run a batch to its end; return its rows in the order of the inputs."""
    rows: list[Row] = with_client(
        url, mode, lambda client: client.map(inputs, **arguments).results(), **(options or {})
    )
    return rows


def rows_of(batch: Any) -> Any:
    """Return the rows of a batch as they finish; an awaitable for an asynchronous one."""

    async def all_rows() -> list[Row]:
        return [row async for row in batch]

    return all_rows() if hasattr(batch, "__aiter__") else list(batch)
