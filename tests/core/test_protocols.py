"""Which protocol a server speaks is found once, at no cost where it is the documented one."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from support import websockets as ws
from support.calls import KINDS, MODES, arun, call, run
from support.clock import PATIENCE, SOON, TICK, TIMEOUT
from support.faults import RESET, STALL, Script, answer, error, good
from support.forks import holds_in_fork
from support.websockets import UPGRADE, WebSocketServer

from runagent import (
    AgentNotFoundError,
    AsyncRunAgentClient,
    RunAgentClient,
    RunAgentError,
    ValidationError,
)

Serve = Callable[..., WebSocketServer]

UNROUTED = answer({"detail": "Not Found"}, 404)
PAGE = answer("<html>Not Found</html>", 404, content_type="text/html")
HEALTH = answer({"status": "healthy", "server": "RunAgent FastAPI Local Server", "agent_id": "a"})
OTHER_HEALTH = answer({"status": "healthy", "agent_id": "a"})


def ran(value: Any = None) -> Script:
    content = ws.structured({"answer": "ok"} if value is None else value)
    return answer({"success": True, "data": content, "error": None})


STREAMED: Script = [UPGRADE + ws.stream("o", "k"), STALL]


def served(kind: str) -> Script:
    return ran() if kind == "invoke" else STREAMED


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server with these scripts."""
    with ExitStack() as stack:
        yield lambda *scripts: stack.enter_context(WebSocketServer(*scripts))


def asked(server: WebSocketServer) -> list[str]:
    """Return what was asked, in order: the last part of each path."""
    return [exchange.target.rpartition("/")[2] for exchange in server.exchanges]


