"""A raw TCP server that misbehaves as told, one script for each request."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any

from support.clock import MOMENT, PATIENCE, TICK

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class Drip:
    """Send `data` byte by byte, with a pause after each."""

    data: bytes
    pause: float = MOMENT


@dataclass(frozen=True)
class Repeat:
    """Send `data` again and again, until the client closes the connection or `times` is over."""

    data: bytes
    times: int = 1_000_000_000
    pause: float = 0.0


@dataclass(frozen=True)
class Pause:
    """Wait, unless the client closes the connection."""

    seconds: float


@dataclass(frozen=True)
class Do:
    """Call a function of the test."""

    action: Callable[[], object]


class Mark:
    """A step that is told by its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Late:
    """Play the script that a function returns, made when its turn comes."""

    make: Callable[[], Sequence[Any]]


STALL = Mark("STALL")  # be silent until the client closes the connection
RESET = Mark("RESET")  # close with a TCP reset
KEEP = Mark("KEEP")  # take the next request on the same connection

Step = bytes | Drip | Repeat | Pause | Do | Late | Mark
Script = Sequence[Step]


@dataclass
class Exchange:
    """One request as the server saw it.

    Attributes:
        head: The request line and headers, as sent.
        body: The body, as sent.
        connection: Number of the connection it came on, from 0.
        at: When it was there, on the monotonic clock.
        closed_by_client: Set when the client closed the connection.
        closed_at: When that was.
    """

    head: bytes
    body: bytes
    connection: int
    at: float = field(default_factory=time.monotonic)
    closed_by_client: threading.Event = field(default_factory=threading.Event)
    closed_at: float = 0.0

    @property
    def headers(self) -> dict[str, str]:
        """Headers by lower-case name."""
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines if line)
        }

    @property
    def target(self) -> str:
        """The path asked for."""
        return self.head.decode("latin-1").split(" ", 2)[1]

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    def wait_closed(self, seconds: float = PATIENCE) -> bool:
        """Wait until the client closes the connection."""
        return self.closed_by_client.wait(seconds)


