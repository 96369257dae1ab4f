"""Chunks over a WebSocket, from a server that has nothing else to do, next to raw `websockets`."""

from __future__ import annotations

import json
import math
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

from benchmarks import peers
from benchmarks.measure import Cost, Limit, Table, interleave
from benchmarks.server import running
from benchmarks.streams import check
from benchmarks.upstream import UPSTREAM, upstream_client

FRAMES = "websockets, frames alone"
JSON = "websockets, and json.loads"
_DONE = b"stream_completed"


@contextmanager
def runagent_websocket(url: str, what: str) -> Iterator[peers.Stream]:
    import runagent

    with runagent.RunAgentClient(what, "key", url, peers.TIMEOUT, protocol="server") as client:
        yield lambda: client.run_generic_stream(peers.INPUT)


def raw(url: str, what: str, read: Callable[[bytes], Any]) -> Iterator[object]:
    """Yield what `read` makes of each message, through the client of websockets without I/O."""
    from websockets.client import ClientProtocol
    from websockets.frames import Frame
    from websockets.uri import parse_uri

    address = urlsplit(url)
    uri = parse_uri(f"ws://{address.netloc}/api/v1/agents/{what}/run-stream")
    protocol = ClientProtocol(uri, max_size=None)
    with socket.create_connection((address.hostname, address.port or 80)) as sock:

        def send() -> None:
            for data in protocol.data_to_send():
                sock.sendall(data)

        def receive() -> Iterator[Any]:
            while True:
                send()
                protocol.receive_data(sock.recv(65536))
                yield from protocol.events_received()

        protocol.send_request(protocol.connect())
        events = receive()
        next(events)  # the response
        protocol.send_text(json.dumps({"input_kwargs": peers.INPUT}).encode())
        for frame in events:
            assert isinstance(frame, Frame)
            if _DONE in frame.data:
                break
            yield read(bytes(frame.data))
        protocol.send_close(1000)
        send()


def _value(message: bytes) -> Any:
    """Return the chunk in a message: JSON in JSON in JSON."""
    frame = json.loads(message)
    return json.loads(json.loads(frame["content"])["payload"]) if "content" in frame else None


def chunks(*, rounds: int, count: int) -> Iterator[Table]:
    what = f"chunks-{count}"
    with running() as url, ExitStack() as stack:
        ours = stack.enter_context(runagent_websocket(url, what))
        streams: dict[str, tuple[peers.Stream, int]] = {
            FRAMES: (lambda: raw(url, what, bytes), count + 1),  # with the one that says hello
            JSON: (lambda: raw(url, what, _value), count + 1),
            "runagent": (ours, count),
        }
        candidates: dict[str, Callable[[], Cost]] = {
            name: lambda name=name, found=found: _timed(name, *found)  # type: ignore[misc]
            for name, found in streams.items()
        }
        root = stack.enter_context(tempfile.TemporaryDirectory())
        theirs = stack.enter_context(upstream_client(what, url, count, root))
        candidates[UPSTREAM] = lambda: Cost(theirs(), math.nan)  # it has a process of its own
        samples = interleave(candidates, rounds)
    name = f"{count:,} chunks over a WebSocket"
    passed = {key: [cost.passed for cost in costs] for key, costs in samples.items()}
    yield Table(name, "ms", passed, JSON, [Limit("runagent", 1.0, UPSTREAM)])
    cpu = {key: [cost.cpu for cost in samples[key]] for key in streams}
    yield Table(f"{name}: CPU time", "ms", cpu, JSON, [Limit("runagent", 1.3, JSON)])


def _timed(name: str, stream: peers.Stream, count: int) -> Cost:
    began = Cost.now()
    check(name, sum(1 for _ in stream()), count)
    return Cost.since(began, 1_000)  # in ms
