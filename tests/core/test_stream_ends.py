"""A stream ends as its server announced, or raises; a step that was given up can be taken again."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Any

import anyio
import httpx2
import pytest
from support import websockets as ws
from support.clock import MOMENT, PATIENCE, TICK, TIMEOUT, until
from support.faults import (
    DONE,
    LAST_FRAME,
    RESET,
    SSE_HEAD,
    STALL,
    FaultServer,
    Pause,
    Script,
    answer,
    chunk,
    error,
    frame,
    good,
    sse,
)
from support.websockets import UPGRADE, WebSocketServer

from runagent import (
    AsyncRunAgentClient,
    AsyncStream,
    RunAgentClient,
    RunAgentError,
    StreamError,
    TimeoutError,  # noqa: A004
)

Serve = Callable[..., FaultServer]

WIRES = ("rest", "server")
by_wire = pytest.mark.parametrize("wire", WIRES)

BRIEF = 0.05
"""Seconds after which a step is given up."""


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server with these scripts."""
    with ExitStack() as stack:
        yield lambda *scripts: stack.enter_context(WebSocketServer(*scripts))


def streams(wire: str, *steps: Any) -> Script:
    """Return a script that streams: a string is a chunk, anything else a step."""
    begin = [SSE_HEAD] if wire == "rest" else [UPGRADE + ws.STARTED]
    return [*begin, *(_step(wire, step) for step in steps)]


def _step(wire: str, step: Any) -> Any:
    if not isinstance(step, str):
        return step
    return frame(chunk(step)) if wire == "rest" else ws.chunk(step)


def end(wire: str) -> list[Any]:
    """Return the steps that end a stream, after which the client closes it."""
    return [frame(DONE) + LAST_FRAME if wire == "rest" else ws.COMPLETED, STALL]


@asynccontextmanager
async def opened(server: FaultServer, wire: Any, **options: Any) -> AsyncIterator[Any]:
    """Open a stream of a client."""
    options = {"timeout": PATIENCE, "protocol": wire, **options}
    async with AsyncRunAgentClient("a", base_url=server.url, **options) as client:
        yield client.run_generic_stream({})


async def heartbeat(step: Callable[[], Awaitable[str]]) -> tuple[list[str], int]:
    """Take all steps, each given up after a moment; return the chunks and how many were given up."""
    texts, beats = [], 0
    while True:
        try:
            texts.append(await asyncio.wait_for(step(), BRIEF))
        except asyncio.TimeoutError:
            beats += 1
        except StopAsyncIteration:
            return texts, beats


SLOW = Pause(6 * BRIEF)

STEPS: dict[str, Callable[[AsyncStream[str]], Callable[[], Any]]] = {
    "anext": lambda stream: lambda: anext(stream),
    "__anext__": lambda stream: stream.__anext__,
    "asend": lambda stream: lambda: stream.asend(None),
    "aiter": lambda stream: aiter(stream).__anext__,
    "a task": lambda stream: lambda: asyncio.ensure_future(anext(stream)),
    "a coroutine": lambda stream: lambda: _one(stream),
}


async def _one(stream: AsyncStream[str]) -> str:
    return await anext(stream)


@by_wire
@pytest.mark.parametrize("name", STEPS)
def test_a_step_that_was_given_up_is_taken_again(name: str, wire: str, serve: Serve) -> None:
    server = serve([SLOW, *streams(wire, SLOW, "a", "b", SLOW, "c", SLOW, *end(wire))])

    async def main() -> None:
        async with opened(server, wire) as stream:
            texts, beats = await heartbeat(STEPS[name](stream))
            assert texts == ["a", "b", "c"]
            assert beats >= 4
            assert stream.done
            assert len(server.exchanges) == 1
            with pytest.raises(StopAsyncIteration):
                await anext(stream)
        while len(asyncio.all_tasks()) > 1:  # the event loop closes generators that were dropped
            await asyncio.sleep(TICK)

    asyncio.run(main())


