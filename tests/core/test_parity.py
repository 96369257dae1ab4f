"""The two clients are one: the same names, parameters and words, and the same behaviour."""

from __future__ import annotations

import asyncio
import inspect
import math
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from support import websockets as ws
from support.clock import FOR_EVER, LONG_TIMEOUT, PATIENCE, TICK, TIMEOUT
from support.faults import (
    KEEP,
    SSE_HEAD,
    STALL,
    FaultServer,
    Repeat,
    Script,
    answer,
    chunk,
    error,
    frame,
    good,
    head,
    sse,
    stream,
)
from support.websockets import UPGRADE, WebSocketServer

from runagent import (
    AsyncRunAgentClient,
    AsyncStream,
    Health,
    RunAgentClient,
    RunAgentError,
    Stream,
    slips,
)
from runagent.many import AsyncBatch, Batch

RENAMED = {
    "close": "aclose",
    "__enter__": "__aenter__",
    "__exit__": "__aexit__",
    "__iter__": "__aiter__",
    "__next__": "__anext__",
    "send": "asend",
    "throw": "athrow",
}
"""Names that asynchronous Python gives to the same things."""

REWORDED = [
    (r" The stream itself is not awaited\.", ""),
    (r"\bAn asynchronous iterator", "An iterator"),
    (r"\ban asynchronous context manager", "a context manager"),
    (r"\btasks?\b", "thread"),
    (r"\bthreads\b", "thread"),
    (r"\bthis event loop\b", "this thread"),
    (r"\banext\b", "next"),
    (r"\baclose\b", "close"),
    (r"\bawait ", ""),
    (r"\bAsyncRunAgentClient\b", "RunAgentClient"),
    (r"\basync (with|for)\b", r"\1"),
]
"""Words that asynchronous Python has for the same things."""


def public(kind: type) -> dict[str, Any]:
    """Return the members of a class that its users see, by name."""
    special = {*RENAMED, *RENAMED.values()}
    return {
        name: inspect.getattr_static(kind, name)
        for name in dir(kind)
        if (not name.startswith("_") or name in special)
        and name not in vars(object)
        and not any(
            name in vars(base) for base in kind.__mro__ if base.__module__ == slips.__name__
        )
    }


def signature(member: Any) -> str:
    """Return the parameters and the result of a function, as the blocking client would have them."""
    text = str(inspect.signature(member))
    text = re.sub(r"\bAsync(Stream|Batch|RunAgentClient)", r"\1", text)
    text = re.sub(r"\b(Async)?Generator\[(\w+), None(, None)?\]", r"Generator[\2]", text)
    return re.sub(r"(Coroutine|Awaitable)\[(Any, Any, )?(\w+)\]", r"\3", text)


def words(member: Any) -> str:
    text = " ".join((member.__doc__ or "").split())
    for pattern, plain in REWORDED:
        text = re.sub(pattern, plain, text)
    return text


KINDS = [(RunAgentClient, AsyncRunAgentClient), (Stream, AsyncStream), (Batch, AsyncBatch)]
MEMBERS = [(blocking, other, name) for blocking, other in KINDS for name in public(blocking)]


@pytest.mark.parametrize(("blocking", "other"), KINDS)
def test_each_has_the_names_of_the_other(blocking: type, other: type) -> None:
    names = {RENAMED.get(name, name) for name in public(blocking)}
    assert names == set(public(other))
    assert len(names) > 5


@pytest.mark.parametrize(
    ("blocking", "other", "name"), MEMBERS, ids=[f"{b.__name__}.{name}" for b, _, name in MEMBERS]
)
def test_each_name_means_the_same(blocking: type, other: type, name: str) -> None:
    ours, theirs = public(blocking)[name], public(other)[RENAMED.get(name, name)]
    assert type(ours) is type(theirs)
    assert words(ours) == words(theirs)
    if callable(ours):
        assert signature(ours) == signature(theirs)


def test_both_constructors_take_the_same() -> None:
    assert inspect.signature(RunAgentClient) == inspect.signature(AsyncRunAgentClient)


# The same behaviour


def blocking_result(value: Any) -> Any:
    return list(value) if isinstance(value, Stream) else value


async def other_result(value: Any) -> Any:
    return [item async for item in value] if isinstance(value, AsyncStream) else await value


