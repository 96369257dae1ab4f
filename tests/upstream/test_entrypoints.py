"""The public API against the real server: entrypoints, values, failures, detection."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.clock import MOMENT, PATIENCE, TIMEOUT, until
from support.kernel import running_kernel
from support.upstream_agent import VALUES
from support.upstream_server import AGENT_ID, UpstreamServer, tags

from runagent import (
    AgentNotFoundError,
    AsyncRunAgentClient,
    RunAgentClient,
    RunAgentError,
    StreamError,
    TimeoutError,  # noqa: A004
    ValidationError,
)
from runagent_jupyter import AgentWidget

pytestmark = pytest.mark.upstream

SILENCE = 45
"""Seconds in which the server gives up a client that does not answer its pings."""

UVICORN_KEEPS_ALIVE = 5
"""Seconds for which the server keeps an idle connection."""


@pytest.fixture
def client(server: UpstreamServer) -> RunAgentClient:
    return RunAgentClient(AGENT_ID, base_url=server.url, timeout=PATIENCE)


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/api/v1", "/api/v1/"])
def test_it_just_works(server: UpstreamServer, ending: str) -> None:
    client = RunAgentClient(AGENT_ID, base_url=server.url + ending)
    assert client.run_generic({"query": "hi"})["answer"] == "You said hi"
    with client.run_generic_stream({"query": "a"}) as stream:
        assert list(stream) == ["a-0 ", "a-1 ", "a-2 "]
    assert stream.done
    assert stream.request_id is not None
    assert stream.execution_time is not None


@pytest.mark.parametrize("name", VALUES)
def test_every_value_arrives_as_it_is(client: RunAgentClient, name: str) -> None:
    value = client.run({"name": name}, entrypoint="value")
    assert (type(value), value) == (type(VALUES[name]), VALUES[name])
    chunks = [
        event.value
        for event in client.stream_events({"name": name}, entrypoint="value_stream")
        if event.kind == "chunk"
    ]
    assert len(chunks) == 1
    assert (type(chunks[0]), chunks[0]) == (type(VALUES[name]), VALUES[name])


@pytest.mark.parametrize("name", ["nan", "inf", "-inf"])
def test_numbers_that_json_lacks(client: RunAgentClient, name: str) -> None:
    value = client.run({"name": name}, entrypoint="special")
    assert math.isnan(value) if name == "nan" else value == float(name)


def test_arguments_by_position_and_by_name(client: RunAgentClient) -> None:
    assert client.run({"k": 1}, entrypoint="arguments", input_args=[1, "x"]) == [
        [1, "x"],
        {"k": 1},
    ]


def test_the_entrypoints_are_listed(client: RunAgentClient) -> None:
    assert [entrypoint.tag for entrypoint in client.entrypoints()] == tags()


def test_an_agent_that_raised_says_why(client: RunAgentClient) -> None:
    with pytest.raises(RunAgentError, match="agent exploded") as caught:
        client.run(entrypoint="fail")
    assert (caught.value.code, caught.value.attempts) == ("INTERNAL_ERROR", 1)


def test_an_agent_that_raised_in_mid_stream(client: RunAgentClient) -> None:
    with pytest.raises(StreamError, match="agent exploded mid-stream") as caught:
        list(client.run_stream(entrypoint="fail_stream"))
    assert caught.value.text == "part 0 part 1 "


@pytest.mark.parametrize("streams", [False, True])
def test_an_unknown_entrypoint_names_the_known_ones(client: RunAgentClient, streams: bool) -> None:
    def call() -> object:
        if streams:
            return list(client.run_stream(entrypoint="nope_stream"))
        return client.run(entrypoint="nope")

    with pytest.raises(ValidationError, match="not found") as caught:
        call()
    assert "'generic_stream'" in str(caught.value.hint)


def test_an_entrypoint_of_the_other_kind_is_refused_at_once(client: RunAgentClient) -> None:
    with pytest.raises(ValidationError, match="run_stream"):
        client.run(entrypoint="generic_stream")
    with pytest.raises(ValidationError, match="does not stream"):
        client.run_stream(entrypoint="generic")


@pytest.mark.parametrize("protocol", ["auto", "server", "rest"])
def test_an_unknown_agent(server: UpstreamServer, protocol: Any) -> None:
    client = RunAgentClient("other", base_url=server.url, protocol=protocol)
    with pytest.raises(AgentNotFoundError):
        client.run_generic({"query": "hi"})


def test_a_call_that_is_found_out_reaches_the_agent_once(
    server: UpstreamServer, tmp_path: Path
) -> None:
    client = RunAgentClient(AGENT_ID, base_url=server.url)
    file = tmp_path / "calls"
    assert client.run({"file": str(file)}, entrypoint="count") == 1
    with pytest.raises(RunAgentError):
        client.run({"file": str(file)}, entrypoint="leave", timeout=PATIENCE)


def test_many_and_large_messages(client: RunAgentClient) -> None:
    assert sum(1 for _ in client.run_stream({"n": 20_000}, entrypoint="many_stream")) == 20_000
    (chunk,) = client.run_stream({"size": 20_000_000}, entrypoint="large_stream")
    assert len(chunk.encode()) == 20_000_000
    small = client.with_options(max_message_size=1000)
    with pytest.raises(StreamError, match="max_message_size"):
        list(small.run_stream({"size": 2000}, entrypoint="large_stream"))


def test_a_server_that_refuses_a_large_input_is_heard(server: UpstreamServer) -> None:
    """It closes a WebSocket that sends more than 16 MiB while the rest is still being sent."""
    large = {"query": "x" * 17_000_000}

    async def ask() -> None:
        async with AsyncRunAgentClient(AGENT_ID, base_url=server.url) as client:
            [chunk async for chunk in client.run_generic_stream(large)]

    with pytest.raises(StreamError, match="The input is larger than the server takes"):
        asyncio.run(ask())
    with (
        RunAgentClient(AGENT_ID, base_url=server.url) as client,
        pytest.raises(StreamError, match="The input is larger than the server takes"),
    ):
        list(client.run_generic_stream(large))


def test_silence_is_bounded(client: RunAgentClient) -> None:
    with pytest.raises(TimeoutError):
        client.run({"seconds": PATIENCE}, entrypoint="sleep", timeout=TIMEOUT)
    with pytest.raises(TimeoutError):
        list(client.run_stream({"seconds": PATIENCE}, entrypoint="sleep_stream", timeout=TIMEOUT))


def test_leaving_a_stream_stops_the_agent(client: RunAgentClient, tmp_path: Path) -> None:
    file = tmp_path / "stopped"
    for _ in client.run_stream({"file": str(file)}, entrypoint="endless_stream"):
        break
    until(file.exists)
    until(file.read_text)
    assert file.read_text() == "stopped"


def test_the_asynchronous_client(server: UpstreamServer) -> None:
    async def main() -> None:
        async with AsyncRunAgentClient(AGENT_ID, base_url=server.url) as client:
            answers = await asyncio.gather(
                *(client.run_generic({"query": str(i)}) for i in range(20))
            )
            assert [answer["answer"] for answer in answers] == [f"You said {i}" for i in range(20)]
            assert [chunk async for chunk in client.run_generic_stream({"query": "a"})] == [
                "a-0 ",
                "a-1 ",
                "a-2 ",
            ]
            assert await client.run(
                {"name": "text that looks like an object"}, entrypoint="value"
            ) == ('{"a": 1}')
            assert [entrypoint.tag for entrypoint in await client.entrypoints()] == tags()
            with pytest.raises(StreamError, match="agent exploded"):
                async for _ in client.run_stream(entrypoint="fail_stream"):
                    pass
            with pytest.raises(ValidationError) as caught:
                async for _ in client.run_stream(entrypoint="nope_stream"):
                    pass
            assert "'generic_stream'" in str(caught.value.hint)

    asyncio.run(main())


def test_long_silence_is_lived_through(
    server: UpstreamServer, start_server: Callable[[], UpstreamServer]
) -> None:
    """The server pings every 20 s, and gives up 20 s later; a busy agent answers none of ours."""

    def stream(url: str, entrypoint: str) -> list[str]:
        client = RunAgentClient(AGENT_ID, base_url=url, timeout=SILENCE + PATIENCE)
        return list(client.run_stream({"seconds": SILENCE}, entrypoint=entrypoint))

    with ThreadPoolExecutor() as pool:
        busy = pool.submit(stream, start_server().url, "busy_stream")
        asleep = pool.submit(stream, server.url, "sleep_stream")
        assert [busy.result(), asleep.result()] == [["before ", "after"]] * 2


def test_an_idle_connection_that_the_server_closed_is_no_failure(client: RunAgentClient) -> None:
    for _ in range(2):
        assert client.run_generic({"query": "hi"})["answer"] == "You said hi"
        time.sleep(UVICORN_KEEPS_ALIVE + MOMENT)


def test_the_magic_takes_entrypoints(server: UpstreamServer, tmp_path: Path) -> None:
    with running_kernel(tmp_path) as kernel:
        kernel.execute("%load_ext runagent_jupyter").ok()
        line = f"%%runagent {AGENT_ID} --base-url {server.url} "
        kernel.execute(f"{line}\nhello").ok()
        assert kernel.execute("print(_)").stdout == "hello-0 hello-1 hello-2 \n"
        kernel.execute(f'{line} --entrypoint arguments\n{{"a": 1}}').ok()
        assert kernel.execute("print(_.value)").stdout == "[[], {'a': 1}]\n"
        kernel.execute(f'{line} --entrypoint arguments_stream\n{{"a": 1}}').ok()
        assert kernel.execute("print(_.value)").stdout == "[[], {'a': 1}]\n"
        cell = kernel.execute(f"{line} --entrypoint nope\nx")
        assert cell.status == "error"
        assert "'generic_stream'" in "".join((cell.error or {})["traceback"])


def test_a_chat_with_a_function_that_takes_no_session(server: UpstreamServer) -> None:
    chat = AgentWidget(AGENT_ID, base_url=server.url, entrypoint="generic_stream")
    assert [chat.ask(word).text for word in ("hello", "there")] == [
        "hello-0 hello-1 hello-2 ",
        "there-0 there-1 there-2 ",
    ]
    named = AgentWidget(
        AGENT_ID, base_url=server.url, entrypoint="generic_stream", session_id="mine"
    )
    assert "session_id" in str(named.ask("hello").error)


def test_a_server_that_vanishes_cuts_the_stream_off(start_server: Any, tmp_path: Path) -> None:
    server = start_server()
    client = RunAgentClient(AGENT_ID, base_url=server.url, max_retries=0)
    stream = client.run_stream({"file": str(tmp_path / "x")}, entrypoint="endless_stream")
    next(stream)
    server.stop()
    with pytest.raises(StreamError) as caught:
        list(stream)
    assert caught.value.text.startswith("more ")
