"""Nothing but a `RunAgentError` leaves a call, and the exceptions of the user's own code."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from support.calls import KINDS, MODES, call, run
from support.clock import MOMENT, PATIENCE
from support.faults import STALL, FaultServer, answer, good

from runagent import AsyncRunAgentClient, RunAgentClient, RunAgentError, ValidationError
from runagent.connections import ConnectionOptions

Serve = Callable[..., FaultServer]


class OfTheUserError(Exception):
    """An exception that the user's code raises."""


def make_client(mode: str, **options: Any) -> Any:
    return (httpx2.Client if mode == "sync" else httpx2.AsyncClient)(**options)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_closed_http_client_is_named(kind: str, mode: str, serve: Serve) -> None:
    own = make_client(mode)
    own.close() if mode == "sync" else asyncio.run(own.aclose())
    outcome = call(serve(good(kind)).url, kind, mode, http_client=own)
    assert isinstance(outcome.error, RunAgentError)
    assert outcome.error.code == "CLIENT_CLOSED"
    assert "http_client=" in str(outcome.error)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("defined", [OfTheUserError, RuntimeError])
def test_an_exception_of_a_hook_passes(
    defined: type[Exception], kind: str, mode: str, serve: Serve
) -> None:
    def hook(request: httpx2.Request) -> None:
        raise defined("of the user")

    async def async_hook(request: httpx2.Request) -> None:
        raise defined("of the user")

    hooks = {"request": [hook if mode == "sync" else async_hook]}
    own = make_client(mode, event_hooks=hooks)
    with pytest.raises(defined, match="of the user"):
        call(serve(good(kind)).url, kind, mode, http_client=own)
    own.close() if mode == "sync" else asyncio.run(own.aclose())


@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_of_a_signal_handler_passes(kind: str, serve: Serve) -> None:
    def ring(number: int, frame: object) -> None:
        raise OfTheUserError("of the user")

    server = serve([STALL])
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, MOMENT)
    try:
        with (
            RunAgentClient("a", base_url=server.url, timeout=PATIENCE) as client,
            pytest.raises(OfTheUserError, match="of the user"),
        ):
            run(client, kind)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("error", [ValueError, OfTheUserError])
def test_an_exception_thrown_into_a_stream_passes(error: type[Exception], serve: Serve) -> None:
    with RunAgentClient("a", base_url=serve(good("stream")).url) as client:
        stream = client.run_generic_stream({})
        next(stream)
        with pytest.raises(error):
            stream.throw(error("of the user"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_process_without_threads_to_spare_can_call(
    kind: str, mode: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(good(kind))

    start_thread = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name.startswith(("runagent", "asyncio")):
            raise RuntimeError("can't start new thread")
        start_thread(thread)  # of the server

    monkeypatch.setattr(threading.Thread, "start", start)
    outcome = call(server.url.replace("127.0.0.1", "localhost"), kind, mode)
    monkeypatch.undo()
    assert outcome.error is None
    assert outcome.value


AT_EXIT = """
import asyncio, atexit, sys
from runagent import AsyncRunAgentClient, RunAgentClient

def last_words():
    if sys.argv[2] == "sync":
        print(RunAgentClient("a", base_url=sys.argv[1]).run_generic({}))
    else:
        async def main():
            async with AsyncRunAgentClient("a", base_url=sys.argv[1]) as client:
                print(await client.run_generic({}))
        asyncio.run(main())

atexit.register(last_words)
"""


@pytest.mark.parametrize("mode", MODES)
def test_a_call_while_the_interpreter_ends(mode: str, serve: Serve) -> None:
    url = serve(answer()).url.replace("127.0.0.1", "localhost")
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT, url, mode],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("{'answer': 'ok'}\n", "")


def test_without_an_event_loop_the_asynchronous_client_says_so() -> None:
    client = AsyncRunAgentClient("a", base_url="http://127.0.0.1:9")
    calls: list[Any] = [
        client.run_generic({}),
        client.run_generic_stream({}).__anext__(),
    ]
    for coroutine in calls:
        with pytest.raises(RunAgentError, match="trio") as caught:
            coroutine.send(None)
        assert caught.value.code == "NO_EVENT_LOOP"


@pytest.mark.parametrize(
    ("missing", "says"),
    [("the 'socksio' package is not installed", "httpx2[socks]"), ("no module named x", "named x")],
)
def test_socks_is_blamed_only_for_what_it_lacks(
    missing: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise ImportError(missing)

    monkeypatch.setattr(httpx2.Client, "__init__", fail)
    options = ConnectionOptions(True, 1, None, True, False)
    with pytest.raises(ValidationError) as caught:
        options.new_client()
    assert says in str(caught.value)
    assert ("socks" in str(caught.value)) == ("socks" in says)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_of_a_package_below_is_an_error(
    kind: str, mode: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a fault in the standard library would: no frame of this test is on the way.
    exec(
        compile("def decode(*a, **k):\n    return {}[0]", "<below>", "exec"),
        space := {"__name__": "json"},
    )
    for name in ("json.loads", "_raw_decode"):
        monkeypatch.setattr(f"runagent.wire.text.{name}", space["decode"])
    outcome = call(serve(good(kind)).url, kind, mode, api_key="planted-key")
    assert isinstance(outcome.error, RunAgentError)
    assert outcome.error.code == "UNEXPECTED"
    assert "KeyError" in str(outcome.error)