@dataclass
class Row:
    """One behaviour.

    Attributes:
        call: Calls either client.
        scripts: The answers of the server.
        becomes: The value, or else the code, class name or message of the exception.
        requests: The last parts of the paths that are asked for.
        options: Arguments of the client.
    """

    call: Callable[[Any], Any]
    scripts: list[Script]
    becomes: Any
    requests: list[str]
    options: dict[str, Any] = field(default_factory=dict)


UNROUTED = answer({"detail": "Not Found"}, 404)
HEALTH = answer({"status": "healthy", "server": "RunAgent FastAPI Local Server", "agent_id": "a"})
RAN = answer({"success": True, "data": ws.structured({"answer": "ok"}), "error": None})
STREAMED: Script = [UPGRADE + ws.stream("o", "k"), STALL]
SERVE: dict[str, Any] = {"protocol": "server"}
UNKNOWN = error(404, "NOT_FOUND", message="Entrypoint nope not found")
LISTED = answer({"success": True, "data": {"agent_id": "a", "entrypoints": [{"tag": "x"}]}})


def run_generic(client: Any) -> Any:
    return client.run_generic({"query": "hi"})


def run_generic_stream(client: Any) -> Any:
    return client.run_generic_stream({"query": "hi"})


def run_nope(client: Any) -> Any:
    return client.run(entrypoint="nope", input_args=[1])


