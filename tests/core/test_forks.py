"""A forked process ends, takes and adds nothing of its parent's, whichever way it lets go of it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support import websockets as ws
from support.clock import MOMENT, PATIENCE
from support.faults import DONE, LAST_FRAME, SSE_HEAD, STALL, Do, Script, answer, chunk, frame
from support.websockets import UPGRADE, WebSocketServer
from wsproto import events

from runagent import AsyncRunAgentClient, NetworkError, RunAgentClient, StreamError

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
]

CERTS = Path(__file__).parent / "certs"
WIRES = ("rest", "server")
Serve = Callable[..., WebSocketServer]


def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTS / "server.pem")
    return context


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server with these scripts."""
    with ExitStack() as stack:
        yield lambda *scripts, **options: stack.enter_context(WebSocketServer(*scripts, **options))


def script(wire: str, release: threading.Event) -> Script:
    """Return a stream of two chunks, of which the second comes when it is released."""
    pause = Do(lambda: release.wait(PATIENCE))
    if wire == "rest":
        return [
            SSE_HEAD, frame(chunk("a")), pause, frame(chunk("b")), frame(DONE), LAST_FRAME
        ]  # fmt: skip
    return [UPGRADE + ws.STARTED + ws.chunk("a"), pause, ws.chunk("b") + ws.COMPLETED, STALL]