def test_retries_and_detection_go_on_between_steps(serve: Serve) -> None:
    health = {"status": "healthy", "server": "RunAgent FastAPI Local Server", "agent_id": "a"}
    server = serve(
        [SLOW, *error(503, "BUSY")],
        [SLOW, *answer({"detail": "Not Found"}, 404)],
        [SLOW, *answer(health)],
        [SLOW, *streams("server", SLOW, "a", SLOW, *end("server"))],
    )

    async def main() -> None:
        async with opened(server, "auto", retry_delay=TICK) as stream:
            assert (await heartbeat(lambda: anext(stream)))[0] == ["a"]

    asyncio.run(main())
    assert len(server.exchanges) == 4


@by_wire
def test_scopes_of_anyio_give_a_step_up_too(wire: str, serve: Serve) -> None:
    server = serve(streams(wire, SLOW, "a", SLOW, "b", *end(wire)))

    async def main() -> None:
        texts = []
        async with opened(server, wire) as stream:
            while not stream.done:
                with anyio.move_on_after(BRIEF), suppress(StopAsyncIteration):
                    texts.append(await anext(stream))
        assert texts == ["a", "b"]

    asyncio.run(main())


@by_wire
def test_a_loop_follows_a_step_that_was_given_up(wire: str, serve: Serve) -> None:
    server = serve(streams(wire, SLOW, "a", "b", *end(wire)))

    async def main() -> None:
        async with opened(server, wire) as stream:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(stream), BRIEF)
            assert [text async for text in stream] == ["a", "b"]

    asyncio.run(main())


@by_wire
def test_steps_that_are_given_up_do_not_prolong_the_silence(wire: str, serve: Serve) -> None:
    server = serve(streams(wire, "a", STALL))

    async def main() -> None:
        async with opened(server, wire, timeout=TIMEOUT) as stream:
            with pytest.raises(TimeoutError) as caught:  # noqa: PT012
                while True:
                    try:
                        await asyncio.wait_for(anext(stream), TIMEOUT / 10)
                    except TimeoutError:
                        raise
                    except asyncio.TimeoutError:
                        pass
            assert "Nothing came" in str(caught.value)
            with pytest.raises(TimeoutError, match="Nothing came"):
                await anext(stream)

    asyncio.run(main())


@by_wire
@pytest.mark.parametrize("phase", ["before the headers", "after them"])
@pytest.mark.parametrize("ending", ["aclose", "drop", "client", "loop"])
def test_a_step_that_is_never_taken_again_closes_the_connection(
    ending: str, phase: str, wire: str, serve: Serve
) -> None:
    server = serve([STALL] if phase == "before the headers" else streams(wire, STALL))
    kept = []

    async def main() -> None:
        protocol: Any = wire
        client = AsyncRunAgentClient("a", base_url=server.url, protocol=protocol)
        stream = client.run_generic_stream({})
        while not server.exchanges:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(stream), MOMENT)
        assert not server.last.closed_by_client.is_set()
        if ending == "aclose":
            await stream.aclose()
            with pytest.raises(StopAsyncIteration):
                await anext(stream)
        elif ending == "drop":
            del stream
            gc.collect()
        elif ending == "client":
            await client.aclose()
            with pytest.raises(RunAgentError) as caught:
                await anext(stream)
            assert caught.value.code == "CLIENT_CLOSED"
        else:
            kept.append(stream)
            return
        assert await asyncio.to_thread(server.last.wait_closed)
        await client.aclose()
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(TICK)

    asyncio.run(main())
    assert server.last.wait_closed()
    for stream in kept:
        with pytest.raises(StreamError):
            asyncio.run(stream.__anext__())


