"""Fault x (sync, async) of a WebSocket stream: the exception, and a socket that is closed."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support import websockets as ws
from support.calls import MODES, Outcome, call
from support.clock import MOMENT, PATIENCE, SOON, TICK, TIMEOUT
from support.faults import KEEP, RESET, STALL, Drip, Pause, Repeat, answer, error, head
from support.websockets import UPGRADE, WebSocketServer
from wsproto import events
from wsproto.frame_protocol import Opcode

from runagent import (
    AsyncRunAgentClient,
    AuthenticationError,
    NetworkError,
    RunAgentClient,
    RunAgentError,
    StreamError,
    TimeoutError,  # noqa: A004
    ValidationError,
)

Serve = Callable[..., WebSocketServer]

CERTS = Path(__file__).parent / "certs"


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server with these scripts."""
    with ExitStack() as stack:
        yield lambda *scripts, **options: stack.enter_context(WebSocketServer(*scripts, **options))


def stream(server: WebSocketServer, mode: str, **options: Any) -> Outcome:
    return call(server.url, "stream", mode, **{"protocol": "server", **options})


@pytest.mark.parametrize("mode", MODES)
def test_the_client_closes_after_the_end(serve: Serve, mode: str) -> None:
    server = serve([UPGRADE, ws.stream("o", "k"), STALL])
    assert stream(server, mode).value == "ok"
    assert server.last.wait_closed()
    request, goodbye = server.messages()
    assert isinstance(request, events.TextMessage)
    assert (type(goodbye), goodbye.code) == (events.CloseConnection, 1000)


@pytest.mark.parametrize("mode", MODES)
def test_what_comes_with_the_head_is_not_lost(serve: Serve, mode: str) -> None:
    server = serve([UPGRADE + ws.stream("o", "k"), STALL])
    assert stream(server, mode).value == "ok"


@pytest.mark.parametrize("mode", MODES)
def test_a_byte_at_a_time(serve: Serve, mode: str) -> None:
    server = serve([UPGRADE, Drip(ws.stream("o", "k"), TICK / 10), STALL])
    assert stream(server, mode).value == "ok"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
def test_a_character_in_two_fragments_with_a_ping_between_them(
    serve: Serve, encrypted: bool, mode: str
) -> None:
    payload = json.dumps("a 🎉 b", ensure_ascii=False)
    content = json.dumps({"type": "string", "payload": payload}, ensure_ascii=False)
    text = json.dumps({"type": "data", "content": content}, ensure_ascii=False).encode()
    cut = text.index("🎉".encode()) + 2
    parts = [ws.frame(Opcode.TEXT, text[:cut], first=0), ws.frame(Opcode.CONTINUATION, text[cut:])]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTS / "server.pem")
    script = [UPGRADE, ws.STARTED, ws.ping(b"p").join(parts), ws.COMPLETED, STALL]
    server = serve(script, tls=tls if encrypted else None)
    outcome = stream(server, mode, verify_ssl=str(CERTS / "ca.pem") if encrypted else True)
    assert outcome.value == "a 🎉 b"


@pytest.mark.parametrize("mode", MODES)
def test_pings_are_answered_and_are_life(serve: Serve, mode: str) -> None:
    """The silence between two pings is shorter than the timeout, that between two chunks is not."""
    pause = [ws.ping(b"p"), Pause(TIMEOUT / 20)]
    server = serve([UPGRADE, ws.STARTED, *pause * 30, ws.chunk("ok"), ws.COMPLETED, STALL])
    assert stream(server, mode, timeout=TIMEOUT).value == "ok"
    assert server.last.wait_closed()
    pongs = [event for event in server.messages() if isinstance(event, events.Pong)]
    assert [pong.payload for pong in pongs] == [b"p"] * 30


