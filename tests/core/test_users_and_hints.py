"""Facts that travel beside the answer: the user, the advice of a server, the id of a request."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from support import websockets as ws
from support.calls import KINDS, MODES, arun, call, run
from support.faults import SSE_HEAD, STALL, Script, answer, frame, sse
from support.websockets import UPGRADE, WebSocketServer

from runagent import AsyncRunAgentClient, RunAgentClient, RunAgentError

Serve = Callable[..., Any]
by_kind = pytest.mark.parametrize("kind", KINDS)
by_mode = pytest.mark.parametrize("mode", MODES)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server with these scripts."""
    with ExitStack() as stack:
        yield lambda *scripts: stack.enter_context(WebSocketServer(*scripts))


RAN = {"success": True, "data": ws.structured({"answer": "ok"}), "error": None, "request_id": "r-1"}
STREAMED: Script = [UPGRADE + ws.stream("o", "k"), STALL]
GOOD: dict[str, Script] = {"invoke": answer(RAN), "stream": STREAMED}


def sent(server: Any, kind: str) -> dict[str, Any]:
    """Return the facts about a user in what the server was asked."""
    if kind == "invoke":
        body = server.last.json
    else:
        assert server.last.wait_closed()
        body = json.loads(server.messages()[0].data)
    return {key: body[key] for key in ("user_id", "persistent_memory") if key in body}


USERS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({}, {}, {}),
    ({"user_id": "u"}, {}, {"user_id": "u"}),
    ({}, {"user_id": 'ü"'}, {"user_id": 'ü"'}),
    ({"user_id": "u"}, {"user_id": "v"}, {"user_id": "v"}),
    ({"persistent_memory": True}, {}, {"persistent_memory": True}),
    ({"persistent_memory": True}, {"persistent_memory": False}, {}),
    ({}, {"persistent_memory": True, "user_id": "u"}, {"persistent_memory": True, "user_id": "u"}),
]


@by_kind
@by_mode
@pytest.mark.parametrize(("own", "given", "expected"), USERS)
def test_a_user_is_named(
    own: Any, given: Any, expected: Any, mode: str, kind: str, serve: Serve
) -> None:
    server = serve(GOOD[kind])
    options: Any = {"base_url": server.url, "protocol": "server", **own}

    async def main() -> Any:
        async with AsyncRunAgentClient("a", **options) as client:
            return await arun(client, kind, **given)

    if mode == "sync":
        with RunAgentClient("a", **options) as client:
            run(client, kind, **given)
    else:
        asyncio.run(main())
    assert sent(server, kind) == expected


def test_every_method_names_the_user(serve: Serve) -> None:
    server = serve(GOOD["invoke"])
    user: Any = {"user_id": "u", "persistent_memory": True}
    with RunAgentClient("a", base_url=server.url, protocol="server") as client:
        client.run_generic_with_metadata({}, **user)
        client.run({}, **user)
        client.batch_run([{}], **user)
    for exchange in server.exchanges:
        assert exchange.json["user_id"] == "u"
        assert exchange.json["persistent_memory"] is True
    server = serve(STREAMED)
    with RunAgentClient("a", base_url=server.url, protocol="server") as client:
        for call_stream in (client.run_stream, client.stream_events):
            server.received = b""
            list(call_stream({}, **user))
            assert sent(server, "stream") == user


def test_a_client_with_a_user_travels() -> None:
    client = RunAgentClient(
        "a", base_url="http://127.0.0.1:9", user_id="u", persistent_memory=True, total_timeout=5
    )
    for copy in (pickle.loads(pickle.dumps(client)), client.with_options(timeout=3)):
        arguments = copy.resolved_arguments()
        facts = ("user_id", "persistent_memory", "total_timeout")
        assert [arguments[name] for name in facts] == ["u", True, 5]


# Advice and ids

ADVICE = {"code": "E", "message": "no", "suggestion": "Try it tomorrow."}

REFUSALS: dict[str, tuple[str, dict[str, Script]]] = {
    "rest": (
        "rest",
        {
            "invoke": answer({"error": {**ADVICE, "request_id": "r-1"}}, 400),
            "stream": [SSE_HEAD, frame(sse("error", {**ADVICE, "request_id": "r-1"}))],
        },
    ),
    "server": (
        "server",
        {
            "invoke": answer({"success": False, "error": ADVICE, "request_id": "r-1"}),
            "stream": [
                UPGRADE
                + ws.STARTED.replace(b"i-1", b"r-1")
                + ws.message({"type": "error", "error": ADVICE}),
                STALL,
            ],
        },
    ),
    "a refusal of the key": (
        "server",
        {
            kind: answer(
                {
                    "success": False,
                    "error": {**ADVICE, "code": "AUTHENTICATION_ERROR"},
                    "request_id": "r-1",
                },
                403,
            )
            for kind in KINDS
        },
    ),
}


@by_kind
@by_mode
@pytest.mark.parametrize("name", REFUSALS)
def test_the_advice_of_a_server_is_the_hint(name: str, mode: str, kind: str, serve: Serve) -> None:
    wire, scripts = REFUSALS[name]
    server = serve(scripts[kind])
    error = call(server.url, kind, mode, protocol=wire).error
    assert error is not None
    assert error.hint == "Try it tomorrow."
    assert error.request_id == "r-1"
    assert "Try it tomorrow." in str(error)


@by_mode
@pytest.mark.parametrize("place", ["body", "header"])
def test_a_run_of_runagent_serve_has_its_request_id(mode: str, place: str, serve: Serve) -> None:
    body = {key: RAN[key] for key in RAN if key != "request_id"}
    script = answer(RAN) if place == "body" else answer(body, 200, "X-Request-ID: r-1")
    server = serve(script)

    async def main() -> Any:
        async with AsyncRunAgentClient("a", base_url=server.url, protocol="server") as client:
            return await client.run_generic_with_metadata({})

    if mode == "sync":
        with RunAgentClient("a", base_url=server.url, protocol="server") as client:
            found = client.run_generic_with_metadata({})
    else:
        found = asyncio.run(main())
    assert found.request_id == "r-1"


@pytest.mark.parametrize("event", ["start", "done"])
def test_a_stream_of_runagent_serve_has_its_request_id(event: str, serve: Serve) -> None:
    begin, end = ws.STARTED, ws.COMPLETED
    if event == "done":
        begin = ws.status("stream_started")
    else:
        end = ws.status("stream_completed")
    server = serve([UPGRADE + begin + ws.chunk("a") + end, STALL])
    with RunAgentClient("a", base_url=server.url, protocol="server") as client:
        stream = client.run_generic_stream({})
        assert list(stream) == ["a"]
        assert stream.request_id == "i-1"


@pytest.mark.parametrize("value", ["", " ", 5, b"u", ["u"]])
def test_a_user_that_is_no_name_is_refused(value: Any) -> None:
    with pytest.raises(RunAgentError, match="user_id="):
        RunAgentClient("a", base_url="http://127.0.0.1:9", user_id=value)