ROWS = {
    "an answer": Row(run_generic, [good("invoke")], {"answer": "ok"}, ["invoke"]),
    "a stream": Row(run_generic_stream, [good("stream")], ["o", "k"], ["stream"]),
    "events": Row(
        lambda client: client.stream_events({}),
        [[SSE_HEAD, frame(sse("progress", 1)), frame(chunk("a")), *stream()[1:]]],
        ["progress", "chunk", "done"],
        ["stream"],
    ),
    "a retry": Row(run_generic, [error(503), good("invoke")], {"answer": "ok"}, ["invoke"] * 2),
    "a retry of a stream": Row(
        run_generic_stream, [error(503), good("stream")], ["o", "k"], ["stream"] * 2
    ),
    "retries in vain": Row(run_generic, [error(503, "BUSY")], "BUSY", ["invoke"] * 4),
    "an error that is final": Row(run_generic, [error(400, "BAD")], "BAD", ["invoke"]),
    "an error of the agent": Row(
        run_generic, [error(500, "AGENT_ERROR")], "AGENT_ERROR", ["invoke"]
    ),
    "no time for the wait": Row(
        run_generic, [error(429, "SLOW", f"Retry-After: {FOR_EVER}")], "SLOW", ["invoke"]
    ),
    "a lost connection": Row(run_generic, [[]], "CONNECTION_LOST", ["invoke"]),
    "a lost connection of a stream": Row(
        run_generic_stream,
        [[SSE_HEAD, frame(chunk("a"))]],
        "CONNECTION_LOST",
        ["stream"],
    ),
    "a stream without an end": Row(
        run_generic_stream, [stream("a", end=b"")], "STREAM_CUT_OFF", ["stream"]
    ),
    "an error in a stream": Row(
        run_generic_stream,
        [stream("a", end=sse("error", {"error": "no", "code": "E"}))],
        "E",
        ["stream"],
    ),
    "silence": Row(run_generic, [[STALL]], "TIMEOUT", ["invoke"], {"timeout": TIMEOUT}),
    "silence in a stream": Row(
        run_generic_stream, [[SSE_HEAD, STALL]], "TIMEOUT", ["stream"], {"timeout": LONG_TIMEOUT}
    ),
    "no server": Row(run_generic, [], "CONNECTION_FAILED", [], {"base_url": "http://127.0.0.1:9"}),
    "an answer that is no JSON": Row(
        run_generic, [answer("hello")], "INVALID_RESPONSE", ["invoke"]
    ),
    "an answer that is too large": Row(
        run_generic,
        [answer("x" * 2000)],
        "MESSAGE_TOO_LARGE",
        ["invoke"],
        {"max_message_size": 1000},
    ),
    "a page where a stream was expected": Row(
        run_generic_stream, [answer("<html>")], "INVALID_RESPONSE", ["stream"]
    ),
    "a redirect": Row(
        run_generic,
        [[head(302, "text/html", "Location: /x", "Content-Length: 0"), KEEP]],
        "REDIRECTED",
        ["invoke"],
    ),
    "an unknown agent": Row(run_generic, [error(404, "NO_AGENT")], "NO_AGENT", ["invoke"]),
    "the other protocol": Row(
        run_generic, [UNROUTED, HEALTH, RAN], {"answer": "ok"}, ["invoke", "health", "run"]
    ),
    "the other protocol, busy": Row(
        run_generic,
        [UNROUTED, HEALTH, error(503), RAN],
        {"answer": "ok"},
        ["invoke", "health", "run", "run"],
    ),
    "a stream of the other protocol": Row(
        run_generic_stream,
        [UNROUTED, HEALTH, STREAMED],
        ["o", "k"],
        ["stream", "health", "run-stream"],
    ),
    "neither protocol": Row(
        run_generic, [UNROUTED, UNROUTED], "AgentNotFoundError", ["invoke", "health"]
    ),
    "an entrypoint": Row(
        lambda client: client.run(entrypoint="x"),
        [HEALTH, RAN],
        {"answer": "ok"},
        ["health", "run"],
    ),
    "an entrypoint that streams": Row(
        lambda client: client.run_stream(entrypoint="x_stream"),
        [STREAMED],
        ["o", "k"],
        ["run-stream"],
        SERVE,
    ),
    "an entrypoint of the documented API": Row(run_nope, [UNROUTED], "NO_ENTRYPOINTS", ["health"]),
    "an unknown entrypoint": Row(
        run_nope, [UNKNOWN, LISTED], "NOT_FOUND", ["run", "architecture"], SERVE
    ),
    "an unknown entrypoint of a server that says no more": Row(
        run_nope, [UNKNOWN, error(500)], "NOT_FOUND", ["run", "architecture"], SERVE
    ),
    "another agent's server": Row(
        run_generic_stream,
        [answer("", 403), answer({"server": "RunAgent", "agent_id": "b"})],
        "AGENT_NOT_FOUND",
        ["run-stream", "health"],
        SERVE,
    ),
    "the entrypoints": Row(
        lambda client: client.entrypoints(), [HEALTH, LISTED], ["x"], ["health", "architecture"]
    ),
    "the entrypoints, at the second attempt": Row(
        lambda client: client.entrypoints(),
        [error(503), LISTED],
        ["x"],
        ["architecture"] * 2,
        SERVE,
    ),
    "entrypoints that cannot be read": Row(
        lambda client: client.entrypoints(),
        [answer("{}")],
        "INVALID_RESPONSE",
        ["architecture"],
        SERVE,
    ),
    "a stream that takes too long in all": Row(
        lambda client: client.run_generic_stream({}, total_timeout=LONG_TIMEOUT),
        [[SSE_HEAD, Repeat(frame(chunk("a")), pause=TICK)]],
        "TIMEOUT",
        ["stream"],
    ),
    "a stream of the other protocol that takes too long in all": Row(
        lambda client: client.stream_events({}),
        [[UPGRADE + ws.STARTED, Repeat(ws.chunk("a"), pause=TICK)]],
        "TIMEOUT",
        ["run-stream"],
        {**SERVE, "total_timeout": LONG_TIMEOUT},
    ),
    "headers that take longer than a whole stream may": Row(
        lambda client: client.run_stream({}, total_timeout=TIMEOUT),
        [[STALL]],
        "TIMEOUT",
        ["stream"],
    ),
    "retries that take longer than a whole stream may": Row(
        lambda client: client.run_generic_stream({}, timeout=math.inf, total_timeout=PATIENCE),
        [error(503, "BUSY", f"Retry-After: {FOR_EVER}")],
        "BUSY",
        ["stream"],
    ),
    "the health": Row(
        lambda client: client.health(),
        [answer({"status": "degraded", "checks": {"db": False}, "version": "1.2", "uptime": 3})],
        Health("degraded", "1.2", 3.0, {"db": False}),
        ["health"],
    ),
    "the health of a server that is not healthy": Row(
        lambda client: client.health(),
        [answer({"status": "unhealthy", "checks": {}}, 503)],
        Health("unhealthy"),
        ["health"],
    ),
    "the health of the other protocol": Row(
        lambda client: client.health(),
        [UNROUTED, HEALTH, HEALTH],
        Health("healthy"),
        ["health"] * 3,
    ),
    "no health": Row(
        lambda client: client.health(), [answer("[]")], "INVALID_RESPONSE", ["health"]
    ),
    "no health, for a while": Row(
        lambda client: client.health(),
        [error(503, "BUSY"), answer({"status": "healthy"})],
        Health("healthy"),
        ["health"] * 2,
    ),
    "a user of the documented API": Row(
        lambda client: client.run_generic({}, user_id="u"), [UNROUTED], "NO_USERS", ["health"]
    ),
    "a user of the documented API, known as such": Row(
        lambda client: client.run_generic_stream({}),
        [],
        "NO_USERS",
        [],
        {"protocol": "rest", "persistent_memory": True},
    ),
    "a user": Row(
        lambda client: client.run_generic({}, user_id="u"),
        [HEALTH, RAN],
        {"answer": "ok"},
        ["health", "run"],
    ),
    "no user": Row(lambda client: client.run_generic({}, user_id=5), [], "INVALID_SETTING", []),
    "no time for a stream": Row(
        lambda client: client.stream_events({}, total_timeout=0), [], "INVALID_SETTING", []
    ),
    "a batch": Row(
        lambda client: client.batch_run([{}, {}], max_concurrency=1, return_exceptions=True),
        [error(400, "BAD"), good("invoke")],
        ["BAD", {"answer": "ok"}],
        ["invoke"] * 2,
    ),
    "an invalid input": Row(lambda client: client.run_generic([]), [], "INVALID_INPUT", []),
    "an entrypoint that does not stream": Row(
        lambda client: client.run_stream(entrypoint="x"), [], "INVALID_SETTING", []
    ),
}