@by_wire
@pytest.mark.parametrize("phase", ["before the headers", "after them"])
@pytest.mark.parametrize("how", ["loop", "with", "comprehension", "chunks", "anyio"])
def test_cancellation_in_a_loop_closes_at_once_whoever_holds_the_stream(
    how: str, phase: str, wire: str, serve: Serve
) -> None:
    server = serve([STALL] if phase == "before the headers" else streams(wire, "a", STALL))

    async def read(stream: AsyncStream[str]) -> None:
        if how == "loop":
            async for _ in stream:
                pass
        elif how == "with":
            async with stream:
                await asyncio.wait_for(_exhaust(stream), PATIENCE)
        elif how == "comprehension":
            assert [text async for text in stream]
        elif how == "chunks":
            async for _ in stream.chunks():
                pass
        else:
            async with anyio.create_task_group() as group:
                group.start_soon(_exhaust, stream)

    async def main() -> None:
        async with opened(server, wire) as stream:
            task = asyncio.ensure_future(read(stream))
            await asyncio.to_thread(server.wait_for, 1)
            await asyncio.sleep(MOMENT)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert server.last.wait_closed()
            if how != "with":
                with pytest.raises(StreamError) as caught:
                    await anext(stream)
                assert caught.value.code == "STREAM_BROKEN_OFF"
                assert caught.value.text == ("" if phase == "before the headers" else "a")

    asyncio.run(main())


async def _exhaust(stream: AsyncStream[str]) -> None:
    while True:
        async for _ in stream:
            pass


# An end is an end

FAILURES: dict[str, tuple[Callable[[str], Script], str]] = {
    "silence": (lambda wire: streams(wire, "a", STALL), "TIMEOUT"),
    "a reset": (lambda wire: streams(wire, "a", Pause(MOMENT), RESET), "CONNECTION_LOST"),
    "an error": (
        lambda wire: streams(
            wire,
            "a",
            frame(sse("error", {"error": "no", "code": "E"}))
            if wire == "rest"
            else ws.message({"type": "error", "error": "no", "code": "E"}),
            STALL,
        ),
        "E",
    ),
    "a refusal": (lambda wire: error(401, "E"), "E"),
}


@by_wire
@pytest.mark.parametrize("name", FAILURES)
def test_every_further_step_raises_the_same_again(name: str, wire: Any, serve: Serve) -> None:
    script, code = FAILURES[name]
    server = serve(script(wire))
    options: Any = {"base_url": server.url, "timeout": TIMEOUT, "protocol": wire}

    def check(errors: list[RunAgentError]) -> None:
        assert [problem.code for problem in errors] == [code] * 4
        assert len({(type(problem), str(problem)) for problem in errors}) == 1
        assert len({type(problem.__cause__) for problem in errors}) == 1
        assert len(set(map(id, errors))) == 4

    with RunAgentClient("a", **options) as client:
        stream = client.run_generic_stream({})
        errors = []
        for step in (lambda: list(stream), stream.__next__, lambda: stream.send(None)):
            with pytest.raises(RunAgentError) as caught:
                step()
            errors.append(caught.value)
        stream.close()
        with pytest.raises(RunAgentError) as caught:
            next(stream)
        check([*errors, caught.value])

    async def main() -> None:
        async with AsyncRunAgentClient("a", **options) as client:
            stream = client.run_generic_stream({})
            errors = []
            for step in (_exhaust, anext, lambda stream: stream.asend(None)):
                with pytest.raises(RunAgentError) as caught:
                    await step(stream)
                errors.append(caught.value)
            await stream.aclose()
            with pytest.raises(RunAgentError) as caught:
                await anext(stream)
            check([*errors, caught.value])

    asyncio.run(main())


