"""Cancelled, broken off, interrupted: the server sees it at once, and the client works on."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from support.calls import KINDS, arun, run
from support.clock import MOMENT, PATIENCE, SOON, TICK, until
from support.faults import (
    SSE_HEAD,
    STALL,
    FaultServer,
    Repeat,
    Script,
    chunk,
    error,
    frame,
    good,
    head,
)

from runagent import AsyncRunAgentClient, RunAgentClient, RunAgentError, StreamError

Serve = Callable[..., FaultServer]

STALLS: dict[str, Script] = {
    "before the headers": [STALL],
    "in the headers": [b"HTTP/1.1 200 OK\r\nX-", STALL],
    "after the headers": [SSE_HEAD, STALL],
    "in the body": [SSE_HEAD, frame(chunk("a")), STALL],
    "in a retry's wait": error(503, "BUSY", retry_after=PATIENCE * 0.9),
    "in an error's body": [head(400, "application/json", "Content-Length: 99"), STALL],
}

INVOKE_STALLS: dict[str, Script] = {
    **STALLS,
    "after the headers": [head(200, "application/json", "Content-Length: 99"), STALL],
    "in the body": [head(200, "application/json", "Content-Length: 99") + b'{"re', STALL],
}

PHASES = [
    (kind, phase, (STALLS if kind == "stream" else INVOKE_STALLS)[phase])
    for kind in KINDS
    for phase in STALLS
]
by_phase = pytest.mark.parametrize(
    ("kind", "phase", "script"), PHASES, ids=[f"{kind}-{phase}" for kind, phase, _ in PHASES]
)

STREAMING: Script = [SSE_HEAD, Repeat(frame(chunk("a")), pause=TICK)]


def assert_closed(server: FaultServer, phase: str = "") -> None:
    if phase != "in a retry's wait":  # there, no connection is in use
        assert server.exchanges[0].wait_closed()


@by_phase
@pytest.mark.parametrize("how", ["cancel", "wait_for"])
def test_cancellation_closes_the_connection(
    kind: str, phase: str, script: Script, how: str, serve: Serve
) -> None:
    server = serve(script, good(kind))

    async def main() -> None:
        async with AsyncRunAgentClient("a", base_url=server.url, timeout=PATIENCE) as client:
            began = time.monotonic()
            if how == "cancel":
                task = asyncio.ensure_future(arun(client, kind))
                await asyncio.to_thread(server.wait_for, 1)
                await asyncio.sleep(MOMENT)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            else:
                task = asyncio.ensure_future(arun(client, kind))
                await asyncio.to_thread(server.wait_for, 1)
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(task, MOMENT)
            assert_closed(server, phase)
            assert time.monotonic() - began < SOON
            assert await arun(client, kind)

    asyncio.run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_a_sibling_is_not_disturbed(kind: str, serve: Serve) -> None:
    server = serve([STALL], good(kind))

    async def main() -> None:
        async with AsyncRunAgentClient("a", base_url=server.url, timeout=PATIENCE) as client:
            hanging = asyncio.ensure_future(arun(client, kind))
            await asyncio.to_thread(server.wait_for, 1)
            others = [asyncio.ensure_future(arun(client, kind)) for _ in range(20)]
            await asyncio.sleep(0)
            hanging.cancel()
            assert all(await asyncio.gather(*others))
            with suppress(asyncio.CancelledError):
                await hanging

    asyncio.run(main())


def test_cancelling_while_waiting_for_a_connection_leaks_none(serve: Serve) -> None:
    server = serve([STALL], good("invoke"))

    async def main() -> None:
        async with AsyncRunAgentClient(
            "a", base_url=server.url, timeout=PATIENCE, connection_pool_size=1
        ) as client:
            first = asyncio.ensure_future(client.run_generic({}))
            await asyncio.to_thread(server.wait_for, 1)
            queue = [asyncio.ensure_future(client.run_generic({})) for _ in range(50)]
            await asyncio.sleep(TICK)
            for task in [*queue[::2], first, *queue[1::4]]:
                task.cancel()
            done = await asyncio.gather(first, *queue, return_exceptions=True)
            assert sum(isinstance(result, dict) for result in done) == 12
            assert await client.run_generic({})

    asyncio.run(main())


def test_breaking_out_of_the_loop_closes_the_connection(serve: Serve) -> None:
    server = serve(STREAMING, good("stream"))
    with RunAgentClient("a", base_url=server.url) as client:
        for text in client.run_generic_stream({}):
            assert text == "a"
            break
        assert_closed(server)
        assert run(client, "stream") == "ok"


def test_the_end_of_the_block_closes_the_connection(serve: Serve) -> None:
    server = serve(STREAMING, good("stream"))
    with RunAgentClient("a", base_url=server.url) as client:
        with client.run_generic_stream({}) as stream:
            assert next(stream) == "a"
        assert_closed(server)
        assert list(stream) == []
        assert run(client, "stream") == "ok"


def test_breaking_out_of_the_async_loop_closes_the_connection(serve: Serve) -> None:
    server = serve(STREAMING, good("stream"))

    async def main() -> None:
        async with AsyncRunAgentClient("a", base_url=server.url) as client:
            async for text in client.run_generic_stream({}):
                assert text == "a"
                break
            assert await asyncio.to_thread(server.last.wait_closed, 5)
            assert await arun(client, "stream") == "ok"

    asyncio.run(main())


def test_an_exception_in_the_loop_closes_the_connection(serve: Serve) -> None:
    server = serve(STREAMING, STREAMING, good("stream"))
    with RunAgentClient("a", base_url=server.url) as client:
        with pytest.raises(ZeroDivisionError), client.run_generic_stream({}) as chunks:  # noqa: PT012
            for _ in chunks:
                1 / 0  # noqa: B018
        assert_closed(server)
        stream = client.run_generic_stream({})
        next(stream)
        with pytest.raises(KeyError):
            stream.throw(KeyError("x"))
        assert server.last.wait_closed()
        assert run(client, "stream") == "ok"


def test_an_exception_in_the_async_loop_closes_the_connection(serve: Serve) -> None:
    server = serve(STREAMING, STREAMING, good("stream"))

    async def main() -> None:
        async with AsyncRunAgentClient("a", base_url=server.url) as client:
            with pytest.raises(ZeroDivisionError):  # noqa: PT012
                async with client.run_generic_stream({}) as chunks:
                    async for _ in chunks:
                        1 / 0  # noqa: B018
            assert server.last.wait_closed()
            stream = client.run_generic_stream({})
            await anext(stream)
            with pytest.raises(KeyError):
                await stream.athrow(KeyError("x"))
            assert await asyncio.to_thread(server.last.wait_closed, 5)
            assert await arun(client, "stream") == "ok"

    asyncio.run(main())


def test_a_stream_that_is_dropped_closes_the_connection(serve: Serve) -> None:
    server = serve(STREAMING)
    client = RunAgentClient("a", base_url=server.url)
    stream = client.run_generic_stream({})
    next(stream)
    del stream
    gc.collect()
    assert_closed(server)
    client.close()


def test_a_stream_that_is_never_started_sends_nothing(serve: Serve) -> None:
    server = serve(STREAMING)

    async def main() -> None:
        async with AsyncRunAgentClient("a", base_url=server.url) as client:
            stream = client.run_generic_stream({})
            await stream.aclose()
            await stream.aclose()
            client.run_generic_stream({})
            assert [text async for text in stream] == []

    asyncio.run(main())
    with RunAgentClient("a", base_url=server.url) as client:
        stream = client.run_generic_stream({})
        stream.close()
        stream.close()
        assert list(stream) == []
        client.run_generic_stream({})
    assert server.connections == 0


def test_an_async_stream_may_be_read_by_several_tasks_in_turn(serve: Serve) -> None:
    server = serve([SSE_HEAD, Repeat(frame(chunk("a")), 3, TICK), *good("stream")[1:]])

    async def main() -> None:
        async with AsyncRunAgentClient("a", base_url=server.url, timeout=PATIENCE) as client:
            stream = client.run_generic_stream({})
            first = await asyncio.ensure_future(anext(stream))
            second = await asyncio.create_task(asyncio.wait_for(anext(stream), PATIENCE))
            rest = [text async for text in stream]
            assert first + second + "".join(rest) == "aaaok"

    asyncio.run(main())


@pytest.mark.parametrize("taken", [[], ["o"], ["o", "k"]], ids=len)
def test_a_step_that_is_cancelled_before_it_begins_loses_nothing(
    taken: list[str], serve: Serve
) -> None:
    server = serve(good("stream"))

    async def main() -> None:
        async with AsyncRunAgentClient("a", base_url=server.url, timeout=PATIENCE) as client:
            stream = client.run_generic_stream({})
            assert [await anext(stream) for _ in taken] == taken
            for _ in range(2):
                step = asyncio.ensure_future(anext(stream))
                step.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await step
            assert taken + [text async for text in stream] == ["o", "k"]
            assert stream.done

    asyncio.run(main())


@pytest.mark.parametrize("taken", [[], ["o"]], ids=len)
def test_a_cancellation_that_is_thrown_in_ends_the_stream(taken: list[str], serve: Serve) -> None:
    server = serve(good("stream"))

    async def main() -> None:
        async with AsyncRunAgentClient("a", base_url=server.url, timeout=PATIENCE) as client:
            stream = client.run_generic_stream({})
            assert [await anext(stream) for _ in taken] == taken
            with pytest.raises(asyncio.CancelledError):
                await stream.athrow(asyncio.CancelledError())
            with pytest.raises(StreamError, match="broken off"):
                await anext(stream)

    asyncio.run(main())


@pytest.mark.parametrize("phase", [phase for phase in STALLS if phase != "in an error's body"])
def test_closing_a_stream_from_another_thread_ends_it(phase: str, serve: Serve) -> None:
    server = serve(STALLS[phase], good("stream"))
    with RunAgentClient("a", base_url=server.url, timeout=PATIENCE) as client:
        stream = client.run_generic_stream({})
        texts: list[str] = []
        reader = threading.Thread(target=lambda: texts.extend(stream))
        began = time.monotonic()
        reader.start()
        server.wait_for(1)
        if phase == "in the body":
            until(lambda: texts)
        time.sleep(MOMENT)
        stream.close()
        reader.join(PATIENCE)
        assert not reader.is_alive()
        assert time.monotonic() - began < SOON
        assert_closed(server, phase)
        assert texts == (["a"] if phase == "in the body" else [])
        assert run(client, "stream") == "ok"


@pytest.mark.parametrize("kind", KINDS)
def test_closing_the_client_under_a_call_ends_it(kind: str, serve: Serve) -> None:
    server = serve([SSE_HEAD, frame(chunk("a")), STALL] if kind == "stream" else [STALL])

    async def main() -> None:
        client = AsyncRunAgentClient("a", base_url=server.url, timeout=PATIENCE)
        task = asyncio.ensure_future(arun(client, kind))
        await asyncio.to_thread(server.wait_for, 1)
        await asyncio.sleep(MOMENT)
        await client.aclose()
        with pytest.raises(StreamError if kind == "stream" else RunAgentError) as caught:
            await task
        assert caught.value.code == "CLIENT_CLOSED"

    asyncio.run(main())


@pytest.mark.parametrize("phase", STALLS)
@pytest.mark.parametrize("sibling", [False, True])
def test_closing_the_client_ends_what_other_threads_wait_for(
    phase: str, sibling: bool, serve: Serve
) -> None:
    server = serve(INVOKE_STALLS[phase], good("invoke"))
    with RunAgentClient("a", base_url=server.url, timeout=PATIENCE) as other:
        client = (
            other.with_options()
            if sibling
            else RunAgentClient("a", base_url=server.url, timeout=PATIENCE)
        )
        failures: list[RunAgentError] = []

        def ask() -> None:
            with pytest.raises(RunAgentError) as caught:
                client.run_generic({})
            failures.append(caught.value)

        asking = threading.Thread(target=ask)
        asking.start()
        server.wait_for(1)
        time.sleep(MOMENT)
        client.close()
        asking.join(SOON)
        assert [error.code for error in failures] == ["CLIENT_CLOSED"]
        assert_closed(server, phase)
        if sibling:
            assert run(other, "invoke") == {"answer": "ok"}


INTERRUPTED = """
    import sys, time
    from runagent import AsyncRunAgentClient, RunAgentClient
    import asyncio

    url, kind, mode = sys.argv[1:4]
    timeout = float(sys.argv[4])

    async def main():
        async with AsyncRunAgentClient("a", base_url=url, timeout=timeout) as client:
            if kind == "invoke":
                await client.run_generic({})
            else:
                async for _ in client.run_generic_stream({}):
                    pass

    try:
        if mode == "sync":
            client = RunAgentClient("a", base_url=url, timeout=timeout)
            print(client.run_generic({}) if kind == "invoke" else list(client.run_generic_stream({})))
        else:
            asyncio.run(main())
    except KeyboardInterrupt as exc:
        assert exc.__context__ is None or isinstance(exc.__context__, asyncio.CancelledError)
        print("interrupted", flush=True)
        if mode == "sync":
            print("".join(client.run_generic_stream({})))
    else:
        print("finished")
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGINT is sent to a process")
@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize(
    ("kind", "phase"),
    [("invoke", "before the headers"), ("stream", "in the body"), ("invoke", "in a retry's wait")],
)
def test_ctrl_c_closes_the_connection(kind: str, phase: str, mode: str, serve: Serve) -> None:
    script = (STALLS if kind == "stream" else INVOKE_STALLS)[phase]
    server = serve(script, good("stream"))
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(INTERRUPTED)]
    process = subprocess.Popen(
        [*command, server.url, kind, mode, str(PATIENCE)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        server.wait_for(1, PATIENCE)
        time.sleep(MOMENT)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert errors == ""
    assert output.split() == ["interrupted", "ok"][: 2 if mode == "sync" else 1]
    assert_closed(server, phase)
