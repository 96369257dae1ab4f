"""How the public API is typed: checked by mypy, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any, Literal

import httpx2
from typing_extensions import assert_type

from runagent import (
    AsyncRunAgentClient,
    AsyncStream,
    AsyncStreamGenerator,
    InputData,
    OutputData,
    RunAgentClient,
    RunResult,
    Stream,
    StreamError,
    StreamEvent,
    StreamGenerator,
)


def made(protocol: Literal["auto", "rest", "server"]) -> None:
    RunAgentClient("a", protocol=protocol, http_client=httpx2.Client())
    AsyncRunAgentClient("a", protocol="rest", http_client=httpx2.AsyncClient())
    RunAgentClient("a", protocol="grpc")  # type: ignore[arg-type]
    StreamError("broken", "CODE", {"a": 1}, text="so far", status_code=200, hint="Wait.")
    StreamError("broken", colour="red")  # type: ignore[call-arg]


def blocking(client: RunAgentClient, data: InputData) -> OutputData:
    assert_type(client.run_generic(data), dict[str, Any])
    assert_type(client.run_generic(data, 5, {"X-A": "b"}), dict[str, Any])
    assert_type(client.run_generic(data, timeout=None, headers=None), dict[str, Any])
    assert_type(client.run_generic(data, response_model=RunResult), RunResult)
    assert_type(client.run(data, response_model=list[int]), list[int])
    assert_type(client.run_generic_with_metadata(data), RunResult)
    assert_type(client.run_generic_stream(data), Stream[str])
    assert_type(client.stream_events(data), Stream[StreamEvent])
    generator: Generator[str, None, None] = client.run_generic_stream(data)
    alias: StreamGenerator = client.run_generic_stream(data)
    for text in generator:
        assert_type(text, str)
    assert_type(list(alias), list[str])
    assert_type(client.with_options(timeout=3), RunAgentClient)
    assert_type(client.batch_run([data]), list[dict[str, Any]])
    assert_type(client.batch_run([data], return_exceptions=True), list[dict[str, Any] | Exception])
    with client as entered, client.run_generic_stream(data) as stream:
        assert_type(entered, RunAgentClient)
        assert_type(stream, Stream[str])
        assert_type(next(stream), str)
    return client.run_generic(data)


async def not_blocking(client: AsyncRunAgentClient, data: InputData) -> OutputData:
    assert_type(await client.run_generic(data), dict[str, Any])
    assert_type(await client.run_generic_with_metadata(data), RunResult)
    assert_type(client.run_generic_stream(data), AsyncStream[str])
    generator: AsyncGenerator[str, None] = client.run_generic_stream(data)
    alias: AsyncStreamGenerator = generator
    async for text in alias:
        assert_type(text, str)
    async for event in client.stream_events(data):
        assert_type(event, StreamEvent)
    assert_type(await client.batch_run([data]), list[dict[str, Any]])
    assert_type(
        await client.batch_run([data], return_exceptions=True), list[dict[str, Any] | Exception]
    )
    assert_type(client.with_options(timeout=3), AsyncRunAgentClient)
    async with client as entered, client.run_generic_stream(data) as stream:
        assert_type(entered, AsyncRunAgentClient)
        assert_type(await anext(stream), str)
    return await client.run_generic(data)
