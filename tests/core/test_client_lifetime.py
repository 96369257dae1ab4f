"""From a client's first use to its end: closed, dropped, copied, or never closed at all."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.calls import KINDS, MODES, arun, run
from support.clock import MOMENT, PATIENCE, SOON, until
from support.faults import (
    STALL,
    FaultServer,
    answer,
    error,
    good,
    stream,
)

from runagent import (
    AsyncRunAgentClient,
    RunAgentClient,
    RunAgentError,
)

Serve = Callable[..., FaultServer]


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
    "async, dropped on a loop that goes on": "asyncio.run(drop(AsyncRunAgentClient('a', base_url=url)))",
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

async def drop(client):
    await client.run_generic({})
    del client
    gc.collect()

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
