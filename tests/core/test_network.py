"""The private names of httpx2 that the package touches are still there; what they are for works."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import httpcore2
import httpx2
import pytest
from anyio.abc import ByteStream
from httpcore2._backends.anyio import AnyIOStream
from support.calls import MODES, call
from support.clock import PATIENCE
from support.faults import Do, FaultServer, answer

from runagent import (
    AsyncRunAgentClient,
    NetworkError,
    RunAgentClient,
    async_network,
    network,
    sockets,
)
from runagent.loop_sockets import DirectStream, direct

CERTS = Path(__file__).parent / "certs"


@pytest.mark.parametrize(
    ("kind", "backend"),
    [
        (httpx2.Client, network._BlockingBackend),
        (httpx2.AsyncClient, async_network.AsyncBackend),
    ],
)
@pytest.mark.parametrize("proxy", [None, "http://localhost:9"])
def test_every_transport_connects_through_the_packages_own_backend(
    kind: Any, backend: Any, proxy: str | None
) -> None:
    """httpx2 hands no network backend on to httpcore2, so it is put there by private names.

    Without it no call ends in time, and nothing can be interrupted.
    """
    client = kind(proxy=proxy, trust_env=False)
    network.use_own_backends(client)
    network.use_own_backends(client)  # as for each call of a client of the user's own
    transports = [client._transport, *client._mounts.values()]
    assert len(transports) == (1 if proxy is None else 2)
    for transport in transports:
        found = transport._pool._network_backend
        assert type(found) is backend
        assert type(found._backend) is not type(found)
        lock = transport._pool._optional_thread_lock
        network._free_pools()  # as in a forked process
        assert type(transport._pool._optional_thread_lock) is type(lock)
        assert transport._pool._optional_thread_lock is not lock


def options_of(port: int) -> list[dict[str, int]]:
    """Return the options of the connections from this process to a port of this machine."""
    gc.collect()
    found = []
    for sock in gc.get_objects():
        if not isinstance(sock, socket.socket) or sock.family != socket.AF_INET:
            continue
        with contextlib.suppress(OSError):
            if sock.getpeername()[1] == port:
                found.append(
                    {
                        "on": sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                        "idle": sock.getsockopt(socket.IPPROTO_TCP, IDLE),
                        "interval": sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
                        "count": sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
                    }
                )
    return found


IDLE = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", 0))
KEPT_ALIVE = {
    "on": 1,
    "idle": sockets.KEEPALIVE_IDLE,
    "interval": sockets.KEEPALIVE_INTERVAL,
    "count": sockets.KEEPALIVE_COUNT,
}


def test_silent_connections_are_kept_before_the_first_gateway_forgets_them() -> None:
    assert sockets.KEEPALIVE_IDLE + sockets.KEEPALIVE_INTERVAL < 240


def connected(url: str, port: int, mode: str, **options: Any) -> list[dict[str, int]]:
    """Return the options of the connections that a client has after its first call."""
    options = {"api_key": "k", "timeout": PATIENCE, **options}
    if mode == "sync":
        with RunAgentClient("a", base_url=url, **options) as client:
            client.run_generic({})
            return options_of(port)

    async def main() -> list[dict[str, int]]:
        async with AsyncRunAgentClient("a", base_url=url, **options) as client:
            await client.run_generic({})
            return options_of(port)

    return asyncio.run(main())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", ["direct", "TLS", "proxy", "tunnel"])
def test_connections_are_kept_alive(way: str, mode: str, serve: Callable[..., FaultServer]) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTS / "server.pem")
    server = serve(answer(), tls=tls if way == "TLS" else None)
    options: dict[str, Any] = {"verify_ssl": str(CERTS / "ca.pem")}
    if way == "proxy":
        url, options = "http://agents.example", {"proxy": server.url, "allow_http": True}
    elif way == "tunnel":
        url, options = "https://agents.example", {"proxy": server.url}
        tunnelled: list[list[dict[str, int]]] = []
        server.scripts = [
            # While the client waits for this answer; then it makes another socket of its socket.
            [Do(lambda: tunnelled.append(options_of(server.port))), b"HTTP/1.1 200 OK\r\n\r\n"]
        ]
        with pytest.raises(NetworkError):
            connected(url, server.port, mode, max_retries=0, **options)
        assert tunnelled == [[KEPT_ALIVE]]
        return
    else:
        url = server.url.replace("127.0.0.1", "localhost") if way == "TLS" else server.url
    found = connected(url, server.port, mode, **options)
    assert found
    assert all(one == KEPT_ALIVE for one in found)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("missing", [[], ["TCP_KEEPIDLE"], ["TCP_KEEPINTVL", "TCP_KEEPCNT"]])
def test_an_option_under_another_name_or_under_none_is_no_hindrance(
    missing: list[str], mode: str, serve: Callable[..., FaultServer], monkeypatch: Any
) -> None:
    values = [getattr(socket, name) for name in missing]
    server = serve(answer())
    with monkeypatch.context() as without:
        for name in missing:
            without.delattr(socket, name)
        if "TCP_KEEPIDLE" in missing:  # the name that macOS has for it
            without.setattr(socket, "TCP_KEEPALIVE", values[0], raising=False)
        options: dict[str, Any] = {"api_key": "", "timeout": PATIENCE}
        if mode == "sync":
            with RunAgentClient("a", base_url=server.url, **options) as client:
                client.run_generic({})
                without.undo()
                (found,) = options_of(server.port)
        else:
            found = asyncio.run(_found_after(server, without, options))
    assert found["on"] == 1
    assert found["idle"] == sockets.KEEPALIVE_IDLE
    assert (found["count"] == sockets.KEEPALIVE_COUNT) is ("TCP_KEEPCNT" not in missing)


async def _found_after(server: FaultServer, without: Any, options: Any) -> dict[str, int]:
    async with AsyncRunAgentClient("a", base_url=server.url, **options) as client:
        await client.run_generic({})
        without.undo()
        (found,) = options_of(server.port)
        return found


@pytest.mark.parametrize("refused", [OSError(92, "Protocol not available"), None])
def test_an_option_that_the_system_refuses_is_no_hindrance(
    refused: OSError | None, serve: Callable[..., FaultServer], monkeypatch: Any
) -> None:
    class Picky(socket.socket):
        def setsockopt(self, *option: Any) -> None:
            if refused is not None and option[:2] != (socket.IPPROTO_TCP, socket.TCP_NODELAY):
                raise refused
            super().setsockopt(*option)

    monkeypatch.setattr(socket, "socket", Picky)
    server = serve(answer())
    found = connected(server.url, server.port, "sync")
    assert [one["on"] for one in found] == [0 if refused else 1]


@pytest.mark.parametrize("chosen", [0, 1])
def test_the_choice_of_a_client_of_ones_own_stays(
    chosen: int, serve: Callable[..., FaultServer]
) -> None:
    server = serve(answer())
    options = [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, chosen),
        (socket.IPPROTO_TCP, IDLE, 77),
    ]
    transport = httpx2.HTTPTransport(socket_options=options)
    with httpx2.Client(transport=transport, trust_env=False) as own:
        (found,) = connected(server.url, server.port, "sync", http_client=own)
    assert (found["on"], found["idle"]) == (chosen, 77)
    assert found["interval"] == sockets.KEEPALIVE_INTERVAL


@pytest.mark.parametrize("mode", MODES)
def test_a_small_request_is_sent_at_once(mode: str) -> None:
    """The server reads once: the head of the request did not come by itself."""
    arrived: list[bytes] = []
    body = b'{"result":1}'

    def serve(listener: socket.socket) -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                arrived.append(connection.recv(1 << 16))
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
                    % (len(body), body)
                )

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for text in ("first", "second"):
            outcome = call(url, "invoke", mode, {"text": text}, protocol="rest")
            assert outcome.value == {"result": 1}
        thread.join(PATIENCE)
    assert [data.partition(b"\r\n\r\n")[2] for data in arrived] == [
        b'{"text":"first"}',
        b'{"text":"second"}',
    ]


def test_a_client_of_httpx2_that_is_closed_sends_nothing(serve: Callable[..., FaultServer]) -> None:
    """Its transport would make a connection that nobody closes."""
    server = serve(answer())
    request = httpx2.Request("GET", server.url)
    http = httpx2.Client()
    http.close()
    with pytest.raises(RuntimeError, match="closed"):
        network.send(http, request, is_own=True)

    async def main() -> None:
        http = httpx2.AsyncClient()
        await http.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await network.send_async(http, request, is_own=True)

    asyncio.run(main())
    assert not server.connections


def test_the_bytes_of_an_event_loops_socket_are_read_directly(
    serve: Callable[..., FaultServer],
) -> None:
    port = serve(answer()).port

    async def main() -> object:
        stream = await httpcore2.AnyIOBackend().connect_tcp("127.0.0.1", port)
        try:
            return direct(stream)
        finally:
            await stream.aclose()

    assert isinstance(asyncio.run(main()), DirectStream)


class _Lost(ByteStream):
    """A stream on which every operation fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def receive(self, max_bytes: int = 1) -> bytes:
        raise self._error

    async def send(self, item: bytes) -> None:
        raise self._error

    async def send_eof(self) -> None:
        raise self._error

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize(
    "error",
    [
        anyio.BrokenResourceError(),
        anyio.ClosedResourceError(),
        anyio.EndOfStream(),
        TimeoutError(errno.ETIMEDOUT, "as the system says"),
        ssl.SSLError("of TLS"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_direct_reads_and_writes_fail_as_those_of_httpcore2(error: Exception) -> None:
    async def outcome(step: Callable[[], Awaitable[bytes | None]]) -> object:
        try:
            return await step()
        except Exception as exc:
            return type(exc)

    async def main() -> None:
        theirs = AnyIOStream(_Lost(error))
        ours = direct(theirs)
        assert isinstance(ours, DirectStream)
        assert await outcome(lambda: ours.read(1)) == await outcome(lambda: theirs.read(1))
        assert await outcome(lambda: ours.write(b"x")) == await outcome(lambda: theirs.write(b"x"))

    asyncio.run(main())