def test_steps_after_an_interrupt_raise(serve: Serve) -> None:
    server = serve(streams("rest", "a", STALL))
    with RunAgentClient("a", base_url=server.url, timeout=PATIENCE) as client:
        stream = client.run_generic_stream({})
        assert next(stream) == "a"
        threading.Timer(MOMENT, signal.pthread_kill, [threading.get_ident(), signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt):
            next(stream)
        for _ in range(2):
            with pytest.raises(StreamError, match="broken off by KeyboardInterrupt") as caught:
                next(stream)
            assert caught.value.text == "a"
        assert server.last.wait_closed()


@by_wire
def test_steps_after_an_exception_thrown_in_raise(wire: Any, serve: Serve) -> None:
    server = serve(streams(wire, "a", STALL))
    with RunAgentClient("a", base_url=server.url, protocol=wire) as client:
        stream = client.run_generic_stream({})
        next(stream)
        with pytest.raises(KeyError):
            stream.throw(KeyError("x"))
        with pytest.raises(StreamError, match="KeyError"):
            next(stream)

    async def main() -> None:
        async with opened(server, wire) as stream:
            await anext(stream)
            with pytest.raises(KeyError):
                await stream.athrow(KeyError("x"))
            with pytest.raises(StreamError, match="KeyError"):
                await anext(stream)

    asyncio.run(main())


@by_wire
def test_a_stream_outlives_no_event_loop(wire: Any, serve: Serve) -> None:
    server = serve(streams(wire, "a", STALL))
    client = AsyncRunAgentClient("a", base_url=server.url, protocol=wire)
    stream = client.run_generic_stream({})
    assert asyncio.run(_one(stream)) == "a"
    assert server.last.wait_closed()
    for _ in range(2):
        with pytest.raises(StreamError):
            asyncio.run(_one(stream))


# Closing from elsewhere


@by_wire
@pytest.mark.parametrize("phase", ["before the headers", "after them", "in a retry's wait"])
def test_another_task_closes_a_stream(phase: str, wire: str, serve: Serve) -> None:
    scripts: dict[str, Script] = {
        "before the headers": [STALL],
        "after them": streams(wire, "a", STALL),
        "in a retry's wait": error(503, "BUSY", retry_after=PATIENCE * 0.9),
    }
    server = serve(scripts[phase], good("stream"))
    texts: list[str] = []

    async def read(stream: AsyncStream[str]) -> None:
        async for text in stream:
            texts.append(text)

    async def main() -> None:
        async with opened(server, wire) as stream:
            task = asyncio.ensure_future(read(stream))
            await asyncio.to_thread(server.wait_for, 1)
            await asyncio.sleep(MOMENT)
            await asyncio.gather(stream.aclose(), stream.aclose())
            await asyncio.wait_for(task, PATIENCE)
            assert texts == (["a"] if phase == "after them" else [])
            if phase != "in a retry's wait":
                assert await asyncio.to_thread(server.last.wait_closed)
            with pytest.raises(StopAsyncIteration):
                await anext(stream)

    asyncio.run(main())


def test_another_thread_closes_an_asynchronous_stream(serve: Serve) -> None:
    server = serve(streams("rest", "a", STALL))
    texts: list[str] = []
    held: list[AsyncStream[str]] = []

    async def main() -> None:
        async with opened(server, "rest") as stream:
            held.append(stream)
            async for text in stream:
                texts.append(text)

    reader = threading.Thread(target=lambda: asyncio.run(main()))
    reader.start()
    until(lambda: texts)
    time.sleep(MOMENT)
    asyncio.run(held[0].aclose())
    reader.join(PATIENCE)
    assert not reader.is_alive()
    assert server.last.wait_closed()


def test_a_transport_of_ones_own_is_read_on_too() -> None:
    class Slow(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            async def body() -> AsyncIterator[bytes]:
                for data in (chunk("a"), chunk("b"), DONE):
                    await asyncio.sleep(4 * BRIEF)
                    yield data

            headers = {"Content-Type": "text/event-stream"}
            return httpx2.Response(200, headers=headers, content=body(), request=request)

    async def main() -> None:
        async with httpx2.AsyncClient(transport=Slow()) as http:
            client = AsyncRunAgentClient("a", "k", base_url="http://127.0.0.1:9", http_client=http)
            stream = client.run_generic_stream({})
            assert (await heartbeat(lambda: anext(stream)))[0] == ["a", "b"]
            stream = client.run_generic_stream({})
            reading = asyncio.ensure_future(_one(stream))
            await asyncio.sleep(BRIEF)
            await stream.aclose()
            with pytest.raises(StopAsyncIteration):
                await reading

    asyncio.run(main())