@pytest.mark.parametrize("mode", MODES)
def test_a_ping_is_answered_before_the_chunks_beside_it_are_consumed(
    serve: Serve, mode: str
) -> None:
    server = serve([UPGRADE, ws.STARTED + ws.chunk("a") + ws.chunk("b") + ws.ping(b"p"), STALL])

    def has_ponged() -> bool:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if any(isinstance(event, events.Pong) for event in server.messages()):
                return True
            time.sleep(TICK)
        return False

    if mode == "sync":
        with RunAgentClient("a", base_url=server.url, protocol="server") as client:
            chunks = client.run_generic_stream({})
            assert next(chunks) == "a"
            assert has_ponged()
            chunks.close()
    else:

        async def main() -> None:
            client = AsyncRunAgentClient("a", base_url=server.url, protocol="server")
            async with client, client.run_generic_stream({}) as chunks:
                assert await anext(chunks) == "a"
                assert has_ponged()

        asyncio.run(main())


READ = [ws.ping(b"read?"), ws.PONGED]
"""Both sides have read: what is unread when a socket is closed is lost to the other."""

CUT_OFF = [
    ("the connection ends", [UPGRADE, ws.STARTED, ws.chunk("part"), *READ]),
    ("the connection is reset", [UPGRADE, ws.STARTED, ws.chunk("part"), *READ, RESET]),
    ("it ends within a frame", [UPGRADE, ws.STARTED, ws.chunk("part"), *READ, ws.chunk("x")[:-3]]),
    ("close 1000", [UPGRADE, ws.STARTED, ws.chunk("part"), ws.close(1000), STALL]),
    ("close 1011", [UPGRADE, ws.STARTED, ws.chunk("part"), ws.close(1011, "why"), STALL]),
    ("an error", [UPGRADE, ws.STARTED, ws.chunk("part"), ws.message({"type": "error", "error": "why"}), STALL]),
    ("not JSON", [UPGRADE, ws.STARTED, ws.chunk("part"), ws.message("what"), STALL]),
    ("a masked frame", [UPGRADE, ws.STARTED, ws.chunk("part"), ws.frame(Opcode.TEXT, b"abcdx", second=0x80), STALL]),
    ("compression", [UPGRADE, ws.STARTED, ws.chunk("part"), ws.frame(Opcode.TEXT, b"x", first=0xC0), STALL]),
    ("a reserved opcode", [UPGRADE, ws.STARTED, ws.chunk("part"), b"\x83\x00", STALL]),
    ("a length of 64 bits", [UPGRADE, ws.STARTED, ws.chunk("part"), b"\x81\x7f" + b"\xff" * 8, STALL]),
    ("a message within a message", [UPGRADE, ws.STARTED, ws.chunk("part"), ws.frame(Opcode.TEXT, b"{", first=0) + ws.chunk("x"), STALL]),
    ("close within a message", [UPGRADE, ws.STARTED, ws.chunk("part"), ws.frame(Opcode.TEXT, b"{", first=0) + ws.close(1000), STALL]),
    ("no character", [UPGRADE, ws.STARTED, ws.chunk("part"), ws.frame(Opcode.TEXT, b'"\xed\xa0\x80"'), STALL]),
    ("plain text", [UPGRADE, ws.STARTED, ws.chunk("part"), b"HTTP/1.1 500 Oops\r\n\r\n", STALL]),
]  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("script", [row[1] for row in CUT_OFF], ids=[row[0] for row in CUT_OFF])
def test_a_stream_that_is_cut_off_says_so(serve: Serve, script: Any, mode: str) -> None:
    server = serve(script)
    outcome = stream(server, mode)
    assert type(outcome.error) is StreamError
    assert outcome.error.text == "part"
    assert outcome.error.request_id == "i-1"
    assert len(server.exchanges) == 1  # an agent that ran is not run again
    if STALL in script:
        assert server.last.wait_closed()