class FaultServer:
    """Listens on a free loopback port; the n-th request is answered by the n-th script.

    Later requests are answered by the last script. A script is a sequence of steps; at its end the
    connection is closed, unless the last step is `KEEP`.

    Attributes:
        exchanges: The requests, in order.
        connections: Connections accepted.
        closed: How many of them the server has closed.
    """

    def __init__(
        self,
        *scripts: Script,
        tls: ssl.SSLContext | None = None,
        on_accept: Script | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.scripts = list(scripts)
        self.exchanges: list[Exchange] = []
        self.connections = self.closed = 0
        self._tls = tls
        self._on_accept = on_accept
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._arrived = threading.Condition(self._lock)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=256)
        self.host = host
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        """The base URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self._tls is None else 'https'}://{host}:{self.port}"

    @property
    def last(self) -> Exchange:
        """The last request."""
        return self.exchanges[-1]

    def wait_for(self, requests: int, seconds: float = PATIENCE) -> Exchange:
        """Wait until that many requests came; return the last of them."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.exchanges) >= requests, seconds), (
                f"{len(self.exchanges)} of {requests} requests came"
            )
            return self.exchanges[requests - 1]

    def stop(self) -> None:
        """Close everything."""
        self._stopping.set()
        with contextlib.suppress(OSError):  # wakes `accept`
            socket.create_connection((self.host, self.port), PATIENCE).close()
        self._threads[0].join(PATIENCE)
        self._listener.close()
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self._stopping.is_set():
                sock.close()
                return
            number, self.connections = self.connections, self.connections + 1
            thread = threading.Thread(target=self._serve, args=(sock, number), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.callback(self._count_closed)
            stack.callback(sock.close)
            sock.settimeout(PATIENCE)
            if self._on_accept is not None:
                self._play(sock, self._on_accept, None)
                return
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                stack.callback(sock.close)
            with self._lock:
                self._open.add(sock)
            stack.callback(self._forget, sock)
            with sock.makefile("rb") as reader:
                while (exchange := _read_request(reader, number)) is not None:
                    with self._arrived:
                        script = self.scripts[min(len(self.exchanges), len(self.scripts) - 1)]
                        self.exchanges.append(exchange)
                        self._arrived.notify_all()
                    if not self._play(sock, script, exchange):
                        return

    def _count_closed(self) -> None:
        with self._lock:
            self.closed += 1

    def _forget(self, sock: socket.socket) -> None:
        with self._lock:
            self._open.discard(sock)

    def _play(self, sock: socket.socket, script: Script, exchange: Exchange | None) -> bool:
        """Do the steps; return whether the connection stays open."""
        try:
            for step in script:
                if isinstance(step, Late):
                    return self._play(sock, step.make(), exchange)
                if step is KEEP:
                    return True
                if step is RESET:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return False
                if not self._step(sock, step):
                    raise ConnectionError("the client closed the connection")
        except OSError:
            if exchange is not None and not self._stopping.is_set():
                exchange.closed_at = time.monotonic()
                exchange.closed_by_client.set()
        return False

    def _step(self, sock: socket.socket, step: Step) -> bool:
        """Do one step; return whether the client is still there."""
        if isinstance(step, bytes):
            sock.sendall(step)
        elif isinstance(step, Do):
            step.action()
        elif isinstance(step, Pause):
            return self._stays(sock, step.seconds)
        elif isinstance(step, Drip):
            for i in range(len(step.data)):
                sock.sendall(step.data[i : i + 1])
                if not self._stays(sock, step.pause):
                    return False
        elif isinstance(step, Repeat):
            for _ in range(step.times):
                sock.sendall(step.data)
                if step.pause and not self._stays(sock, step.pause):
                    return False
                if self._stopping.is_set():
                    return False
        else:
            return self._stays(sock, PATIENCE)
        return True

    def _stays(self, sock: socket.socket, seconds: float) -> bool:
        """Wait; return whether the client is still there."""
        deadline = time.monotonic() + seconds
        while not self._stopping.is_set() and (left := deadline - time.monotonic()) > 0:
            if isinstance(sock, ssl.SSLSocket) and sock.pending():
                return True
            if select.select([sock], [], [], min(left, MOMENT))[0]:
                if isinstance(sock, ssl.SSLSocket):
                    return bool(sock.recv(1))
                if not sock.recv(1, socket.MSG_PEEK):
                    return False
                time.sleep(min(left, TICK))  # bytes of a pipelined request
        return True


def _read_request(reader: Any, number: int) -> Exchange | None:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = reader.readline()
        if not line:
            return None
        head += line
    exchange = Exchange(head.removesuffix(b"\r\n"), b"", number)
    headers = exchange.headers
    if headers.get("transfer-encoding") == "chunked":
        while size := int(reader.readline(), 16):
            exchange.body += reader.read(size)
            reader.readline()
        reader.readline()
    else:
        exchange.body = reader.read(int(headers.get("content-length", 0)))
    exchange.at = time.monotonic()
    return exchange


def head(
    status: int = 200, content_type: str = "application/json", *lines: str, version: str = "1.1"
) -> bytes:
    """Return the head of an answer."""
    fields = [f"HTTP/{version} {status} Whatever", f"Content-Type: {content_type}", *lines]
    return ("\r\n".join(fields) + "\r\n\r\n").encode("latin-1")


def answer(
    value: Any = None,
    status: int = 200,
    *lines: str,
    content_type: str = "application/json",
    keep: bool = True,
) -> list[Step]:
    """Return a script that answers `value`: bytes and text as they are, anything else as JSON."""
    if value is None:
        value = {"result": {"answer": "ok"}}
    body = value.encode() if isinstance(value, str) else value
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    size = f"Content-Length: {len(body)}"
    return [head(status, content_type, size, *lines) + body, *([KEEP] if keep else [])]


def error(status: int, code: str = "OOPS", *lines: str, **fields: Any) -> list[Step]:
    """Return a script that answers with a documented error."""
    problem = {"code": code, "message": f"It failed with {status}", **fields}
    return answer({"error": problem}, status, *lines)


SSE_HEAD = head(200, "text/event-stream", "Transfer-Encoding: chunked")


def frame(data: bytes) -> bytes:
    """Return one frame of the chunked transfer coding."""
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_FRAME = b"0\r\n\r\n"


def sse(event: str, value: Any) -> bytes:
    """Return one server-sent event."""
    return f"event: {event}\ndata: {json.dumps(value)}\n\n".encode()


def chunk(text: str) -> bytes:
    """Return the event that carries a piece of text."""
    return sse("chunk", {"content": text})


DONE = sse("done", {"usage": {"total_tokens": 3}, "execution_time": 0.5})


def stream(*texts: str, end: bytes = DONE) -> list[Step]:
    """Return a script that streams these chunks, as a good server does."""
    frames = [frame(chunk(text)) for text in texts]
    return [SSE_HEAD, *frames, frame(end), LAST_FRAME, KEEP]


def good(kind: str) -> list[Step]:
    """Return a good answer to either kind of call."""
    return answer() if kind == "invoke" else stream("o", "k")
