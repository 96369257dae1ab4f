"""A client that is closed ends all that waits for it, whatever it waits for, with one code."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from support import websockets as ws
from support.calls import MODES
from support.clock import FOR_EVER, MOMENT, PATIENCE
from support.faults import (
    DONE,
    LAST_FRAME,
    SSE_HEAD,
    Do,
    FaultServer,
    Pause,
    Script,
    answer,
    chunk,
    error,
    frame,
    head,
)
from support.forks import holds_in_fork
from support.websockets import UPGRADE, WebSocketServer

from runagent import (
    AsyncRunAgentClient,
    RunAgentClient,
    RunAgentError,
    StreamError,
    ValidationError,
    request,
)

STALL = Pause(FOR_EVER)
UNROUTED = answer({"detail": "Not Found"}, 404)
UNKNOWN = error(404, "NOT_FOUND", message="Entrypoint nope not found")
BUSY = error(503, "BUSY", f"Retry-After: {FOR_EVER}")

Serve = Callable[..., FaultServer]
by_mode = pytest.mark.parametrize("mode", MODES)


def invoke(client: Any) -> Any:
    return client.run_generic({})


def entrypoints(client: Any) -> Any:
    return client.entrypoints()


def run_entrypoint(client: Any) -> Any:
    return client.run(entrypoint="nope")


def batch(client: Any) -> Any:
    return client.batch_run([{}, {}], max_concurrency=2)


def stream(client: Any) -> Any:
    if isinstance(client, RunAgentClient):
        return list(client.run_generic_stream({}))
    return _all(client.run_generic_stream({}))


async def _all(chunks: Any) -> list[str]:
    return [text async for text in chunks]


@dataclass
class Waiting:
    """A call that waits for something for ever.

    Attributes:
        call: Makes it.
        scripts: The answers of the server.
        requests: How many requests come before it waits.
        options: Arguments of the client.
        calls: How many such calls are made at once.
    """

    call: Callable[[Any], Any]
    scripts: Sequence[Script]
    requests: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    calls: int = 1


both = threading.Barrier(2, timeout=PATIENCE)

SERVE: dict[str, Any] = {"protocol": "server"}

WAITING = {
    "the headers": Waiting(invoke, [[STALL]]),
    "the body": Waiting(invoke, [[head(200, "application/json", "Content-Length: 9"), STALL]]),
    "the body of an error": Waiting(
        invoke, [[head(400, "application/json", "Content-Length: 9"), STALL]]
    ),
    "the next attempt": Waiting(invoke, [BUSY]),
    "the next attempt of a stream": Waiting(stream, [BUSY]),
    "the headers of a stream": Waiting(stream, [[STALL]]),
    "the first chunk": Waiting(stream, [[SSE_HEAD, STALL]]),
    "the next chunk": Waiting(stream, [[SSE_HEAD, frame(chunk("a")), STALL]]),
    "the next chunk without a length": Waiting(
        stream, [[head(200, "text/event-stream"), chunk("a"), STALL]]
    ),
    "the next message": Waiting(
        stream, [[UPGRADE, ws.STARTED, ws.chunk("a"), STALL]], options=SERVE
    ),
    "the protocol": Waiting(invoke, [UNROUTED, [STALL]], requests=2),
    "its turn to ask for the protocol": Waiting(
        invoke, [[Do(both.wait), *UNROUTED]] * 2 + [[STALL]], requests=3, calls=2
    ),
    "the protocol of an entrypoint": Waiting(run_entrypoint, [[STALL]]),
    "the entrypoints": Waiting(entrypoints, [[STALL]], options=SERVE),
    "a free connection": Waiting(invoke, [[STALL]], calls=3, options={"connection_pool_size": 1}),
    "a free connection, or chunks": Waiting(
        stream, [[SSE_HEAD, STALL]], calls=3, options={"connection_pool_size": 1}
    ),
    "the answers of a batch": Waiting(batch, [[STALL]], requests=2),
    "the next attempts of a batch": Waiting(batch, [BUSY], requests=2),
}


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server with these scripts."""
    with ExitStack() as stack:
        yield lambda *scripts: stack.enter_context(WebSocketServer(*scripts))


