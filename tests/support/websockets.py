"""A raw TCP server that speaks WebSocket as badly as told."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Sequence
from typing import Any

from wsproto import events
from wsproto.connection import Connection, ConnectionType
from wsproto.frame_protocol import Opcode
from wsproto.utilities import generate_accept_token

from support.clock import MOMENT, TICK
from support.faults import Exchange, FaultServer, Mark, Script, Step

UPGRADE = b"the answer that accepts the upgrade"
"""In a step, it is replaced by that answer."""

PONGED = Mark("PONGED")
"""Wait for a pong: the client has read what was sent before its ping, and the server all it sent."""


class WebSocketServer(FaultServer):
    """A `FaultServer` that can accept an upgrade, and takes what is sent after it.

    Attributes:
        received: What clients sent after the upgrade, in one piece.
        lines: Lines added to the answer that accepts the upgrade.
    """

    def __init__(self, *scripts: Script, lines: Sequence[str] = (), **options: Any) -> None:
        self.received = b""
        self.lines = lines
        super().__init__(*scripts, **options)

    def messages(self) -> list[Any]:
        """Return what the last client sent, as events of wsproto."""
        connection = Connection(ConnectionType.SERVER)
        connection.receive_data(self.received)
        return list(connection.events())

    def _play(self, sock: socket.socket, script: Script, exchange: Exchange | None) -> bool:
        steps: list[Step] = [
            step.replace(UPGRADE, _accepting(exchange, self.lines))
            if exchange is not None and isinstance(step, bytes) and UPGRADE in step
            else step
            for step in script
        ]
        return super()._play(sock, steps, exchange)

    def _step(self, sock: socket.socket, step: Step) -> bool:
        if step is not PONGED:
            return super()._step(sock, step)
        while not any(isinstance(event, events.Pong) for event in self.messages()):
            if self._stopping.is_set() or not self._stays(sock, TICK):
                return False
        return True

    def _stays(self, sock: socket.socket, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self._stopping.is_set() and (left := deadline - time.monotonic()) > 0:
            if select.select([sock], [], [], min(left, MOMENT))[0]:
                data = sock.recv(65536)
                if not data:
                    return False
                self.received += data
        return True


def _server() -> Connection:
    return Connection(ConnectionType.SERVER)


def _accepting(exchange: Exchange, lines: Sequence[str]) -> bytes:
    token = generate_accept_token(exchange.headers["sec-websocket-key"].encode())
    more = "".join(f"{line}\r\n" for line in lines).encode("latin-1")
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n%b\r\n" % (token, more)
    )


def message(value: Any) -> bytes:
    """Return a message as a server sends it: text as it is, anything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value)
    return bytes(_server().send(events.TextMessage(text)))


def fragments(text: str, *sizes: int, between: bytes = b"") -> bytes:
    """Return a message in fragments of these sizes, with other frames between them."""
    connection = _server()
    sent = b""
    for size in sizes:
        part, text = text[:size], text[size:]
        sent += connection.send(events.TextMessage(part, message_finished=False)) + between
    return sent + connection.send(events.TextMessage(text))


def structured(value: Any) -> str:
    """Return a value as results and chunks carry it."""
    kinds: dict[type, str] = {
        str: "string", bool: "boolean", int: "integer", float: "number",
        list: "array", dict: "object", type(None): "null",
    }  # fmt: skip
    return json.dumps({"type": kinds[type(value)], "payload": json.dumps(value)})


def chunk(value: Any) -> bytes:
    """Return the message that carries a chunk."""
    return message({"type": "data", "content": structured(value)})


def status(name: str, **facts: Any) -> bytes:
    """Return the message that tells of a stream's status."""
    return message({"type": "status", "status": name, **facts})


def ping(payload: bytes = b"") -> bytes:
    """Return a ping."""
    return bytes(_server().send(events.Ping(payload)))


def close(code: int, reason: str | None = None) -> bytes:
    """Return the frame that closes."""
    return bytes(_server().send(events.CloseConnection(code, reason)))


def frame(opcode: Opcode, payload: bytes, first: int = 0x80, second: int = 0) -> bytes:
    """Return a frame byte by byte, with the bits of its first two bytes that tell it is wrong."""
    return bytes([first | int(opcode), second | len(payload)]) + payload


STARTED = status("stream_started", invocation_id="i-1")
COMPLETED = status("stream_completed", total_chunks=2, execution_time=0.5, invocation_id="i-1")


def stream(*values: Any) -> bytes:
    """Return everything a good server sends."""
    return STARTED + b"".join(map(chunk, values)) + COMPLETED
