"""From a name to a connection: several addresses, dead ones, and slow resolvers."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from support.calls import KINDS, MODES, call
from support.clock import PATIENCE, SOON, TIMEOUT
from support.faults import (
    FaultServer,
    answer,
)

from runagent import (
    NetworkError,
    TimeoutError,  # noqa: A004
)

Serve = Callable[..., FaultServer]


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
