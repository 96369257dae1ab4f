"""A loopback server that answers as fast as Python can, in the shapes all clients expect.

The agent's id, or else a path's first part, is what is asked for: `/chunks-20000/...` streams that
many chunks, over a WebSocket where one is asked for,
`/late/...` one chunk that holds the time it was sent at, `/large-100/...` answers with 100 MB.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path

_JSON = b"application/json"
_EVENTS = b"text/event-stream"
_BLOCK = 16 * 1024
_PAUSE = 0.002
TEXT = "token "


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _event(value: object, name: str | None = None) -> bytes:
    return (b"" if name is None else b"event: %b\n" % name.encode()) + b"data: %b\n\n" % _json(
        value
    )


def _openai_chunk(text: str | None) -> dict[str, object]:
    return {
        "id": "c-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "delta": {} if text is None else {"content": text},
                "finish_reason": "stop" if text is None else None,
            }
        ],
    }


def _anthropic_message(content: list[object]) -> dict[str, object]:
    return {
        "id": "m-1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


def _chunk(dialect: str, text: str, index: int) -> bytes:
    if dialect == "openai":
        return _event(_openai_chunk(text))
    if dialect == "anthropic":
        delta = {"type": "text_delta", "text": text}
        return _event(
            {"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta"
        )
    if dialect == "langgraph":
        return _event({"content": text, "index": index}, "custom")
    return _event({"content": text, "index": index}, "chunk")


def _head(dialect: str) -> bytes:
    if dialect == "anthropic":
        block = {"type": "text", "text": ""}
        return _event(
            {"type": "message_start", "message": _anthropic_message([])}, "message_start"
        ) + _event(
            {"type": "content_block_start", "index": 0, "content_block": block},
            "content_block_start",
        )
    if dialect == "runagent":
        return _event({"message": "Stream started"}, "start")
    return b""


def _tail(dialect: str) -> bytes:
    if dialect == "openai":
        return _event(_openai_chunk(None)) + b"data: [DONE]\n\n"
    if dialect == "anthropic":
        return _event({"type": "content_block_stop", "index": 0}, "content_block_stop") + _event(
            {"type": "message_stop"}, "message_stop"
        )
    if dialect == "runagent":
        return _event({"message": "Stream complete", "usage": {"total_tokens": 1}}, "done")
    return b""


@cache  # rebuilding one would be charged to whoever asks for it
def _stream(dialect: str, count: int) -> bytes:
    chunks = b"".join(_chunk(dialect, TEXT, index) for index in range(count))
    return _head(dialect) + chunks + _tail(dialect)


def _answer(dialect: str) -> bytes:
    if dialect == "openai":
        message = {"role": "assistant", "content": "an answer"}
        return _json(
            {
                "id": "c-1",
                "object": "chat.completion",
                "created": 1,
                "model": "m",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            }
        )
    if dialect == "anthropic":
        return _json(_anthropic_message([{"type": "text", "text": "an answer"}]))
    return _json({"result": {"answer": "an answer"}, "metadata": {"request_id": "r-1"}})


_ANSWERS = {name: _answer(name) for name in ("openai", "anthropic", "langgraph", "runagent")}


@lru_cache(maxsize=1)
def _large(megabytes: int) -> bytes:
    row = _json({"id": 123456, "name": "a name of some length", "values": [1.5, 2.5, 3.5, None]})
    rows = (megabytes << 20) // (len(row) + 1)
    return b'{"result":{"rows":[' + b",".join([row] * rows) + b"]}}"


def _dialect(path: str) -> str:
    for end, dialect in (
        ("/chat/completions", "openai"),
        ("/v1/messages", "anthropic"),
        ("/runs/stream", "langgraph"),
        ("/runs/wait", "langgraph"),
    ):
        if path.endswith(end):
            return dialect
    return "runagent"


def _response(kind: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (kind, len(body)) + body


def _chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


_CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % _EVENTS


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            lowered = head.lower()
            if b"upgrade: websocket" in lowered:
                await _speak(path, head, reader, writer)
                break
            start = lowered.find(b"content-length:")
            body = b""
            if start >= 0:
                end = lowered.index(b"\r\n", start)
                body = await reader.readexactly(int(lowered[start + 15 : end]))
            await _respond(path, body, writer)
    writer.close()


async def _respond(path: str, body: bytes, writer: asyncio.StreamWriter) -> None:
    dialect = _dialect(path)
    what, _, number = path.removeprefix("/v1/agents").split("/")[1].partition("-")
    streams = path.endswith("/stream") or b'"stream":true' in body.replace(b" ", b"")
    if what == "large":
        writer.write(_response(_JSON, _large(int(number))))
    elif not streams:
        writer.write(_response(_JSON, _ANSWERS[dialect]))
    elif what == "late":
        writer.write(_CHUNKED + _chunked(_head(dialect) or b": hello\n\n"))
        await writer.drain()
        await asyncio.sleep(_PAUSE)
        writer.write(_chunked(_chunk(dialect, str(time.monotonic_ns()), 0)))
        await writer.drain()
        await asyncio.sleep(_PAUSE)
        writer.write(_chunked(_tail(dialect) or b": bye\n\n") + b"0\r\n\r\n")
    else:
        data = _stream(dialect, int(number or 3))
        writer.write(_CHUNKED)
        for at in range(0, len(data), _BLOCK):
            writer.write(_chunked(data[at : at + _BLOCK]))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
    await writer.drain()


_SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n\r\n"
)
_CLOSE = 8


async def _speak(
    path: str, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Stream over a WebSocket, as `runagent serve` does, until the client says goodbye."""
    key = next(
        line.partition(b":")[2].strip()
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    )
    proof = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    writer.write(_SWITCHING % base64.b64encode(proof))
    await _read_frame(reader)  # the request
    number = path.removeprefix("/api/v1/agents/").split("/")[0].partition("-")[2]
    data = _messages(int(number))
    for at in range(0, len(data), _BLOCK):
        writer.write(data[at : at + _BLOCK])
        await writer.drain()
    while await _read_frame(reader) != _CLOSE:
        pass
    writer.write(_frame(b"\x03\xe8", _CLOSE))
    await writer.drain()


async def _read_frame(reader: asyncio.StreamReader) -> int:
    """Read a frame; return its opcode."""
    first, size = await reader.readexactly(2)
    size &= 0x7F
    if size >= 126:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
    await reader.readexactly(4 + size)  # with the mask
    return first & 0x0F


def _frame(content: bytes, opcode: int = 1) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + content


@cache
def _messages(count: int) -> bytes:
    structure = json.dumps({"type": "string", "payload": json.dumps(TEXT)})
    chunk = _frame(_json({"type": "data", "content": structure}))
    start, end = (
        _frame(_json({"type": "status", "status": status}))
        for status in ("stream_started", "stream_completed")
    )
    return start + chunk * count + end


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, backlog=8192, limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    # Whoever started it holds the other end: it never outlives them.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Start the server in a process of its own; return its base URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


if __name__ == "__main__":
    asyncio.run(_main())
