"""A server's cookies, challenges and other state change nothing in the requests that follow."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest
from support import websockets as ws
from support.calls import MODES
from support.clock import PATIENCE, TICK
from support.faults import DONE, KEEP, LAST_FRAME, STALL, Script, answer, chunk, frame, head
from support.websockets import UPGRADE, WebSocketServer

from runagent import AsyncRunAgentClient, RunAgentClient, RunAgentError

Serve = Callable[..., WebSocketServer]

LINES = {
    "a cookie": ["Set-Cookie: node=7; Path=/"],
    "a cookie in Latin-1": ["Set-Cookie: name=André"],
    "a cookie in UTF-8": ["Set-Cookie: name=" + "André".encode().decode("latin-1")],
    "a cookie named in Latin-1": ["Set-Cookie: naïve=1; Path=/; Max-Age=9999"],
    "a cookie that is no cookie": ["Set-Cookie: =;=;;", "Set-Cookie:"],
    "300 cookies": [f"Set-Cookie: c{number}={'x' * 60}; Path=/" for number in range(300)],
    "an old kind of cookie": ['Set-Cookie2: node="7"; Version="1"; Path="/"'],
    "challenges": [
        'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"',
        'WWW-Authenticate: Basic realm="r"',
        "Authentication-Info: nextnonce=n",
        'Proxy-Authenticate: Basic realm="r"',
    ],
    "advice for later": [
        'Alt-Svc: h2="127.0.0.1:9"; ma=9999; persist=1',
        "Strict-Transport-Security: max-age=9999; includeSubDomains",
        "Accept-CH: Sec-CH-UA-Platform",
        "Refresh: 0; url=/elsewhere",
        "Content-Location: /elsewhere",
        "Link: </elsewhere>; rel=canonical",
        'Cache-Control: max-age=9999, public\r\nETag: "e"',
        "Vary: Cookie",
    ],
}

HEALTH = {"status": "healthy", "server": "RunAgent FastAPI Local Server", "agent_id": "a"}
RAN = {"success": True, "data": ws.structured({"answer": "ok"}), "error": None}
ENTRYPOINTS = {"data": {"entrypoints": [{"tag": "generic"}]}}


def rest(lines: list[str]) -> list[Script]:
    """Return every kind of answer of the documented API, each with these lines."""
    redirect = ["Location: http://127.0.0.1:9/elsewhere", *lines]
    events: list[Any] = [head(200, "text/event-stream", "Transfer-Encoding: chunked", *lines)]
    events += [frame(chunk("ok") + DONE), LAST_FRAME, KEEP]
    return [
        answer({"error": {"code": "BUSY"}}, 503, *lines),
        answer(None, 200, *lines),
        events,
        answer({"error": {"code": "X"}}, 401, *lines),
        answer("", 302, *redirect),
        answer(None, 200, *lines),
        events,
    ]


def served(lines: list[str]) -> list[Script]:
    """Return every kind of answer of `runagent serve`, each with these lines.

    The first two make a client find out that it is one.
    """
    upgrade: Script = [UPGRADE + ws.stream("ok"), STALL]
    return [
        answer({"detail": "Not Found"}, 404, *lines),
        answer(HEALTH, 200, *lines),
        answer(RAN, 200, *lines),
        upgrade,
        answer({"detail": "no"}, 403, *lines),
        answer(HEALTH, 200, *lines),
        answer({"detail": "no"}, 403, *lines),
        answer(HEALTH, 200, *lines),
        answer(RAN, 200, *lines),
        upgrade,
        answer(ENTRYPOINTS, 200, *lines),
    ]


SCRIPTS = {"rest": rest, "server": served}
CALLS = {
    "rest": ("invoke", "stream", "invoke", "stream", "invoke", "stream"),
    "server": ("invoke", "stream", "invoke", "stream", "invoke", "stream", "entrypoints"),
}
FINE = {
    "rest": [True, True, False, False, True, True],
    "server": [True, True, False, False, True, True, True],
}


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server with these scripts."""
    with ExitStack() as stack:
        yield lambda *scripts, **options: stack.enter_context(WebSocketServer(*scripts, **options))


