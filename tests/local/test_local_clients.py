"""The public clients and local agents, end to end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from support.callers import Caller
from support.clock import PATIENCE, TICK

import runagent
from runagent import registry
from runagent.local import agent

Start = Callable[..., Caller]


def greet(name: str) -> dict[str, str]:
    return {"greeting": f"Hello {name}"}


def count(n: int) -> Iterator[object]:
    for i in range(n):
        yield {"content": f"{i} "}


def test_both_calls_of_both_clients(start: Start) -> None:
    server = start({"greet": greet, "count": count}).server

    async def use_async() -> tuple[object, str]:
        async with runagent.AsyncRunAgentClient("greet", base_url=server.url) as client:
            result = await client.run_generic({"name": "you"})
        async with runagent.AsyncRunAgentClient("count", base_url=server.url) as client:
            text = "".join([chunk async for chunk in client.run_generic_stream({"n": 3})])
        return result, text

    with runagent.RunAgentClient("greet", base_url=server.url) as client:
        assert client.run_generic({"name": "you"}) == {"greeting": "Hello you"}
        assert list(client.run_generic_stream({"name": "x"})) == ['{"greeting": "Hello x"}']
        metadata = client.run_generic_with_metadata({"name": "you"})
        assert metadata.request_id
        assert metadata.execution_time is not None
    with runagent.RunAgentClient("count", base_url=server.url) as client:
        assert "".join(client.run_generic_stream({"n": 3})) == "0 1 2 "
    assert asyncio.run(use_async()) == ({"greeting": "Hello you"}, "0 1 2 ")


@pytest.mark.parametrize("agent_id", ["a b", "a/b", "a/invoke", "ü☃", "50%", "a?b#c"])
def test_odd_ids_through_the_client(start: Start, agent_id: str) -> None:
    server = start({agent_id: greet}).server
    with runagent.RunAgentClient(agent_id, base_url=server.url) as client:
        assert client.run_generic({"name": "x"}) == {"greeting": "Hello x"}


def test_errors_become_the_documented_exceptions(start: Start) -> None:
    def refuses(how: str) -> Iterator[str]:
        if how == "limit":
            raise runagent.RateLimitError("slower", retry_after=7)
        if how == "middle":
            yield "before "
        raise ValueError("boom")

    def strict() -> str:
        raise runagent.ValidationError("no such city", "NO_CITY")

    server = start({"refuses": refuses, "strict": strict}, api_key="sesame").server
    options = {"base_url": server.url, "api_key": "sesame", "max_retries": 0}

    def client(agent_id: str, **changed: object) -> runagent.RunAgentClient:
        return runagent.RunAgentClient(agent_id, **{**options, **changed})  # type: ignore[arg-type]

    with client("nobody") as one, pytest.raises(runagent.AgentNotFoundError, match="'refuses'"):
        one.run_generic({})
    with client("strict", api_key="x") as one, pytest.raises(runagent.AuthenticationError):
        one.run_generic({})
    with client("strict") as one, pytest.raises(runagent.ValidationError) as invalid:
        one.run_generic({})
    assert (invalid.value.message, invalid.value.code) == ("no such city", "NO_CITY")
    with client("refuses") as one:
        with pytest.raises(runagent.ValidationError, match="needs 'how'"):
            one.run_generic({})
        with pytest.raises(runagent.RateLimitError) as limited:
            one.run_generic({"how": "limit"})
        assert limited.value.retry_after == 7
        with pytest.raises(runagent.RunAgentError, match="ValueError: boom") as failed:
            one.run_generic({"how": "now"})
        assert failed.value.code == "AGENT_ERROR"
        with pytest.raises(runagent.StreamError, match="ValueError: boom") as broken:
            list(one.run_generic_stream({"how": "middle"}))
        assert broken.value.text == "before "


def test_leaving_a_stream_ends_the_agent(start: Start) -> None:
    ended = threading.Event()

    async def endless() -> AsyncIterator[str]:
        try:
            while True:
                yield "x"
                await asyncio.sleep(TICK)
        finally:
            ended.set()

    server = start(endless).server
    with runagent.RunAgentClient("a", base_url=server.url) as client:
        for _ in client.run_generic_stream({}):
            break
        assert ended.wait(PATIENCE)


def test_a_decorated_function_is_reached_by_its_id_alone() -> None:
    @agent("embedded-agent")
    def answer(query: str) -> str:
        return query.upper()

    try:
        with runagent.RunAgentClient("embedded-agent") as client:
            assert client.run_generic({"query": "hi"}) == {"result": "HI"}
            assert list(client.run_generic_stream({"query": "hi"})) == ["HI"]
        with pytest.raises(runagent.AuthenticationError, match="this process serves") as missing:
            runagent.RunAgentClient("embeded-agent")
        assert "embedded-agent" in str(missing.value)
        with pytest.raises(runagent.AuthenticationError) as elsewhere:
            runagent.RunAgentClient("embeded-agent", base_url="https://agents.example.org")
        assert "this process serves" not in str(elsewhere.value)
    finally:
        registry.unregister("embedded-agent")


def test_the_demo_needs_no_key_and_no_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNAGENT_API_KEY", raising=False)
    with runagent.RunAgentClient("demo") as client:
        assert "> Hello" in "".join(client.run_generic_stream({"query": "Hello", "delay": 0}))
