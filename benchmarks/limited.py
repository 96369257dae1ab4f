"""A loopback server with a rate limit, latency and faults, which counts what it is asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

from benchmarks.child import ROOT
from benchmarks.simulated import Bucket, FixedWindow, Limit
from runagent.many.quota import Quota

_ANSWER = json.dumps(
    {
        "result": {"answer": "ok"},
        "id": "c-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "ok"},
            }
        ],
    }
).encode()
"""An answer in the shapes that all clients expect."""


@dataclass(frozen=True)
class Counts:
    """The requests that a server has seen.

    Attributes:
        asked: All of them.
        limited: Those that were refused because of the limit.
        broken: Those that ended in a fault.
        connections: Connections that were made, without that of the question.
    """

    asked: int
    limited: int
    broken: int
    connections: int


def limit_of(kind: str, rate: float, style: str) -> Limit | None:
    """Return the limit of this kind and rate, `None` for none."""
    if kind == "window":
        return FixedWindow(round(rate), 1.0, 0.37, style)
    if kind == "minute":
        return FixedWindow(round(60 * rate), 60.0, 0.37, style)
    return Bucket(rate, rate, style) if kind == "bucket" else None


class _Server(asyncio.Protocol):
    """One connection; the counts belong to all."""

    asked = limited = broken = connections = 0
    limit: Limit | None = None
    latency = 0.0
    faults = False
    chance = random.Random(1)

    def connection_made(self, transport: Any) -> None:
        type(self).connections += 1
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, rest = self._received.partition(b"\r\n\r\n")
            lower = head.lower()
            length = 0
            if b"content-length:" in lower:
                length = int(lower.split(b"content-length:")[1].split(b"\r\n")[0])
            if len(rest) < length:
                return
            self._received = rest[length:]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        cls = type(self)
        if head.startswith(b"GET /counts"):
            cls.connections -= 1
            counts = json.dumps([cls.asked, cls.limited, cls.broken, cls.connections]).encode()
            self._transport.write(_response(200, "OK", counts))
            return
        cls.asked += 1
        status, extra = 200, ""
        if cls.limit is not None:
            verdict = cls.limit.ask(time.monotonic())
            extra = _headers(verdict.quotas, verdict.retry_after)
            if not verdict.accepted:
                cls.limited += 1
                status = 429
        if status == 200 and cls.faults and (luck := cls.chance.random()) < 0.025:
            cls.broken += 1
            if luck < 0.005:
                asyncio.get_running_loop().call_later(cls.latency, self._transport.abort)
                return
            status = 500
        body = _ANSWER if status == 200 else b'{"error": {"message": "no"}}'
        answer = _response(status, "Status", body, extra)
        asyncio.get_running_loop().call_later(cls.latency, self._transport.write, answer)


def _headers(quotas: tuple[Quota, ...], retry_after: float | None) -> str:
    lines = []
    if retry_after is not None:
        lines.append(f"Retry-After: {math.ceil(retry_after)}")
    quota = quotas[0] if quotas else Quota()
    if quota.window is not None:
        lines.append(f'RateLimit-Policy: "default";q={quota.limit:g};w={quota.window:g}')
        lines.append(f'RateLimit: "default";r={quota.remaining:g};t={quota.reset_after:.3f}')
    elif quota.limit is not None:
        lines.append(f"X-RateLimit-Limit: {quota.limit:g}")
        lines.append(f"X-RateLimit-Remaining: {quota.remaining:g}")
        lines.append(f"X-RateLimit-Reset-After: {quota.reset_after:.3f}")
    return "".join(f"{line}\r\n" for line in lines)


def _response(status: int, reason: str, body: bytes, extra: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\n{extra}"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _serve(kind: str, rate: float, style: str, latency: float, faults: bool) -> None:
    _Server.limit = limit_of(kind, rate, style)
    _Server.latency, _Server.faults = latency, faults
    server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def running(
    kind: str, rate: float = 50.0, style: str = "", latency: float = 0.05, *, faults: bool = False
) -> Iterator[str]:
    """Run such a server in a process of its own; yield its URL."""
    arguments = [kind, str(rate), style, str(latency), str(int(faults))]
    command = [sys.executable, "-m", "benchmarks.limited", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def counts(url: str) -> Counts:
    """Return the counts of the server at a URL."""
    with urlopen(f"{url}/counts") as response:
        return Counts(*json.load(response))


if __name__ == "__main__":
    kind_, rate_, style_, latency_, faults_ = sys.argv[1:]
    asyncio.run(_serve(kind_, float(rate_), style_, float(latency_), faults_ == "1"))