REFUSED = [
    ("HTML", answer("<html>hello</html>", content_type="text/html"), RunAgentError, "INVALID_RESPONSE"),
    ("a wrong proof", [head(101, "text/plain", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: x"), STALL], RunAgentError, "INVALID_RESPONSE"),
    ("401", error(401, "INVALID_API_KEY"), AuthenticationError, "INVALID_API_KEY"),
    ("422", answer({"detail": "no"}, 422), ValidationError, None),
    ("reset", [RESET], NetworkError, "CONNECTION_LOST"),
]  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("script", "kind", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_a_refused_upgrade(
    serve: Serve, script: Any, kind: type[RunAgentError], code: str | None, mode: str
) -> None:
    outcome = stream(serve(script), mode)
    assert type(outcome.error) is kind
    assert outcome.error.code == code


@pytest.mark.parametrize("mode", MODES)
def test_an_upgrade_is_tried_again_where_that_is_safe(serve: Serve, mode: str) -> None:
    server = serve(error(503, "BUSY"), [UPGRADE, ws.stream("o", "k"), STALL])
    assert stream(server, mode).value == "ok"
    assert len(server.exchanges) == 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "script",
    [[STALL], [UPGRADE, STALL], [UPGRADE, ws.STARTED, ws.chunk("part"), STALL]],
    ids=["no answer", "no message", "no further message"],
)
def test_silence_is_bounded(serve: Serve, script: Any, mode: str) -> None:
    server = serve(script)
    outcome = stream(server, mode, timeout=TIMEOUT)
    assert type(outcome.error) is TimeoutError
    assert outcome.seconds < SOON
    assert server.last.wait_closed()


@pytest.mark.parametrize("mode", MODES)
def test_a_message_that_never_ends_is_not_held(serve: Serve, mode: str) -> None:
    endless = [b"\x81\x7f" + (1 << 62).to_bytes(8, "big"), Repeat(b"x" * 65536)]
    outcome = stream(serve([UPGRADE, *endless]), mode, max_message_size=1_000_000)
    assert type(outcome.error) is StreamError
    assert outcome.error.code == "MESSAGE_TOO_LARGE"


def test_closing_from_another_thread_ends_a_waiting_stream(serve: Serve) -> None:
    server = serve([UPGRADE, ws.STARTED, ws.chunk("a"), STALL])
    with RunAgentClient("a", base_url=server.url, protocol="server", timeout=PATIENCE) as client:
        chunks = client.run_generic_stream({})
        assert next(chunks) == "a"
        timer = threading.Timer(MOMENT, chunks.close)
        timer.start()
        assert list(chunks) == []
        timer.join()
        assert server.last.wait_closed()


def test_cancellation_closes_the_socket(serve: Serve) -> None:
    server = serve([UPGRADE, ws.STARTED, ws.chunk("a"), STALL])

    async def main() -> None:
        client = AsyncRunAgentClient("a", base_url=server.url, protocol="server", timeout=PATIENCE)

        async def consume() -> None:
            async for _ in client.run_generic_stream({}):
                pass

        task = asyncio.create_task(consume())
        while not server.received:
            await asyncio.sleep(TICK)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.last.wait_closed)

    asyncio.run(main())


def test_a_loop_that_shuts_down_closes_the_socket(serve: Serve) -> None:
    server = serve([UPGRADE, ws.STARTED, ws.chunk("a"), STALL])

    async def main() -> None:
        client = AsyncRunAgentClient("a", base_url=server.url, protocol="server")
        chunks = client.run_generic_stream({})
        assert await anext(chunks) == "a"
        kept.append(chunks)

    kept: list[Any] = []
    asyncio.run(main())
    assert server.last.wait_closed()


@pytest.mark.parametrize("mode", MODES)
def test_the_key_is_sent_in_both_places_and_shown_in_none(
    serve: Serve, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    key = "rau_s3cret/+&key"
    quoted = "rau_s3cret%2F%2B%26key"
    caplog.set_level(logging.DEBUG)
    echo = f"<html>no /api/v1/agents/a/run-stream?token={quoted} with {key}</html>"
    server = serve(answer(echo, 400, content_type="text/html"))
    outcome = stream(server, mode, api_key=key)
    assert server.last.headers["authorization"] == f"Bearer {key}"
    assert server.last.target == f"/api/v1/agents/a/run-stream?token={quoted}"
    shown = f"{outcome.error!r} {outcome.error} {caplog.text}"
    assert key not in shown
    assert quoted not in shown


@pytest.mark.parametrize("mode", MODES)
def test_no_key_no_token(serve: Serve, mode: str) -> None:
    server = serve([UPGRADE, ws.stream("o", "k"), KEEP])
    assert stream(server, mode).value == "ok"
    assert server.last.target == "/api/v1/agents/a/run-stream"
    assert "authorization" not in server.last.headers
    assert "sec-websocket-extensions" not in server.last.headers