def make(client: RunAgentClient, kind: str) -> bool:
    """Make a call; return whether its answer was a good one."""
    try:
        if kind == "entrypoints":
            return bool(client.entrypoints())
        if kind == "invoke":
            return client.run_generic({}) == {"answer": "ok"}
        return "".join(client.run_generic_stream({})) == "ok"
    except RunAgentError:
        return False


async def make_async(client: AsyncRunAgentClient, kind: str) -> bool:
    """Make a call; return whether its answer was a good one."""
    try:
        if kind == "entrypoints":
            return bool(await client.entrypoints())
        if kind == "invoke":
            return await client.run_generic({}) == {"answer": "ok"}
        return "".join([text async for text in client.run_generic_stream({})]) == "ok"
    except RunAgentError:
        return False


def calls(url: str, mode: str, kinds: tuple[str, ...], **options: Any) -> list[bool]:
    """Make these calls with two clients that share connections, by turns."""
    options = {"base_url": url, "retry_delay": TICK, "timeout": PATIENCE, **options}
    if mode == "sync":
        first = RunAgentClient("a", "first", **options)
        with first, first.with_options(api_key="second") as second:
            return [make((first, second)[i % 2], kind) for i, kind in enumerate(kinds)]

    async def main() -> list[bool]:
        first = AsyncRunAgentClient("a", "first", **options)
        async with first, first.with_options(api_key="second") as second:
            return [await make_async((first, second)[i % 2], kind) for i, kind in enumerate(kinds)]

    return asyncio.run(main())


_OF_ONE_CALL = re.compile(
    rb"(?i)\r\n(idempotency-key|sec-websocket-key|content-length|authorization): [^\r]*"
    rb"|\?token=\w+"
)


def heads(server: WebSocketServer) -> list[bytes]:
    """Return the heads of all requests, without the port and the facts of one call."""
    port = str(server.port).encode()
    return [_OF_ONE_CALL.sub(b"", e.head).replace(port, b"PORT") for e in server.exchanges]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wire", SCRIPTS)
@pytest.mark.parametrize("name", LINES)
def test_requests_are_those_that_a_server_without_state_gets(
    name: str, wire: str, mode: str, serve: Serve
) -> None:
    found = []
    for lines in ([], LINES[name]):
        server = serve(*SCRIPTS[wire](lines), lines=lines)
        assert calls(server.url, mode, CALLS[wire]) == FINE[wire]
        assert len(server.exchanges) == len(server.scripts)
        assert not any("cookie" in exchange.headers for exchange in server.exchanges)
        found.append(heads(server))
    assert found[0] == found[1]


@pytest.mark.parametrize("mode", MODES)
def test_a_client_of_ones_own_keeps_the_cookies_that_can_be_sent(mode: str, serve: Serve) -> None:
    lines = ["Set-Cookie: node=7; Path=/", "Set-Cookie: name=André; Path=/"]
    server = serve(*rest(lines))
    if mode == "sync":
        with httpx2.Client(trust_env=False) as own:
            assert calls(server.url, mode, ("invoke", "stream"), http_client=own) == [True] * 2
    else:

        async def main() -> list[bool]:
            async with httpx2.AsyncClient(trust_env=False) as own:
                options: Any = {"base_url": server.url, "retry_delay": TICK, "http_client": own}
                async with AsyncRunAgentClient("a", **options) as client:
                    return [await make_async(client, kind) for kind in ("invoke", "stream")]

        assert asyncio.run(main()) == [True] * 2
    assert [e.headers.get("cookie") for e in server.exchanges] == [None, "node=7", "node=7"]


@pytest.mark.parametrize("mode", MODES)
def test_a_cookie_in_headers_is_the_users_own_and_is_sent(mode: str, serve: Serve) -> None:
    server = serve(*rest(["Set-Cookie: mine=8; Path=/"]))
    assert calls(server.url, mode, ("invoke", "stream"), headers={"Cookie": "mine=7"}) == [True] * 2
    assert {e.headers["cookie"] for e in server.exchanges} == {"mine=7"}