def in_fork(do: Callable[[], object], *, leave: Callable[[int], object] = os._exit) -> int:
    """Do something in a forked process, which then leaves; return its exit status."""
    child = os.fork()
    if child == 0:
        signal.alarm(PATIENCE)  # ends it, should it hang
        status = 3
        try:
            do()
            gc.collect()
            status = 0
        except BaseException:
            leave(1)
            raise
        finally:
            leave(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Held:
    """A client and a stream of it that has begun, as the variables of a program hold them."""

    def __init__(self, client: Any, stream: Any) -> None:
        self.client = client
        self.stream = stream

    def close_client(self) -> None:
        self.client.close()

    def leave_with_of_client(self) -> None:
        self.client.__exit__(None, None, None)

    def close_stream(self) -> None:
        self.stream.close()

    def leave_with_of_stream(self) -> None:
        self.stream.__exit__(None, None, None)

    def throw_into_stream(self) -> None:
        with contextlib.suppress(LookupError):
            self.stream.throw(LookupError())

    def go_on_reading(self) -> None:
        with pytest.raises(StreamError, match="belongs to the process") as caught:
            next(self.stream)
        assert caught.value.text == "a"

    def drop_stream(self) -> None:
        self.stream = None

    def drop_both(self) -> None:
        self.client = self.stream = None

    def nothing(self) -> None:
        pass


WAYS = [name for name in vars(Held) if not name.startswith("_")]


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("way", WAYS)
def test_a_stream_of_the_parent_goes_on(way: str, wire: str, encrypted: bool, serve: Serve) -> None:
    release = threading.Event()
    server = serve(script(wire, release), tls=tls() if encrypted else None)
    url = server.url.replace("127.0.0.1", "localhost")
    options: dict[str, Any] = {"protocol": wire, "verify_ssl": str(CERTS / "ca.pem")}
    client = RunAgentClient("a", "k", url, PATIENCE, **options)
    held = Held(client, client.run_generic_stream({}))
    assert next(held.stream) == "a"
    assert in_fork(getattr(held, way)) == 0
    release.set()
    assert list(held.stream) == ["b"]
    assert_said_nothing_more(server, wire)
    held.client.close()


def assert_said_nothing_more(server: WebSocketServer, wire: str) -> None:
    """Check that the server got one request of one process, and one goodbye at the end of it."""
    assert server.connections == 1
    assert len(server.exchanges) == 1
    if wire == "server":
        assert server.last.wait_closed()
        kinds = [type(message) for message in server.messages()]
        assert kinds == [events.TextMessage, events.CloseConnection]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("way", ["close_client", "close_stream", "nothing", "drop_both"])
def test_a_stream_that_another_thread_reads_goes_on(way: str, wire: str, serve: Serve) -> None:
    release = threading.Event()
    server = serve(script(wire, release))
    client = RunAgentClient("a", "k", server.url, PATIENCE, protocol=wire)  # type: ignore[arg-type]
    held = Held(client, client.run_generic_stream({}))
    assert next(held.stream) == "a"
    rest: list[str] = []
    reader = threading.Thread(target=lambda stream=held.stream: rest.extend(stream))
    reader.start()
    time.sleep(MOMENT)
    assert in_fork(getattr(held, way)) == 0
    release.set()
    reader.join(PATIENCE)
    assert rest == ["b"]
    assert_said_nothing_more(server, wire)
    client.close()


@pytest.mark.parametrize("wire", WIRES)
def test_a_process_that_exits_in_the_usual_way_ends_nothing(wire: str, serve: Serve) -> None:
    """As scripts do: what is registered for the exit runs, and all that is left is collected."""
    import subprocess
    import sys

    release = threading.Event()
    server = serve(script(wire, release))
    program = f"""
import os, sys, warnings
from runagent import RunAgentClient
warnings.simplefilter("ignore", DeprecationWarning)
client = RunAgentClient("a", "k", {server.url!r}, {PATIENCE}, protocol={wire!r})
stream = client.run_generic_stream({{}})
print(next(stream), flush=True)
child = os.fork()
if child == 0:
    sys.exit(5)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
print("forked", flush=True)
sys.stdin.readline()
print(*stream)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "a\n"
        assert process.stdout.readline() == "forked\n"
        release.set()
        out, problems = process.communicate("\n", timeout=PATIENCE)
    assert (out, problems) == ("b\n", "")
    assert_said_nothing_more(server, wire)


# The asynchronous client


async def _close_client(client: AsyncRunAgentClient, stream: Any) -> None:
    await client.aclose()


async def _leave_with(client: AsyncRunAgentClient, stream: Any) -> None:
    await stream.__aexit__(None, None, None)
    await client.__aexit__(None, None, None)


async def _close_stream(client: AsyncRunAgentClient, stream: Any) -> None:
    await stream.aclose()


async def _go_on_reading(client: AsyncRunAgentClient, stream: Any) -> None:
    with pytest.raises(StreamError, match="belongs to the process"):
        await anext(stream)


async def _nothing(client: AsyncRunAgentClient, stream: Any) -> None:
    pass


ASYNC_WAYS = [_close_client, _leave_with, _close_stream, _go_on_reading, _nothing]


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_an_async_stream_of_the_parent_goes_on(
    way: Any, wire: str, encrypted: bool, serve: Serve
) -> None:
    release = threading.Event()
    server = serve(script(wire, release), tls=tls() if encrypted else None)
    url = server.url.replace("127.0.0.1", "localhost")
    options: dict[str, Any] = {"protocol": wire, "verify_ssl": str(CERTS / "ca.pem")}

    async def main() -> list[str]:
        async with AsyncRunAgentClient("a", "k", url, PATIENCE, **options) as client:
            stream = client.run_generic_stream({})
            assert await anext(stream) == "a"
            assert in_fork(lambda: asyncio.run(way(client, stream))) == 0
            release.set()
            rest = [text async for text in stream]
            if wire == "server":
                await asyncio.to_thread(assert_said_nothing_more, server, wire)
            return rest

    assert asyncio.run(main()) == ["b"]
    assert_said_nothing_more(server, wire)


def finished(coroutine: Any) -> None:
    """Run a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits for something that this process does not have")


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("way", [_close_client, _leave_with, _close_stream])
def test_a_process_forked_from_a_coroutine_leaves_its_blocks(
    way: Any, wire: str, serve: Serve
) -> None:
    release = threading.Event()
    server = serve(script(wire, release))

    async def main() -> list[str]:
        options: Any = {"protocol": wire}
        async with AsyncRunAgentClient("a", "k", server.url, PATIENCE, **options) as client:
            stream = client.run_generic_stream({})
            assert await anext(stream) == "a"
            assert in_fork(lambda: finished(way(client, stream))) == 0
            release.set()
            return [text async for text in stream]

    assert asyncio.run(main()) == ["b"]
    assert_said_nothing_more(server, wire)


@pytest.mark.parametrize("wire", WIRES)
def test_an_async_stream_that_is_dropped_ends_nothing(wire: str, serve: Serve) -> None:
    release = threading.Event()
    server = serve(script(wire, release))

    async def main() -> list[str]:
        options: Any = {"protocol": wire}
        client = AsyncRunAgentClient("a", "k", server.url, PATIENCE, **options)
        held = Held(client, client.run_generic_stream({}))
        assert await anext(held.stream) == "a"
        del client
        assert in_fork(held.drop_both) == 0
        release.set()
        rest = [text async for text in held.stream]
        await held.client.aclose()
        return rest

    assert asyncio.run(main()) == ["b"]
    assert_said_nothing_more(server, wire)


@pytest.mark.parametrize("wire", WIRES)
def test_an_event_loop_taken_along_connects_anew(wire: str, serve: Serve) -> None:
    value = answer() if wire == "rest" else answer({"success": True, "data": ws.structured("ok")})
    server = serve(value)
    options: Any = {"protocol": wire}
    client = AsyncRunAgentClient("a", "k", server.url, PATIENCE, **options)
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(client.run_generic({}))
    assert in_fork(lambda: loop.run_until_complete(client.run_generic({}))) == 0
    assert [e.connection for e in server.exchanges] == [0, 1]
    loop.run_until_complete(client.aclose())
    loop.close()


# Both


@pytest.mark.parametrize("kind", [RunAgentClient, AsyncRunAgentClient])
def test_a_stream_that_has_not_begun_belongs_to_both(kind: Any, serve: Serve) -> None:
    server = serve(script("rest", threading.Event()))
    server.scripts = [[SSE_HEAD, frame(chunk("a") + DONE), LAST_FRAME]]
    client = kind("a", "k", server.url, PATIENCE)
    stream = client.run_generic_stream({})

    async def read() -> list[str]:
        return [text async for text in stream]

    def texts() -> list[str]:
        return list(stream) if kind is RunAgentClient else asyncio.run(read())

    def check() -> None:
        assert texts() == ["a"]

    assert in_fork(check) == 0
    check()
    keys = {e.headers["idempotency-key"] for e in server.exchanges}
    assert len(keys) == len(server.exchanges) == 2


def test_a_fork_while_other_threads_call_does_not_hang(serve: Serve) -> None:
    """Locks that another thread holds at the fork are free, also where the exit needs them."""
    server = serve(answer())
    client = RunAgentClient("a", "k", server.url, PATIENCE)
    stop = threading.Event()
    failed: list[BaseException] = []

    def call() -> None:
        try:
            while not stop.is_set():
                client.run_generic({})
        except NetworkError as exc:
            failed.append(exc)

    def use() -> None:
        client.run_generic({})
        client.close()

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        assert [in_fork(use) for _ in range(20)] == [0] * 20
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
    assert not failed
    client.close()
