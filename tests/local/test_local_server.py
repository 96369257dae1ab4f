"""A server's life: start, many calls at once, clients that leave, the end."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.callers import Caller, read_events
from support.clock import FOR_EVER, MOMENT, PATIENCE, TICK
from support.ports import free_port
from support.scripts import run_script

from runagent.local import Server, serve

Start = Callable[..., Caller]


def answer(query: str = "") -> str:
    return f"<{query}>"


def threads() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if t.name.startswith("runagent-local")}


def test_it_has_an_address_and_says_so() -> None:
    with serve({"a": answer}) as server:
        assert server.host == "127.0.0.1"
        assert server.port > 0
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert server.is_loopback
        assert repr(server) == f"<Server {server.url} agents=['a']>"
    assert "(closed)" in repr(server)


def test_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with serve(answer, host="::1") as server:
        assert server.url == f"http://[::1]:{server.port}"
        assert httpx2.get(f"{server.url}/v1/agents/answer/health", trust_env=False).is_success


def test_closing_ends_thread_and_port_and_may_be_repeated() -> None:
    before = threads()
    server = serve(answer, port=free_port())
    assert threads() - before
    server.close()
    server.close()
    server.wait()
    assert threads() == before
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(server.url, trust_env=False)
    with serve(answer, port=server.port):  # free again at once
        pass


def test_a_port_in_use_is_an_error_at_once() -> None:
    with serve(answer) as server, pytest.raises(OSError, match="Cannot listen on") as caught:
        serve(answer, port=server.port)
    assert f"127.0.0.1:{server.port}" in str(caught.value)
    assert "in use" in str(caught.value)


@pytest.mark.parametrize("port", [-1, 65536, "80"])
def test_a_port_is_a_port(port: Any) -> None:
    with pytest.raises(ValueError, match=f"port is {port!r}"):
        serve(answer, port=port)


@pytest.mark.parametrize("key", ["", "a b", "ü", "a\n"])
def test_a_key_is_one_that_a_client_can_send(key: str) -> None:
    with pytest.raises(ValueError, match="api_key has to be"):
        serve(answer, api_key=key)


def test_an_unknown_host_is_an_error_at_once() -> None:
    with pytest.raises(OSError, match=r"Cannot listen on 256\.0\.0\.1:0"):
        serve(answer, host="256.0.0.1")


def test_limits_are_positive() -> None:
    with pytest.raises(ValueError, match="keep_alive is 0"):
        serve(answer, keep_alive=0)
    with pytest.raises(ValueError, match="max_body is 0"):
        serve(answer, max_body=0)


def test_nothing_is_left_of_a_refused_server() -> None:
    before = threads()
    with pytest.raises(TypeError):
        serve({"a": int})
    assert threads() == before


def test_two_servers_side_by_side(start: Start) -> None:
    one = start(lambda: 1)
    two = start(lambda: 2)
    assert (one.result(), two.result()) == (1, 2)
    one.server.close()
    assert two.result() == 2


def test_it_serves_while_the_callers_loop_is_running(start: Start) -> None:
    async def main() -> object:
        with serve({"a": answer}) as server:
            async with httpx2.AsyncClient(base_url=server.url, trust_env=False) as http:
                return (await http.post("/v1/agents/a/invoke", json={"query": "x"})).json()[
                    "result"
                ]

    assert asyncio.run(main()) == "<x>"


def test_it_may_be_started_in_a_thread_and_closed_in_another() -> None:
    with ThreadPoolExecutor(1) as pool:
        server = pool.submit(serve, answer).result()
    url = f"{server.url}/v1/agents/answer/invoke"
    assert httpx2.post(url, json={"query": "x"}, trust_env=False).json()["result"] == "<x>"
    server.close()
    assert server._thread not in threading.enumerate()


def test_an_agent_may_close_its_own_server() -> None:
    servers: list[Server] = []

    async def agent() -> None:
        servers[0].close()
        await asyncio.sleep(FOR_EVER)

    with serve(agent) as server:
        servers.append(server)
        answer = httpx2.post(
            f"{server.url}/v1/agents/agent/invoke", json={}, trust_env=False, timeout=PATIENCE
        )
        assert answer.json()["error"]["code"] == "SERVER_SHUTDOWN"


def test_many_synchronous_calls_run_at_the_same_time(start: Start) -> None:
    together = threading.Barrier(64, timeout=PATIENCE)

    def agent() -> Iterator[int]:
        yield together.wait()
        yield together.wait()

    caller = start(agent)
    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda _: len(caller.chunks()), range(64)))
    assert answers == [2] * 64


def test_two_hundred_streams_at_the_same_time(start: Start) -> None:
    together = threading.Barrier(100, timeout=PATIENCE)

    def sync() -> Iterator[str]:
        together.wait()
        for i in range(20):
            yield f"{i} "

    async def asynchronous() -> AsyncIterator[str]:
        for i in range(20):
            await asyncio.sleep(TICK)
            yield f"{i} "

    caller = start({"s": sync, "a": asynchronous})

    async def main() -> list[str]:
        limits = httpx2.Limits(max_connections=None)
        async with httpx2.AsyncClient(
            base_url=caller.server.url, trust_env=False, timeout=PATIENCE, limits=limits
        ) as http:
            paths = [f"/v1/agents/{name}/stream" for name in "sa" * 100]
            answers = await asyncio.gather(*(http.post(path, json={}) for path in paths))
            return [answer.text for answer in answers]

    for text in asyncio.run(main()):
        events = read_events(text)
        assert events[-1][0] == "done"
        assert [v["content"] for k, v in events if k == "chunk"] == [f"{i} " for i in range(20)]


def test_a_blocking_agent_does_not_keep_others_waiting(start: Start) -> None:
    release = threading.Event()

    def slow() -> bool:
        return release.wait(PATIENCE)

    caller = start({"slow": slow, "quick": answer})
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(caller.result, "slow")
        assert caller.result("quick", query="x") == "<x>"
        assert not waiting.done()
        release.set()
        assert waiting.result() is True


def test_an_asynchronous_generator_that_never_waits_does_not_either(start: Start) -> None:
    closed = threading.Event()

    async def endless() -> AsyncIterator[str]:
        try:
            while True:
                yield "x"
        finally:
            closed.set()

    kept = endless()  # not closed just because it is forgotten
    caller = start({"endless": lambda: kept, "quick": answer})
    with caller.http.stream("POST", "/v1/agents/endless/stream", json={}) as stream:
        pieces = stream.iter_raw()
        next(pieces)
        reader = threading.Thread(target=lambda: [next(pieces) for _ in range(50)])
        reader.start()
        assert caller.result("quick", query="x") == "<x>"
        reader.join()
    assert closed.wait(PATIENCE)


def test_silence_is_filled_with_comments(start: Start) -> None:
    comments = threading.Semaphore(0)

    def agent() -> Iterator[str]:
        yield "a"
        for _ in range(3):
            assert comments.acquire(timeout=PATIENCE)
        yield "b"

    caller = start(agent, keep_alive=5 * TICK)
    text = ""
    with caller.http.stream("POST", "/v1/agents/a/stream", json={}) as stream:
        for piece in stream.iter_text():
            text += piece
            for _ in range(piece.count(": keep-alive\n\n")):
                comments.release()
    kinds = [kind for kind, _ in read_events(text)]
    assert kinds[:2] == ["start", "chunk"]
    assert kinds.count("comment") >= 3
    assert kinds[-2:] == ["chunk", "done"]


def test_no_comment_comes_between_chunks_that_keep_coming(start: Start) -> None:
    async def agent() -> AsyncIterator[str]:
        for _ in range(40):
            await asyncio.sleep(TICK)
            yield "x"

    kinds = [kind for kind, _ in start(agent, keep_alive=PATIENCE).events()]
    assert kinds == ["start", *["chunk"] * 40, "done"]


def test_closing_the_server_ends_calls_truthfully() -> None:
    begun = threading.Semaphore(0)

    async def waits() -> str:
        begun.release()
        await asyncio.sleep(FOR_EVER)
        return "never"

    def sleeps() -> Iterator[str]:
        yield "x"
        begun.release()
        time.sleep(FOR_EVER)

    server = serve({"waits": waits, "sleeps": sleeps})

    def call(path: str) -> httpx2.Response:
        return httpx2.post(
            f"{server.url}/v1/agents/{path}", json={}, trust_env=False, timeout=PATIENCE
        )

    with ThreadPoolExecutor(2) as pool:
        invoked = pool.submit(call, "waits/invoke")
        streamed = pool.submit(call, "sleeps/stream")
        assert begun.acquire(timeout=PATIENCE)
        assert begun.acquire(timeout=PATIENCE)
        server.close()
        assert invoked.result().status_code == 503
        assert invoked.result().json()["error"]["code"] == "SERVER_SHUTDOWN"
        kind, data = read_events(streamed.result().text)[-1]
    assert kind == "error"
    assert data["code"] == "SERVER_SHUTDOWN"
    assert server._thread not in threading.enumerate()


def test_a_client_that_does_not_read_does_not_keep_a_server_from_closing(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runagent.local.http_server.GRACE", MOMENT)

    def agent() -> Iterator[str]:
        while True:
            yield "x" * 1_000_000

    caller = start(agent)
    with caller.http.stream("POST", "/v1/agents/a/stream", json={}) as stream:
        next(stream.iter_raw())
        time.sleep(MOMENT)
        caller.server.close()
        assert caller.server._thread not in threading.enumerate()


def test_an_agent_that_ignores_its_end_does_not_keep_a_server_from_closing(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runagent.local.http_server.GRACE", 3 * MOMENT)
    monkeypatch.setattr("runagent.local.app._PATIENCE", MOMENT / 2)
    begun = threading.Event()

    async def stubborn() -> None:
        for _ in range(3):
            try:
                begun.set()
                await asyncio.sleep(FOR_EVER)
            except asyncio.CancelledError:
                continue

    caller = start(stubborn)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(caller.invoke)
        assert begun.wait(PATIENCE)
        caller.server.close()
        assert waiting.result().json()["error"]["code"] == "SERVER_SHUTDOWN"
    assert caller.server._thread not in threading.enumerate()


def test_the_logging_of_the_process_is_left_alone() -> None:
    import logging
    import signal

    def state() -> object:
        names = ["", "uvicorn", "uvicorn.access", "uvicorn.error", "asyncio"]
        loggers = [logging.getLogger(name) for name in names]
        return [
            [(lg.level, lg.propagate, list(lg.handlers)) for lg in loggers],
            signal.getsignal(signal.SIGINT),
            signal.getsignal(signal.SIGTERM),
        ]

    before = state()
    with serve(answer) as server:
        httpx2.get(server.url, trust_env=False)
        assert state() == before
    assert state() == before


def test_nothing_is_printed_and_no_request_logged(tmp_path: Path) -> None:
    done = run_script(
        """
        import asyncio, gc, logging, socket, sys, threading
        import httpx2
        from runagent.local import serve
        from runagent.local import app

        app._PATIENCE = 0.05
        ended = threading.Event()

        def fails():
            raise ValueError("boom")

        async def late():
            try:
                await asyncio.sleep(3600)
            finally:
                await asyncio.sleep(0.3)  # longer than anybody waits
                ended.set()
                raise ValueError("late")

        def use(server):
            with httpx2.Client(base_url=server.url, trust_env=False) as http:
                for path in ("fails/invoke", "fails/stream", "unknown/invoke"):
                    http.post(f"/v1/agents/{path}", json={})
                http.get("/", headers={"connection": "upgrade", "upgrade": "websocket"})
                try:
                    timeout = httpx2.Timeout(None, read=0.3)
                    http.post("/v1/agents/late/invoke", json={}, timeout=timeout)
                except httpx2.ReadTimeout:
                    ended.wait()
            with socket.create_connection((server.host, server.port)) as raw:
                raw.sendall(b"nonsense\\r\\n\\r\\n")
                assert b"400" in raw.recv(100)
            gc.collect()

        with serve({"fails": fails, "late": late}) as server:
            use(server)
        logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(name)s %(message)s")
        with serve({"a": lambda: 1}) as server:
            httpx2.post(f"{server.url}/v1/agents/a/invoke", json={}, trust_env=False)
        """,
        tmp_path,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert "httpx2 HTTP Request: POST" in done.stdout  # so that a request would have been seen
    assert "uvicorn.access" not in done.stdout
