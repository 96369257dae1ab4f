"""Connections: shared between threads, loops and processes; through proxies and TLS; gone stale."""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import os
import pickle
import signal
import socket
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.calls import KINDS, MODES, arun, ask, call, run
from support.clock import MOMENT, PATIENCE, SOON, TICK, TIMEOUT, until
from support.faults import (
    STALL,
    FaultServer,
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
    TimeoutError,  # noqa: A004
    ValidationError,
)
from runagent.sockets import FRESH

Serve = Callable[..., FaultServer]
LOCAL = "http://localhost:8000"


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


# Stale connections


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("idle", [0, 2 * FRESH], ids=["fresh", "idle"])
def test_a_kept_connection_that_died_is_replaced(
    idle: float, kind: str, mode: str, serve: Serve
) -> None:
    server = serve([*good(kind)[:-1]], good(kind))  # closes after the first answer

    async def main() -> None:
        async with AsyncRunAgentClient("a", base_url=server.url, max_retries=0) as client:
            for answers in (1, 2):
                assert await arun(client, kind)
                if answers == 1:
                    await asyncio.to_thread(until, lambda: server.closed)
                    await asyncio.sleep(idle)

    if mode == "async":
        asyncio.run(main())
    else:
        with RunAgentClient("a", base_url=server.url, max_retries=0) as client:
            for answers in (1, 2):
                assert run(client, kind)
                if answers == 1:
                    until(lambda: server.closed)
                    time.sleep(idle)
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


# Proxies


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