def closed_under(
    mode: str,
    url: str,
    waiting: Waiting,
    ready: Callable[[], object],
    *,
    sibling: bool = False,
) -> list[BaseException | None]:
    """Return what calls end with whose client is closed once they wait."""
    options: Any = {"base_url": url, "timeout": float("inf"), **waiting.options}

    async def main() -> list[BaseException | None]:
        first = AsyncRunAgentClient("a", **options)
        client = first.with_options() if sibling else first
        tasks = [asyncio.ensure_future(waiting.call(client)) for _ in range(waiting.calls)]
        await asyncio.to_thread(ready)
        await client.aclose()
        done, _ = await asyncio.wait(tasks, timeout=PATIENCE)
        assert len(done) == len(tasks), "a call was not ended"
        await first.aclose()
        return [task.exception() for task in tasks]

    if mode == "async":
        return asyncio.run(main())
    with RunAgentClient("a", **options) as first, ThreadPoolExecutor(waiting.calls) as pool:
        client = first.with_options() if sibling else first
        calls = [pool.submit(waiting.call, client) for _ in range(waiting.calls)]
        ready()
        client.close()
        return [call.exception(PATIENCE) for call in calls]


def assert_closed(problems: list[BaseException | None]) -> None:
    for problem in problems:
        assert isinstance(problem, RunAgentError), problem
        assert problem.code == "CLIENT_CLOSED", problem
        assert problem.message == "This client of 'a' was closed."


@by_mode
@pytest.mark.parametrize("name", WAITING)
def test_a_call_that_waits_ends(name: str, mode: str, serve: Serve) -> None:
    waiting = WAITING[name]
    server = serve(*waiting.scripts)

    def ready() -> None:
        server.wait_for(waiting.requests)
        time.sleep(MOMENT)  # until it waits

    assert_closed(closed_under(mode, server.url, waiting, ready))


@by_mode
def test_a_stream_that_had_begun_keeps_its_text(mode: str, serve: Serve) -> None:
    waiting = WAITING["the next chunk"]
    server = serve(*waiting.scripts)

    def ready() -> None:
        server.wait_for(1)
        time.sleep(MOMENT)

    (problem,) = closed_under(mode, server.url, waiting, ready)
    assert type(problem) is StreamError
    assert problem.text == "a"


@by_mode
def test_an_error_that_waits_for_its_explanation_is_raised_without_it(
    mode: str, serve: Serve
) -> None:
    server = serve(UNKNOWN, [STALL])
    waiting = Waiting(run_entrypoint, [], options=SERVE)
    (problem,) = closed_under(mode, server.url, waiting, lambda: server.wait_for(2))
    assert isinstance(problem, ValidationError)
    assert (problem.code, problem.hint) == ("NOT_FOUND", None)


