"""The generators of a stream are Python's own, and tell the truth about its end as it does."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing
from typing import Any

import pytest
from support import websockets as ws
from support.clock import MOMENT, PATIENCE, TICK
from support.faults import DONE, LAST_FRAME, SSE_HEAD, STALL, Do, FaultServer, chunk, frame
from support.websockets import UPGRADE, WebSocketServer

from runagent import AsyncRunAgentClient, RunAgentClient, StreamError

Serve = Callable[..., FaultServer]

by_wire = pytest.mark.parametrize("wire", ["rest", "server"])
by_name = pytest.mark.parametrize("name", ["chunks", "accumulated"])

AFTER = {"chunks": ["b", "c"], "accumulated": ["ab", "abc"]}
"""The items of each generator after the first chunk."""


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server with these scripts."""
    with ExitStack() as stack:
        yield lambda *scripts: stack.enter_context(WebSocketServer(*scripts))


def streams(wire: str, *texts: str, last: Any = STALL) -> list[Any]:
    """Return a script that streams these chunks; then comes the last step."""
    if wire == "rest":
        return [SSE_HEAD, *(frame(chunk(text)) for text in texts), last]
    return [UPGRADE + ws.STARTED, *(ws.chunk(text) for text in texts), last]


def complete(wire: str, *texts: str) -> list[Any]:
    """Return a script that streams these chunks and announces the end."""
    last = frame(DONE) + LAST_FRAME if wire == "rest" else ws.COMPLETED
    return [*streams(wire, *texts, last=last), STALL]


def blocking(server: FaultServer, wire: Any) -> RunAgentClient:
    return RunAgentClient("a", base_url=server.url, timeout=PATIENCE, protocol=wire)


def asynchronous(server: FaultServer, wire: Any) -> AsyncRunAgentClient:
    return AsyncRunAgentClient("a", base_url=server.url, timeout=PATIENCE, protocol=wire)


@by_wire
@by_name
def test_each_step_may_come_from_another_thread(name: str, wire: str, serve: Serve) -> None:
    server = serve(complete(wire, "a", "b", "c"))
    with blocking(server, wire) as client:
        generator = getattr(client.run_generic_stream({}), name)()
        assert isinstance(generator, types.GeneratorType)
        items = []
        for _ in range(3):
            with ThreadPoolExecutor(1) as pool:
                items.append(pool.submit(next, generator).result())
        assert items == ["a", *AFTER[name]]
        assert next(generator, "the end") == "the end"


@by_wire
@by_name
@pytest.mark.parametrize("how", ["close", "break", "throw"])
def test_leaving_a_generator_ends_the_call(how: str, name: str, wire: str, serve: Serve) -> None:
    server = serve(streams(wire, "a"))
    with blocking(server, wire) as client:
        stream = client.run_generic_stream({})
        generator = getattr(stream, name)()
        if how == "break":
            for _ in generator:
                break
            del generator
            gc.collect()
        else:
            assert next(generator) == "a"
            if how == "close":
                generator.close()
            else:
                with pytest.raises(ZeroDivisionError):
                    generator.throw(ZeroDivisionError())
        assert server.last.wait_closed()
        if how != "throw":  # the exception has told that this is not the whole answer
            assert list(stream) == []


@by_wire
@by_name
def test_a_stream_that_is_closed_elsewhere_ends_its_generator(
    name: str, wire: str, serve: Serve
) -> None:
    server = serve(streams(wire, "a"))
    with blocking(server, wire) as client:
        stream = client.run_generic_stream({})
        generator = getattr(stream, name)()
        assert next(generator) == "a"
        timer = threading.Timer(MOMENT, stream.close)
        timer.start()
        assert next(generator, "the end") == "the end"
        timer.join()
        assert server.last.wait_closed()