FIRST = {"invoke": "invoke", "stream": "stream"}
THEN = {"invoke": "run", "stream": "run-stream"}
VALUE = {"invoke": {"answer": "ok"}, "stream": "ok"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_it_costs_nothing_where_the_documented_api_answers(
    serve: Serve, kind: str, mode: str
) -> None:
    server = serve(good(kind))
    assert call(server.url, kind, mode).error is None
    assert asked(server) == [FIRST[kind]]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unrouted", [UNROUTED, PAGE], ids=["JSON", "HTML"])
def test_the_other_protocol_is_found(
    serve: Serve, unrouted: Script, kind: str, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "runagent")
    server = serve(unrouted, HEALTH, served(kind))
    outcome = call(server.url, kind, mode, {"query": "hi"})
    assert outcome.value == VALUE[kind]
    assert asked(server) == [FIRST[kind], "health", THEN[kind]]
    assert f"{server.url} speaks the protocol 'server'" in caplog.text


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_found_is_remembered_and_shared(serve: Serve, kind: str) -> None:
    server = serve(UNROUTED, HEALTH, served(kind))
    with RunAgentClient("a", base_url=server.url) as client:
        for one in (client, client, client.with_options(timeout=PATIENCE)):
            assert run(one, kind) == VALUE[kind]
    assert asked(server) == [FIRST[kind], "health", *[THEN[kind]] * 3]


def test_what_was_found_is_remembered_by_the_other_client(serve: Serve) -> None:
    async def main() -> None:
        async with AsyncRunAgentClient("a", base_url=server.url) as client:
            for one in (client, client, client.with_options(timeout=PATIENCE)):
                assert await arun(one, "invoke") == VALUE["invoke"]

    server = serve(UNROUTED, HEALTH, ran())
    asyncio.run(main())
    assert asked(server) == ["invoke", "health", "run", "run", "run"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_does_not_wait_for_what_its_parent_looks_for(serve: Serve) -> None:
    server = serve(UNROUTED, [STALL], UNROUTED, HEALTH, ran())
    client = RunAgentClient("a", base_url=server.url, timeout=PATIENCE, max_retries=0)
    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(client.run_generic, {})
        server.wait_for(2)
        assert holds_in_fork(lambda: client.run_generic({}, timeout=PATIENCE) == VALUE["invoke"])
        server.stop()
        assert isinstance(looking.exception(PATIENCE), RunAgentError)


def test_a_call_that_had_to_be_sent_elsewhere_was_attempted_once(serve: Serve) -> None:
    server = serve(UNROUTED, HEALTH, error(503, "BUSY"), ran())
    with RunAgentClient("a", base_url=server.url, max_retries=1, retry_delay=TICK) as client:
        assert client.run_generic_with_metadata({}).attempts == 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_agent_of_the_documented_api_starts_no_search(
    serve: Serve, kind: str, mode: str
) -> None:
    server = serve(error(404, "AGENT_NOT_FOUND"))
    assert type(call(server.url, kind, mode).error) is AgentNotFoundError
    assert asked(server) == [FIRST[kind]]


@pytest.mark.parametrize("health", [PAGE, UNROUTED, OTHER_HEALTH, answer("ok")])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_server_of_another_kind_is_left_alone(
    serve: Serve, kind: str, mode: str, health: Script
) -> None:
    server = serve(UNROUTED, health)
    outcome = call(server.url, kind, mode)
    assert type(outcome.error) is AgentNotFoundError
    assert outcome.error.status_code == 404
    assert asked(server) == [FIRST[kind], "health"]


def test_a_search_that_found_nothing_is_not_repeated(serve: Serve) -> None:
    server = serve(UNROUTED, UNROUTED, UNROUTED)
    with RunAgentClient("a", base_url=server.url) as client:
        for _ in range(2):
            with pytest.raises(AgentNotFoundError):
                client.run_generic({})
    assert asked(server) == ["invoke", "health", "invoke"]


def test_a_search_that_failed_is_repeated(serve: Serve) -> None:
    server = serve(UNROUTED, [RESET], UNROUTED, HEALTH, ran())
    with RunAgentClient("a", base_url=server.url) as client:
        with pytest.raises(AgentNotFoundError):
            client.run_generic({})
        assert client.run_generic({}) == {"answer": "ok"}
    assert asked(server) == ["invoke", "health", "invoke", "health", "run"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_search_that_hangs_leaves_the_first_answer_within_the_time(
    serve: Serve, kind: str, mode: str
) -> None:
    server = serve(UNROUTED, [STALL])
    outcome = call(server.url, kind, mode, timeout=2 * TIMEOUT)
    assert type(outcome.error) is AgentNotFoundError
    assert outcome.seconds < SOON


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_protocol_that_is_named_is_not_searched(serve: Serve, kind: str, mode: str) -> None:
    server = serve(served(kind))
    assert call(server.url, kind, mode, protocol="server").error is None
    assert asked(server) == [THEN[kind]]
    server = serve(UNROUTED)
    assert type(call(server.url, kind, mode, protocol="rest").error) is AgentNotFoundError
    assert asked(server) == [FIRST[kind]]


def test_the_environment_names_it(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNAGENT_PROTOCOL", "server")
    server = serve(ran())
    assert call(server.url, "invoke", "sync").value == VALUE["invoke"]


def test_a_result_that_is_no_object_is_wrapped(serve: Serve) -> None:
    with RunAgentClient("a", base_url=serve(ran("x")).url, protocol="server") as client:
        assert client.run_generic({}) == {"result": "x"}
        assert client.run() == "x"


# entrypoints


def test_an_entrypoint_is_called_only_on_a_server_that_has_some(serve: Serve) -> None:
    server = serve(HEALTH, ran([1]))
    with RunAgentClient("a", base_url=server.url) as client:
        assert client.run(entrypoint="minimal", input_args=["x"]) == [1]
    assert asked(server) == ["health", "run"]
    assert server.last.json == {
        "entrypoint_tag": "minimal",
        "input_args": ["x"],
        "input_kwargs": {},
    }


CALLS: dict[str, Callable[[RunAgentClient], object]] = {
    "run": lambda client: client.run(entrypoint="minimal"),
    "input_args": lambda client: client.run(input_args=[1]),
    "run_stream": lambda client: list(client.run_stream(entrypoint="minimal_stream")),
    "stream_events": lambda client: list(client.stream_events(entrypoint="minimal_stream")),
    "entrypoints": lambda client: client.entrypoints(),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_documented_api_has_none(serve: Serve, name: str) -> None:
    server = serve(UNROUTED)
    with RunAgentClient("a", base_url=server.url) as client:
        for _ in range(2):
            with pytest.raises(ValidationError, match="no named entrypoints"):
                CALLS[name](client)
        assert asked(server) == ["health"]
        with pytest.raises(ValidationError, match="no named entrypoints"):
            client.run_stream(entrypoint="minimal_stream")  # at once: not when it is iterated over
    rest = RunAgentClient("a", base_url=server.url, protocol="rest")
    with rest, pytest.raises(ValidationError, match="no named entrypoints"):
        CALLS[name](rest)
    assert asked(server) == ["health"]


def test_the_usual_entrypoints_work_everywhere(serve: Serve) -> None:
    server = serve(good("invoke"), good("stream"))
    with RunAgentClient("a", base_url=server.url) as client:
        assert client.run({"query": "hi"}, entrypoint="generic") == {"answer": "ok"}
        assert list(client.run_stream(entrypoint="generic_stream")) == ["o", "k"]
    assert asked(server) == ["invoke", "stream"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"entrypoint": ""},
        {"entrypoint": 5},
        {"entrypoint": "x_stream"},
        {"input_args": "abc"},
        {"input_args": {"a": 1}},
        {"input_args": 5},
        {"input_args": [float("inf")]},
        {"input_data": []},
        {"input_data": "text"},
    ],
)
def test_wrong_arguments_are_refused_at_once(serve: Serve, arguments: Any) -> None:
    server = serve(ran())
    client = RunAgentClient("a", base_url=server.url, protocol="server")
    with client, pytest.raises(ValidationError):
        client.run(**arguments)
    assert server.exchanges == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("protocol", ["auto", "server"])
def test_an_agent_that_ended_its_process_is_run_once(
    serve: Serve, protocol: str, mode: str
) -> None:
    crash = answer("Internal Server Error", 500, content_type="text/plain")
    server = serve(*([UNROUTED, HEALTH] if protocol == "auto" else []), crash)
    outcome = call(server.url, "invoke", mode, protocol=protocol)
    assert type(outcome.error) is RunAgentError
    assert asked(server).count("run") == 1


def test_a_question_that_hangs_leaves_the_error_as_it_was(serve: Serve) -> None:
    unknown = error(404, "NOT_FOUND", message="Entrypoint nope not found")
    began = time.monotonic()
    client = RunAgentClient("a", base_url=serve(unknown, [STALL]).url, protocol="server")
    with client, pytest.raises(ValidationError, match="Entrypoint nope not found") as caught:
        client.run(entrypoint="nope", timeout=2 * TIMEOUT)
    assert caught.value.hint is None
    assert time.monotonic() - began < SOON