@by_mode
def test_a_wait_for_a_connection_of_a_sibling_ends(mode: str, serve: Serve) -> None:
    """The connections are not closed then, as the sibling goes on using them."""
    server = serve([STALL], answer())
    options: Any = {"base_url": server.url, "connection_pool_size": 1, "timeout": float("inf")}

    async def main() -> BaseException | None:
        client = AsyncRunAgentClient("a", **options)
        sibling = client.with_options()
        using = asyncio.ensure_future(client.run_generic({}))
        await asyncio.to_thread(server.wait_for, 1)
        waiting = asyncio.ensure_future(sibling.run_generic({}))
        await asyncio.sleep(MOMENT)
        await sibling.aclose()
        await asyncio.wait([waiting], timeout=PATIENCE)
        assert not using.done()
        await client.aclose()
        await asyncio.wait([using], timeout=PATIENCE)
        return waiting.exception()

    if mode == "async":
        assert_closed([asyncio.run(main())])
        return
    with ThreadPoolExecutor(2) as pool, RunAgentClient("a", **options) as client:
        sibling = client.with_options()
        using = pool.submit(client.run_generic, {})
        server.wait_for(1)
        waiting = pool.submit(sibling.run_generic, {})
        time.sleep(MOMENT)
        sibling.close()
        problem = waiting.exception(PATIENCE)
        assert not using.done()
        client.close()
        assert_closed([problem, using.exception(PATIENCE)])


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full backlog refuses")
@by_mode
def test_a_call_that_connects_ends(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # fills the backlog
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setattr(request, "CONNECT_TIMEOUT", FOR_EVER)
        waiting = Waiting(invoke, [])
        assert_closed(closed_under(mode, url, waiting, lambda: time.sleep(MOMENT)))


def test_closing_in_one_loop_ends_the_calls_of_another(serve: Serve) -> None:
    server = serve(BUSY, [STALL], [SSE_HEAD, frame(chunk("a")), STALL])
    client = AsyncRunAgentClient("a", base_url=server.url, timeout=float("inf"))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    calls = []
    for number, call in enumerate((invoke, invoke, stream)):
        calls.append(asyncio.run_coroutine_threadsafe(call(client), loop))
        server.wait_for(number + 1)
    time.sleep(MOMENT)
    asyncio.run(client.aclose())
    assert_closed([call.exception(PATIENCE) for call in calls])
    loop.call_soon_threadsafe(loop.stop)
    thread.join(PATIENCE)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def test_closing_on_another_kind_of_event_loop(serve: Serve) -> None:
    uvloop = pytest.importorskip("uvloop")
    server = serve([SSE_HEAD, frame(chunk("a")), STALL])

    async def main() -> BaseException | None:
        client = AsyncRunAgentClient("a", base_url=server.url, timeout=float("inf"))
        task = asyncio.ensure_future(stream(client))
        await asyncio.to_thread(server.wait_for, 1)
        await asyncio.sleep(MOMENT)
        await client.aclose()
        await asyncio.wait([task], timeout=PATIENCE)
        problem: BaseException | None = task.exception()
        return problem

    loop = uvloop.new_event_loop()
    try:
        assert_closed([loop.run_until_complete(main())])
    finally:
        loop.close()


@by_mode
def test_a_stream_may_be_closed_with_its_client_in_the_middle_of_its_loop(
    mode: str, serve: Serve
) -> None:
    server = serve([SSE_HEAD, frame(chunk("a")), STALL])

    async def main() -> None:
        client = AsyncRunAgentClient("a", base_url=server.url)
        async for _ in client.run_generic_stream({}):
            await client.aclose()

    def blocking() -> None:
        client = RunAgentClient("a", base_url=server.url)
        for _ in client.run_generic_stream({}):
            client.close()

    with pytest.raises(StreamError) as caught:  # noqa: PT012
        if mode == "async":
            asyncio.run(main())
        else:
            blocking()
    assert_closed([caught.value])
    assert caught.value.text == "a"


@by_mode
def test_calls_that_wait_for_their_next_attempt_occupy_no_connection(
    mode: str, serve: Serve
) -> None:
    server = serve(*[BUSY] * 20, answer())
    options: Any = {"base_url": server.url, "connection_pool_size": 2, "timeout": float("inf")}

    async def main() -> Any:
        async with AsyncRunAgentClient("a", **options) as client:
            waiting = [asyncio.ensure_future(client.run_generic({})) for _ in range(20)]
            await asyncio.to_thread(server.wait_for, 20)
            healthy = await client.run_generic({}, timeout=PATIENCE)
            assert not any(task.done() for task in waiting)
            await client.aclose()
            await asyncio.wait(waiting, timeout=PATIENCE)
            assert_closed([task.exception() for task in waiting])
            return healthy

    if mode == "async":
        assert asyncio.run(main()) == {"answer": "ok"}
        return
    with ThreadPoolExecutor(20) as pool, RunAgentClient("a", **options) as client:
        waiting = [pool.submit(client.run_generic, {}) for _ in range(20)]
        server.wait_for(20)
        assert client.run_generic({}, timeout=PATIENCE) == {"answer": "ok"}
        assert not any(call.done() for call in waiting)
        client.close()
        assert_closed([call.exception(PATIENCE) for call in waiting])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_that_closes_the_client_ends_nothing_of_its_parent(serve: Serve) -> None:
    release = threading.Event()

    def closes() -> bool:
        client.close()
        return client.closed

    server = serve([SSE_HEAD, frame(chunk("a")), *_released(release)])
    with RunAgentClient("a", base_url=server.url, timeout=PATIENCE) as client:
        chunks = client.run_generic_stream({})
        assert next(chunks) == "a"
        rest: list[str] = []
        reader = threading.Thread(target=lambda: rest.extend(chunks))
        reader.start()
        time.sleep(MOMENT)
        assert holds_in_fork(closes)
        release.set()
        reader.join(PATIENCE)
    assert rest == ["b"]


def _released(release: threading.Event) -> list[Any]:
    return [Do(lambda: release.wait(PATIENCE)), frame(chunk("b")), frame(DONE), LAST_FRAME]