@pytest.fixture
def serve() -> Iterator[Callable[..., FaultServer]]:
    """Start a server with these scripts."""
    with ExitStack() as stack:
        yield lambda *scripts: stack.enter_context(WebSocketServer(*scripts))


def carry_out(mode: str, row: Row, server: FaultServer) -> Any:
    """Return the value or the exception of a row's call."""
    options: Any = {"base_url": server.url, "timeout": PATIENCE, "retry_delay": TICK, **row.options}

    async def main() -> Any:
        async with AsyncRunAgentClient("a", **options) as client:
            return await other_result(row.call(client))

    try:
        if mode == "async":
            return asyncio.run(main())
        with RunAgentClient("a", **options) as client:
            return blocking_result(row.call(client))
    except RunAgentError as exc:
        return exc


def gist(value: Any) -> Any:
    """Return the short form of a value, by which a row expects it."""
    if isinstance(value, RunAgentError):
        return value.code or type(value).__name__
    if isinstance(value, list):
        return [gist(item) for item in value]
    if isinstance(value, Health):
        return replace(value, raw={})
    return getattr(value, "kind", None) or getattr(value, "tag", None) or value


def facts(value: Any, server: FaultServer) -> Any:
    """Return everything that a caller sees of a value, but for the words of the system."""
    if isinstance(value, list):
        return [facts(item, server) for item in value]
    if not isinstance(value, RunAgentError):
        return value
    seen = {name: _plain(fact, server) for name, fact in vars(value).items()}
    return type(value), seen, _plain(str(value), server)


def _plain(fact: Any, server: FaultServer) -> Any:
    """Return a text without the port of its server, and without the reason of a failed connection.

    The reason is in the words of the system, which the event loop does not always hand on.
    """
    if not isinstance(fact, str):
        return fact
    text = fact.replace(server.url, "URL")
    return re.sub(r"(was lost|Could not connect to \S+): .*?(?=\.(\s|$))", r"\1", text)


@pytest.mark.parametrize("name", ROWS)
def test_both_behave_the_same(name: str, serve: Callable[..., FaultServer]) -> None:
    row = ROWS[name]
    outcomes = []
    for mode in ("sync", "async"):
        server = serve(*row.scripts or [answer()])
        value = carry_out(mode, row, server)
        assert gist(value) == row.becomes
        assert [e.target.rpartition("/")[2] for e in server.exchanges] == row.requests
        keys = {e.headers["idempotency-key"] for e in server.exchanges}
        assert len(keys) == (2 if name == "a batch" else min(1, len(row.requests)))
        outcomes.append(facts(value, server))
    assert outcomes[0] == outcomes[1]