@by_wire
@by_name
def test_a_break_in_the_connection_is_raised(name: str, wire: str, serve: Serve) -> None:
    server = serve(streams(wire, "a", last=b""), streams(wire, "a", last=b""))
    with blocking(server, wire) as client:
        stream = client.run_generic_stream({})
        generator = getattr(stream, name)()
        assert next(generator) == "a"
        with pytest.raises(StreamError) as caught:
            next(generator)
        assert caught.value.text == "a"
        with pytest.raises(StreamError):
            next(stream)

    async def main() -> None:
        async with asynchronous(server, wire) as client:
            stream = client.run_generic_stream({})
            generator = getattr(stream, name)()
            assert await anext(generator) == "a"
            with pytest.raises(StreamError) as caught:
                await anext(generator)
            assert caught.value.text == "a"
            with pytest.raises(StreamError):
                await anext(stream)

    asyncio.run(main())


@by_wire
@by_name
@pytest.mark.parametrize("how", ["aclose", "aclosing", "a task that is cancelled"])
def test_leaving_an_asynchronous_generator_ends_the_call(
    how: str, name: str, wire: str, serve: Serve
) -> None:
    server = serve(streams(wire, "a"))

    async def main() -> None:
        async with asynchronous(server, wire) as client:
            stream = client.run_generic_stream({})
            generator = getattr(stream, name)()
            assert inspect.isasyncgen(generator)
            if how == "aclose":
                assert await anext(generator) == "a"
                await generator.aclose()
            elif how == "aclosing":
                async with aclosing(generator):
                    async for _ in generator:
                        break
            else:
                task = asyncio.ensure_future(_exhaust(generator))
                await asyncio.to_thread(server.wait_for, 1)
                while not stream.text:
                    await asyncio.sleep(TICK)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            assert await asyncio.to_thread(server.last.wait_closed)
            if how == "a task that is cancelled":
                with pytest.raises(StreamError, match="broken off"):
                    await anext(stream)
            else:
                assert [text async for text in stream] == []

    asyncio.run(main())


async def _exhaust(generator: Any) -> None:
    async for _ in generator:
        pass


@by_wire
@by_name
def test_a_stream_goes_on_after_its_generator_gave_up_a_step(
    name: str, wire: str, serve: Serve
) -> None:
    released = threading.Event()
    first, *others = complete(wire, "a", "b", "c")
    server = serve([first, others.pop(0), Do(lambda: released.wait(PATIENCE)), *others])

    async def main() -> None:
        async with asynchronous(server, wire) as client:
            stream = client.run_generic_stream({})
            generator = getattr(stream, name)()
            assert await anext(generator) == "a"
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(generator), MOMENT)
            with pytest.raises(StopAsyncIteration):  # as any generator, once it was cancelled
                await anext(generator)
            assert not server.last.closed_by_client.is_set()
            released.set()
            following = getattr(stream, name)()
            assert [item async for item in following] == AFTER[name]
            assert stream.done
            assert len(server.exchanges) == 1

    try:
        asyncio.run(main())
    finally:
        released.set()


@by_wire
@by_name
def test_a_step_that_was_given_up_ends_the_call_when_nobody_holds_the_stream(
    name: str, wire: str, serve: Serve
) -> None:
    server = serve(streams(wire, "a"))

    async def main() -> None:
        async with asynchronous(server, wire) as client:
            generator = getattr(client.run_generic_stream({}), name)()
            assert await anext(generator) == "a"
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(generator), MOMENT)
            gc.collect()
            assert await asyncio.to_thread(server.last.wait_closed)

    asyncio.run(main())


@by_wire
@pytest.mark.parametrize("name", ["chunks", "accumulated", "__aiter__"])
@pytest.mark.parametrize("how", ["drop", "aclose"])
# asyncio's own remark about a loop that is closed too early, as Streamlit closes it.
@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_event_loop_that_is_closed_in_mid_stream_ends_the_call(
    how: str, name: str, wire: str, serve: Serve
) -> None:
    server = serve(streams(wire, "a"))
    client = asynchronous(server, wire)
    generator = getattr(client.run_generic_stream({}), name)()
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(anext(generator)) == "a"
    loop.close()
    if how == "aclose":
        with pytest.raises(StopIteration):
            generator.aclose().send(None)
    del generator
    gc.collect()
    assert server.last.wait_closed()
    del client, loop
    gc.collect()  # for the remark to come in this test
