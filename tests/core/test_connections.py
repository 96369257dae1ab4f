"""Connections: shared between threads, loops and processes; through proxies and TLS; gone stale."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import multiprocessing
import os
import pickle
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.calls import KINDS, MODES, arun, call, run
from support.clock import MOMENT, PATIENCE, SOON, TICK, TIMEOUT, until
from support.faults import (
    STALL,
    FaultServer,
    Pause,
    answer,
    error,
    good,
    stream,
)
from support.forks import holds_in_fork

from runagent import (
    AsyncRunAgentClient,
    NetworkError,
    RunAgentClient,
    RunAgentError,
    TimeoutError,  # noqa: A004
    ValidationError,
)
from runagent.network import FRESH, _AsyncBackend, _BlockingBackend

Serve = Callable[..., FaultServer]
LOCAL = "http://localhost:8000"
CERTS = Path(__file__).parent / "certs"


# One client, any thread, any loop, any process


def test_32_threads_share_a_client(serve: Serve) -> None:
    server = serve(answer())
    with RunAgentClient("a", base_url=server.url) as client, ThreadPoolExecutor(32) as pool:
        results = list(pool.map(lambda i: client.run_generic({"i": i}), range(320)))
    assert len(results) == 320
    assert {e.json["i"] for e in server.exchanges} == set(range(320))
    assert len({e.headers["idempotency-key"] for e in server.exchanges}) == 320
    assert server.connections <= 32


def test_32_threads_stream_at_once(serve: Serve) -> None:
    server = serve(stream("a", "b"))
    with RunAgentClient("a", base_url=server.url) as client, ThreadPoolExecutor(32) as pool:
        assert set(pool.map(lambda _: run(client, "stream"), range(96))) == {"ab"}


def test_a_thousand_concurrent_calls(serve: Serve) -> None:
    server = serve(answer())

    async def main() -> None:
        async with AsyncRunAgentClient("a", base_url=server.url, timeout=PATIENCE) as client:
            calls = [client.run_generic({"i": i}) for i in range(1000)]
            assert len(await asyncio.gather(*calls)) == 1000

    asyncio.run(main())
    assert {e.json["i"] for e in server.exchanges} == set(range(1000))
    assert server.connections <= 100


def test_as_many_calls_at_a_time_as_the_pool_has_connections(serve: Serve) -> None:
    stalling, answering = serve([STALL]), serve(answer())

    async def main() -> None:
        options: Any = {"connection_pool_size": 12}
        async with AsyncRunAgentClient("a", base_url=stalling.url, **options) as client:
            calls = [
                asyncio.ensure_future(client.run_generic({}, timeout=PATIENCE)) for _ in range(20)
            ]
            await asyncio.to_thread(stalling.wait_for, 12)
            await asyncio.sleep(MOMENT)
            assert len(stalling.exchanges) == stalling.connections == 12
            assert not any(call.done() for call in calls)
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
        async with AsyncRunAgentClient("a", base_url=answering.url, **options) as client:
            for _ in range(3):
                await asyncio.gather(*(client.run_generic({}) for _ in range(30)))
            assert answering.connections <= 12
            open_already = answering.connections
            for _ in range(5):
                await client.run_generic({})
            assert answering.connections == open_already
            assert len({e.connection for e in answering.exchanges[-5:]}) == 1

    asyncio.run(main())


@pytest.mark.parametrize("mode", MODES)
def test_a_full_pool_says_so(mode: str, serve: Serve) -> None:
    server = serve([STALL])

    async def main() -> BaseException:
        async with AsyncRunAgentClient(
            "a", base_url=server.url, timeout=TIMEOUT, connection_pool_size=1
        ) as client:
            first = asyncio.ensure_future(client.run_generic({}, timeout=PATIENCE))
            await asyncio.to_thread(server.wait_for, 1)
            with pytest.raises(TimeoutError) as caught:
                await client.run_generic({})
            assert not first.done()
            server.stop()
            with pytest.raises(NetworkError):
                await first
            return caught.value

    if mode == "async":
        problem = asyncio.run(main())
    else:
        with (
            RunAgentClient(
                "a", base_url=server.url, timeout=TIMEOUT, connection_pool_size=1
            ) as client,
            ThreadPoolExecutor(1) as pool,
        ):
            first = pool.submit(client.run_generic, {}, timeout=PATIENCE)
            server.wait_for(1)
            with pytest.raises(TimeoutError) as caught:
                client.run_generic({})
            problem = caught.value
            assert not first.done()
            server.stop()
            assert isinstance(first.exception(), NetworkError)
    assert isinstance(problem, TimeoutError)
    assert "connection_pool_size" in str(problem)


@pytest.mark.parametrize("kind", KINDS)
def test_several_event_loops_one_after_the_other(kind: str, serve: Serve) -> None:
    server = serve(good(kind))
    client = AsyncRunAgentClient("a", base_url=server.url)
    for _ in range(3):
        assert asyncio.run(arun(client, kind))
    asyncio.run(client.aclose())
    assert all(e.connection == i for i, e in enumerate(server.exchanges))


def test_nothing_is_kept_of_event_loops_that_have_ended(serve: Serve) -> None:
    server = serve(answer())
    client = AsyncRunAgentClient("a", base_url=server.url, connection_pool_size=2)
    loops: weakref.WeakSet[Any] = weakref.WeakSet()

    async def main() -> None:
        loops.add(asyncio.get_running_loop())
        await asyncio.gather(*(client.run_generic({}) for _ in range(4)))

    for _ in range(30):
        asyncio.run(main())
    assert len(client._pump._connections._by_loop) == 0
    gc.collect()
    assert len(loops) == 0


def test_two_event_loops_at_once(serve: Serve) -> None:
    server = serve(answer())
    client = AsyncRunAgentClient("a", base_url=server.url)
    barrier = threading.Barrier(2)

    async def many() -> int:
        barrier.wait(PATIENCE)
        return len(await asyncio.gather(*(client.run_generic({}) for _ in range(50))))

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda _: asyncio.run(many()), range(2))) == [50, 50]
    asyncio.run(client.aclose())


def test_closing_from_one_loop_closes_the_connections_of_another(serve: Serve) -> None:
    server = serve([*answer()[:-1], STALL], answer())
    client = AsyncRunAgentClient("a", base_url=server.url)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(client.run_generic({}), loop).result(PATIENCE)
    asyncio.run(client.aclose())
    assert server.last.wait_closed()
    loop.call_soon_threadsafe(loop.stop)
    thread.join(PATIENCE)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def ask(client: Any, kind: str = "invoke") -> Any:
    if isinstance(client, AsyncRunAgentClient):
        return asyncio.run(arun(client, kind))
    return run(client, kind)


@pytest.mark.parametrize("kind", [RunAgentClient, AsyncRunAgentClient])
def test_clients_are_pickled_to_a_process_pool(kind: Any, serve: Serve) -> None:
    server = serve(answer())
    client = kind("a", "secret-key", server.url, timeout=PATIENCE, headers={"X-Team": "blue"})
    assert ask(client)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(ask, client).result(PATIENCE) == {"answer": "ok"}
    assert server.exchanges[1].headers["authorization"] == "Bearer secret-key"
    assert server.exchanges[1].headers["x-team"] == "blue"
    copy = pickle.loads(pickle.dumps(client))
    assert (copy.agent_id, copy.base_url, copy.timeout) == ("a", server.url, PATIENCE)


@pytest.mark.parametrize("kind", [RunAgentClient, AsyncRunAgentClient])
def test_a_pickled_client_is_the_same_where_other_settings_hold(
    kind: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = [kind("a", "k")]
    monkeypatch.setenv("RUNAGENT_ALLOW_HTTP", "yes")
    clients.append(kind("a", "k", "http://agents.example"))
    pickled = [(pickle.dumps(client), client._settings) for client in clients]
    others = {"ALLOW_HTTP": "no", "TIMEOUT": "7", "PROTOCOL": "server", "API_URL": "https://x.org"}
    for name, value in others.items():
        monkeypatch.setenv(f"RUNAGENT_{name}", value)
    retries = {"max_retries": 9, "retry_delay": PATIENCE, "retry_backoff": 9}
    (home / ".runagent").mkdir()
    (home / ".runagent" / "config.json").write_text(json.dumps({"retry_config": retries}))
    for data, settings in pickled:
        copy = pickle.loads(data)
        assert replace(copy._settings, base_url_source=settings.base_url_source) == settings
        assert copy.with_options(headers={"X-A": "b"}).timeout == settings.timeout
    assert kind("b", "k", timeout=clients[0].timeout).timeout == 30
    assert kind("b", "k").timeout == 7


def test_the_arguments_of_a_client_make_one_of_the_other_kind() -> None:
    client = RunAgentClient("a", "k", LOCAL, 7, headers={"X-A": "b"}, connection_pool_size=3)
    other = AsyncRunAgentClient(**client.resolved_arguments())
    assert other.resolved_arguments() == client.resolved_arguments()
    assert (other.base_url, other.timeout) == (LOCAL, 7)
    assert "'k'" not in repr(client.resolved_arguments())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("kind", [RunAgentClient, AsyncRunAgentClient])
def test_clients_survive_a_fork(kind: Any, serve: Serve) -> None:
    server = serve(answer())
    client = kind("a", base_url=server.url)
    assert ask(client)
    assert holds_in_fork(lambda: ask(client) == ask(client) == {"answer": "ok"})
    assert ask(client)  # its connection was not the child's to use or to close
    if kind is RunAgentClient:
        assert [e.connection for e in server.exchanges] == [0, 1, 1, 0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("kind", [RunAgentClient, AsyncRunAgentClient])
def test_a_lock_that_another_thread_holds_is_free_in_a_fork(kind: Any, serve: Serve) -> None:
    server = serve(answer())
    client = kind("a", base_url=server.url)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with client._pump._connections._lock:  # as while the first call makes an httpx2 client
            held.set()
            done.wait()

    def answers_soon() -> bool:
        signal.alarm(PATIENCE)  # ends the child
        return bool(ask(client) == {"answer": "ok"})

    with ThreadPoolExecutor(1) as pool:
        pool.submit(hold)
        assert held.wait(PATIENCE)
        try:
            assert holds_in_fork(answers_soon)
        finally:
            done.set()
    assert ask(client)


# Closing, or not


@pytest.mark.parametrize("kind", KINDS)
def test_closing_twice_and_using_after(kind: str, serve: Serve) -> None:
    server = serve(good(kind))
    with RunAgentClient("a", base_url=server.url) as client:
        run(client, kind)
        client.close()
    client.close()
    assert client.closed
    with pytest.raises(RunAgentError, match="closed") as caught:
        run(client, kind)
    assert caught.value.code == "CLIENT_CLOSED"

    async def main() -> None:
        async with AsyncRunAgentClient("a", base_url=server.url) as client:
            await arun(client, kind)
            await client.aclose()
        await client.aclose()
        with pytest.raises(RunAgentError, match="closed"):
            await arun(client, kind)

    asyncio.run(main())


def test_what_was_begun_before_closing_sends_nothing_after(serve: Serve) -> None:
    server = serve(good("stream"))
    client = RunAgentClient("a", base_url=server.url)
    copy = client.with_options(timeout=PATIENCE)
    streams = client.run_generic_stream({}), client.stream_events({})
    client.close()
    for stream_ in streams:
        with pytest.raises(RunAgentError, match="was closed") as caught:
            list(stream_)
        assert (caught.value.code, caught.value.attempts) == ("CLIENT_CLOSED", None)
    assert run(copy, "stream") == "ok"
    copy.close()
    copy = client.with_options(timeout=PATIENCE)
    assert run(copy, "stream") == "ok"
    copy.close()

    async def main() -> None:
        client = AsyncRunAgentClient("a", base_url=server.url)
        copy = client.with_options(timeout=PATIENCE)
        stream_ = client.run_generic_stream({})
        await client.aclose()
        with pytest.raises(RunAgentError, match="was closed") as caught:
            [text async for text in stream_]
        assert (caught.value.code, caught.value.attempts) == ("CLIENT_CLOSED", None)
        assert await arun(copy, "stream") == "ok"
        await copy.aclose()

    asyncio.run(main())
    assert len(server.exchanges) == 3


@pytest.mark.parametrize("mode", MODES)
def test_closing_while_a_call_waits_for_its_next_attempt(
    mode: str, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    # The wait begins with a line in the log.
    caplog.set_level(logging.INFO, "runagent")

    async def main() -> BaseException | None:
        client = AsyncRunAgentClient("a", base_url=server.url)
        closing: list[asyncio.Future[None]] = []

        def close(record: logging.LogRecord) -> bool:
            if "trying again" in record.msg:
                closing.append(asyncio.ensure_future(client.aclose()))
            return True

        caplog.handler.addFilter(close)
        waiting = asyncio.ensure_future(client.run_generic({}))
        await asyncio.wait([waiting])
        caplog.handler.removeFilter(close)
        await asyncio.gather(*closing)
        return waiting.exception()

    problem: BaseException | None
    if mode == "async":
        server = serve(error(503, "BUSY", retry_after=MOMENT), answer())
        problem = asyncio.run(main())
    else:
        server = serve(error(503, "BUSY", retry_after=PATIENCE), answer())
        client = RunAgentClient("a", base_url=server.url, timeout=2 * PATIENCE)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(client.run_generic, {})
            until(lambda: "trying again" in caplog.text)
            client.close()
            problem = waiting.exception(SOON)
    assert isinstance(problem, RunAgentError)
    assert problem.code == "CLIENT_CLOSED"
    assert len(server.exchanges) == 1


NEVER_CLOSED = {
    "sync": "client = RunAgentClient('a', base_url=url); client.run_generic({}); next(client.run_generic_stream({}))",
    "sync, in mid-stream": "client = RunAgentClient('a', base_url=url); stream = client.run_generic_stream({}); next(stream)",
    "async": "client = AsyncRunAgentClient('a', base_url=url); asyncio.run(ask(client)); asyncio.run(ask(client))",
    "async, in mid-stream": "client = AsyncRunAgentClient('a', base_url=url); asyncio.run(begin(client))",
    "async, dropped": "asyncio.run(ask(AsyncRunAgentClient('a', base_url=url))); gc.collect()",
    "threads": "client = RunAgentClient('a', base_url=url); [threading.Thread(target=client.run_generic, args=({},)).start() for _ in range(8)]",
    "used at exit": "client = RunAgentClient('a', base_url=url); import atexit; atexit.register(lambda: client.run_generic({}))",
    "a failing call": "client = RunAgentClient('a', base_url='http://127.0.0.1:9', max_retries=0)\ntry: client.run_generic({})\nexcept ConnectionError: pass",
}

PREAMBLE = """
import asyncio, gc, sys, threading, logging
logging.getLogger("asyncio").setLevel("ERROR")  # not how long the first call took
from runagent import AsyncRunAgentClient, RunAgentClient
url = sys.argv[1]
held = []

async def ask(client):
    await client.run_generic({})
    async for _ in client.run_generic_stream({}):
        break

async def begin(client):
    held.append(client.run_generic_stream({}))
    await anext(held[0])
"""


@pytest.mark.parametrize("name", NEVER_CLOSED)
def test_never_closing_makes_no_noise(name: str, serve: Serve) -> None:
    # A client that calls either kind in turn gets the answer to it.
    server = serve(
        *[answer() if "mid" not in name and i % 2 == 0 else stream("a", "b") for i in range(4)],
        answer(),
    )
    if name in ("threads", "used at exit"):
        server.scripts[:] = [answer()]
    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "dev",
            "-W",
            "error",
            "-c",
            PREAMBLE + NEVER_CLOSED[name],
            server.url,
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.stderr, done.stdout, done.returncode) == ("", "", 0)


def test_a_dropped_client_closes_its_connections(serve: Serve) -> None:
    server = serve([*answer()[:-1], STALL])
    RunAgentClient("a", base_url=server.url).run_generic({})
    gc.collect()
    assert server.last.wait_closed()


def test_changed_copies_share_the_connections(serve: Serve) -> None:
    server = serve(answer())
    with RunAgentClient("a", base_url=server.url) as client:
        for timeout in (3, 4, 5):
            copy = client.with_options(timeout=timeout, headers={"X-T": str(timeout)})
            assert copy.timeout == timeout
            copy.run_generic({})
        assert server.connections == 1
        assert server.last.headers["x-t"] == "5"
        copy.close()
        client.run_generic({})
        assert server.connections == 1
        client.with_options(connection_pool_size=3).run_generic({})
        assert server.connections == 2
        with pytest.raises(TypeError, match="colour"):
            client.with_options(colour="red")


def test_copies_that_are_dropped_do_not_keep_connections_open(serve: Serve) -> None:
    server = serve([*answer()[:-1], STALL])
    client = RunAgentClient("a", base_url=server.url)
    client.with_options(timeout=PATIENCE).run_generic({})
    gc.collect()
    assert not server.last.closed_by_client.is_set()
    client.close()
    assert server.last.wait_closed()


def test_a_copy_outlives_the_client_it_was_made_from(serve: Serve) -> None:
    server = serve(answer())
    client = RunAgentClient("a", base_url=server.url)
    copy = client.with_options(timeout=PATIENCE)
    client.close()
    assert copy.run_generic({})
    copy.close()

    async def main() -> None:
        client = AsyncRunAgentClient("a", base_url=server.url)
        copy = client.with_options(timeout=PATIENCE)
        await client.run_generic({})
        await client.aclose()
        assert await copy.run_generic({})
        await copy.aclose()

    asyncio.run(main())


# Stale connections


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_kept_connection_that_died_is_replaced(kind: str, mode: str, serve: Serve) -> None:
    server = serve([*good(kind)[:-1]], good(kind))  # closes after the first answer

    async def main() -> None:
        async with AsyncRunAgentClient("a", base_url=server.url, max_retries=0) as client:
            for answers in (1, 2):
                assert await arun(client, kind)
                if answers == 1:
                    await asyncio.to_thread(until, lambda: server.closed)
                    await asyncio.sleep(2 * FRESH)  # for which the client takes it to be open

    if mode == "async":
        asyncio.run(main())
    else:
        with RunAgentClient("a", base_url=server.url, max_retries=0) as client:
            for answers in (1, 2):
                assert run(client, kind)
                if answers == 1:
                    until(lambda: server.closed)
                    time.sleep(2 * FRESH)
    assert server.connections == 2


@pytest.mark.parametrize("mode", MODES)
def test_a_connection_that_dies_under_the_request_is_tried_once_more(
    mode: str, serve: Serve
) -> None:
    # The server takes the second request and closes: it may have closed before it came.
    server = serve(answer(), [], answer())

    async def main() -> Any:
        async with AsyncRunAgentClient("a", base_url=server.url, retry_delay=TICK) as client:
            await client.run_generic({})
            return await client.run_generic_with_metadata({})

    if mode == "async":
        result = asyncio.run(main())
    else:
        with RunAgentClient("a", base_url=server.url, retry_delay=TICK) as client:
            client.run_generic({})
            result = client.run_generic_with_metadata({})
    assert result.attempts == 2
    keys = [e.headers["idempotency-key"] for e in server.exchanges]
    assert keys[1] == keys[2] != keys[0]


# Slow to connect, slow to resolve, slow to read


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port that accepts no connection and refuses none: its backlog is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full backlog refuses")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_that_is_never_made(kind: str, mode: str, deaf: int) -> None:
    outcome = call(f"http://127.0.0.1:{deaf}", kind, mode, timeout=TIMEOUT)
    assert type(outcome.error) is TimeoutError
    assert "connect" in str(outcome.error)
    assert TIMEOUT * 0.8 <= outcome.seconds < SOON


def patch_addresses(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let `many.localhost` have these addresses."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in ("many.localhost", b"many.localhost"):
            return real(host, port, *args, **kwargs)
        return [info for address in addresses for info in real(address, port, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full backlog refuses")
@pytest.mark.parametrize("mode", MODES)
def test_several_dead_addresses_share_the_time(
    mode: str, deaf: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch_addresses(monkeypatch, *["127.0.0.1"] * 400)
    outcome = call(f"http://many.localhost:{deaf}", "invoke", mode, timeout=TIMEOUT)
    assert type(outcome.error) is TimeoutError
    assert outcome.seconds < SOON


@pytest.mark.parametrize("mode", MODES)
def test_the_second_address_is_tried_when_the_first_refuses(
    mode: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(answer())
    patch_addresses(monkeypatch, "127.0.0.2", "127.0.0.1")
    url = f"http://many.localhost:{server.port}"
    assert call(url, "invoke", mode, max_retries=0).value == {"answer": "ok"}


@pytest.mark.parametrize("mode", MODES)
def test_localhost_is_found_on_either_address_family(mode: str, serve: Serve) -> None:
    server = serve(answer())
    url = f"http://localhost:{server.port}"
    assert call(url, "invoke", mode, max_retries=0).value == {"answer": "ok"}


def test_ipv6(serve: Serve) -> None:
    try:
        server = serve(answer(), host="::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert call(server.url, "invoke", "sync").value == {"answer": "ok"}


@pytest.mark.parametrize("mode", MODES)
def test_a_name_that_does_not_exist(mode: str) -> None:
    outcome = call("http://nowhere.invalid", "invoke", mode, api_key="", max_retries=1)
    assert type(outcome.error) is NetworkError
    assert outcome.error.attempts == 2
    assert "nowhere.invalid" in str(outcome.error)


@pytest.mark.parametrize("mode", MODES)
def test_a_resolver_that_takes_its_time(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    patience = PATIENCE if mode == "sync" else 2 * TIMEOUT  # which asyncio.run waits for
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(patience) and [])
    outcome = call("http://slow.localhost", "invoke", mode, timeout=TIMEOUT)
    released.set()
    assert type(outcome.error) is TimeoutError
    if mode == "sync":
        assert outcome.seconds < SOON


class SlowReader:
    """Accepts connections and takes a little now and then."""

    def __init__(self) -> None:
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.stopping = threading.Event()
        self.taken = 0
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self) -> None:
        sock, _ = self.listener.accept()
        with sock:
            while not self.stopping.wait(TIMEOUT / 20):
                try:
                    self.taken += len(sock.recv(65536))
                except OSError:
                    return

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join(PATIENCE)
        self.listener.close()


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_reads_slowly(mode: str) -> None:
    reader = SlowReader()
    try:
        url = f"http://127.0.0.1:{reader.listener.getsockname()[1]}"
        outcome = call(url, "invoke", mode, {"x": "y" * 50_000_000}, timeout=2 * TIMEOUT)
        assert type(outcome.error) is TimeoutError
        assert outcome.error.attempts == 1
        assert reader.taken < 25_000_000
    finally:
        reader.stop()


# TLS


@pytest.fixture(scope="module")
def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTS / "server.pem")
    return context


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_an_untrusted_certificate_is_refused_at_once(
    kind: str, mode: str, serve: Serve, tls: ssl.SSLContext
) -> None:
    server = serve(good(kind), tls=tls)
    outcome = call(server.url, kind, mode, api_key="k")
    assert type(outcome.error) is NetworkError
    assert outcome.error.attempts == 1
    assert "verify_ssl" in str(outcome.error)
    assert server.exchanges == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["off", "path", "context"])
def test_a_certificate_may_be_trusted(
    how: str, kind: str, mode: str, serve: Serve, tls: ssl.SSLContext
) -> None:
    server = serve(good(kind), tls=tls)
    trusted: Any = {
        "off": False,
        "path": str(CERTS / "ca.pem"),
        "context": ssl.create_default_context(cafile=str(CERTS / "ca.pem")),
    }[how]
    url = server.url.replace("127.0.0.1", "localhost")
    assert call(url, kind, mode, api_key="k", verify_ssl=trusted).error is None


@pytest.mark.parametrize("mode", MODES)
def test_plain_http_where_https_is_expected(mode: str, serve: Serve) -> None:
    server = serve(
        [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
        on_accept=[b"HTTP/1.1 400 Bad\r\n\r\n", Pause(MOMENT)],
    )
    url = server.url.replace("http:", "https:")
    outcome = call(url, "invoke", mode, api_key="k", max_retries=0)
    assert type(outcome.error) is NetworkError


@pytest.mark.parametrize("mode", MODES)
def test_a_stall_in_the_tls_handshake(mode: str, serve: Serve) -> None:
    server = serve([], on_accept=[STALL])
    url = server.url.replace("http:", "https:")
    outcome = call(url, "invoke", mode, api_key="k", timeout=TIMEOUT)
    assert type(outcome.error) is TimeoutError
    assert outcome.seconds < SOON


@pytest.mark.parametrize("mode", MODES)
def test_time_that_is_over_before_the_tls_handshake_leaves_no_socket(
    mode: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams: list[Any] = []
    connect, connect_async = _BlockingBackend.connect_tcp, _AsyncBackend.connect_tcp

    def connect_slowly(*args: Any, **kwargs: Any) -> Any:
        streams.append(connect(*args, **kwargs))
        time.sleep(3 * TIMEOUT)
        return streams[0]

    async def connect_slowly_async(*args: Any, **kwargs: Any) -> Any:
        streams.append(await connect_async(*args, **kwargs))
        time.sleep(3 * TIMEOUT)
        return streams[0]

    monkeypatch.setattr(_BlockingBackend, "connect_tcp", connect_slowly)
    monkeypatch.setattr(_AsyncBackend, "connect_tcp", connect_slowly_async)
    url = serve([], on_accept=[STALL]).url.replace("http:", "https:")
    outcome = call(url, "invoke", mode, api_key="k", timeout=3 * TIMEOUT, max_retries=0)
    assert type(outcome.error) is TimeoutError
    (stream_,) = streams
    assert stream_.get_extra_info("socket").fileno() == -1


@pytest.mark.parametrize("verify", ["/nowhere/ca.pem", str(CERTS / "README"), 0, None, 3.5])
def test_verify_ssl_must_be_usable(verify: Any) -> None:
    with pytest.raises(ValidationError, match="verify_ssl"):
        RunAgentClient("a", base_url="http://localhost:1", verify_ssl=verify)


@pytest.mark.parametrize("mode", MODES)
def test_the_environment_may_name_what_is_trusted(
    mode: str, serve: Serve, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTS / "ca.pem"))
    url = serve(answer(), tls=tls).url.replace("127.0.0.1", "localhost")
    assert call(url, "invoke", mode, api_key="k").error is None


@pytest.mark.parametrize("path", ["/nowhere/ca.pem", str(CERTS / "README")])
@pytest.mark.parametrize("kind", [RunAgentClient, AsyncRunAgentClient])
def test_what_the_environment_names_must_be_usable(
    kind: Any, path: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", path)
    with pytest.raises(ValidationError) as caught:
        kind("a", "k")
    assert f"SSL_CERT_FILE={path!r}" in str(caught.value)
    kind("a", "k", verify_ssl=str(CERTS / "ca.pem"))
    assert ask(kind("a", base_url=serve(answer()).url))  # nothing is encrypted, nobody trusted


# Proxies


@pytest.mark.parametrize("mode", MODES)
def test_a_proxy_is_used_when_asked_for(mode: str, serve: Serve) -> None:
    proxy = serve(answer())
    outcome = call("http://127.0.0.1:9", "invoke", mode, proxy=proxy.url.replace("//", "//me:pw@"))
    assert outcome.value == {"answer": "ok"}
    assert proxy.last.target == "http://127.0.0.1:9/v1/agents/a/invoke"
    assert proxy.last.headers["proxy-authorization"].startswith("Basic ")


@pytest.mark.parametrize("mode", MODES)
def test_the_proxies_of_the_environment_are_for_other_machines(
    mode: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, server = serve(answer({"result": {"answer": "proxied"}})), serve(answer())
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    assert call(server.url, "invoke", mode).value == {"answer": "ok"}
    assert proxy.connections == 0
    remote = call("http://agents.example", "invoke", mode, api_key="")
    assert remote.value == {"answer": "proxied"}
    assert proxy.last.target == "http://agents.example/v1/agents/a/invoke"


@pytest.mark.skipif(find_spec("socksio") is not None, reason="SOCKS proxies can be used")
@pytest.mark.parametrize("mode", MODES)
def test_a_socks_proxy_is_for_other_machines_and_needs_a_package(
    mode: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "socks5://127.0.0.1:9")
    assert call(serve(answer()).url, "invoke", mode).value == {"answer": "ok"}
    remote = call("http://agents.example", "invoke", mode, api_key="")
    assert type(remote.error) is ValidationError
    assert 'pip install "httpx2[socks]"' in str(remote.error)


@pytest.mark.parametrize("mode", MODES)
def test_https_goes_through_a_tunnel(mode: str, serve: Serve) -> None:
    proxy = serve([b"HTTP/1.1 403 Forbidden\r\n\r\n"])
    outcome = call(
        "https://agents.example", "invoke", mode, api_key="planted", proxy=proxy.url, max_retries=1
    )
    assert type(outcome.error) is NetworkError
    assert "through the proxy: 403 Forbidden. " in str(outcome.error)
    assert "HTTPS_PROXY" in str(outcome.error)
    assert proxy.last.head.startswith(b"CONNECT agents.example:443 ")
    assert all(b"planted" not in e.head for e in proxy.exchanges)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("url", ["http://agents.example", "https://agents.example"])
def test_a_proxy_that_asks_for_a_password_is_named(url: str, mode: str, serve: Serve) -> None:
    proxy = serve(answer("Who are you?", 407, "Proxy-Authenticate: Basic"))
    problem = call(url, "invoke", mode, api_key="", proxy=proxy.url, max_retries=0).error
    assert problem is not None
    assert "407" in str(problem)
    assert "proxy=" in str(problem.hint)
    assert "Is the server running?" not in str(problem)


@pytest.mark.parametrize("proxy", ["nonsense", "ftp://localhost", "http://", 7])
def test_a_proxy_must_be_one(proxy: Any) -> None:
    with pytest.raises(ValidationError, match="proxy"):
        RunAgentClient("a", base_url="http://localhost:1", proxy=proxy)


@pytest.mark.parametrize("mode", MODES)
def test_a_proxy_in_the_environment_must_be_one(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "nonsense://localhost")
    outcome = call("http://agents.example", "invoke", mode, api_key="")
    assert type(outcome.error) is ValidationError
    assert "proxy" in str(outcome.error)


def test_a_call_that_cannot_connect_gives_its_connection_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", "nonsense://localhost")

    async def main() -> None:
        url = "http://agents.example"
        async with AsyncRunAgentClient("a", "", url, 5, connection_pool_size=1) as client:
            for _ in range(2):
                with pytest.raises(ValidationError, match="proxy"):
                    await client.run_generic({})

    asyncio.run(main())


# One's own httpx2 client


def test_ones_own_client_is_used_and_left_open(serve: Serve) -> None:
    server = serve(answer(), stream("a"), [STALL])
    defaults: Any = {"headers": {"X-Own": "1"}, "params": {"p": "1"}, "cookies": {"c": "1"}}
    with httpx2.Client(**defaults, trust_env=False) as own:
        with RunAgentClient("a", "k", server.url, http_client=own) as client:
            assert client.run_generic({}) == {"answer": "ok"}
            assert run(client, "stream") == "a"
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                client.run_generic({}, timeout=TIMEOUT)
            assert time.monotonic() - began < SOON
        assert not own.is_closed
        assert server.last.headers["x-own"] == "1"
        assert server.last.headers["cookie"] == "c=1"
        assert server.last.target.endswith("/invoke?p=1")
        assert server.last.headers["authorization"] == "Bearer k"
        with pytest.raises(TypeError, match="http_client"):
            pickle.dumps(client)


def test_ones_own_async_client_is_used_and_left_open(serve: Serve) -> None:
    server = serve(answer(), stream("a"))

    async def main() -> None:
        async with httpx2.AsyncClient(trust_env=False) as own:
            async with AsyncRunAgentClient("a", base_url=server.url, http_client=own) as client:
                assert await client.run_generic({}) == {"answer": "ok"}
                assert await arun(client, "stream") == "a"
            assert not own.is_closed

    asyncio.run(main())


def test_the_wrong_kind_of_client_is_refused_at_once() -> None:
    with pytest.raises(ValidationError, match=r"takes an httpx2\.AsyncClient"):
        AsyncRunAgentClient("a", "k", http_client=httpx2.Client())
    with pytest.raises(ValidationError, match=r"takes an httpx2\.Client"):
        RunAgentClient("a", "k", http_client=httpx2.AsyncClient())
    with pytest.raises(ValidationError, match=r"http_client= is of type builtins\.str"):
        RunAgentClient("a", "k", http_client="requests")  # type: ignore[arg-type]


# The request itself


def test_what_is_sent(serve: Serve) -> None:
    server = serve(error(503), good("invoke"), good("stream"))
    options: dict[str, Any] = {"headers": {"X-A": "1", "X-B": "1"}, "retry_delay": TICK}
    with RunAgentClient("agent 1/ü", "key", f"{server.url}/v1/", **options) as client:
        client.run_generic({"query": "ü"}, headers={"X-B": "2", "Accept": "application/json"})
        run(client, "stream")
    first, again, streamed = server.exchanges
    assert first.head == again.head
    assert first.target == "/v1/agents/agent%201%2F%C3%BC/invoke"
    assert first.body == '{"query":"ü"}'.encode()
    assert first.headers["content-type"] == "application/json"
    assert first.headers["accept"] == "application/json"
    assert first.headers["authorization"] == "Bearer key"
    assert first.headers["user-agent"].startswith("runagent-python/")
    assert (first.headers["x-a"], first.headers["x-b"]) == ("1", "2")
    assert streamed.target == "/v1/agents/agent%201%2F%C3%BC/stream"
    assert streamed.headers["accept"] == "text/event-stream"
    assert streamed.headers["idempotency-key"] != first.headers["idempotency-key"]
