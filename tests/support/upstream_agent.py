"""The agent that upstream's server serves in the tests. It runs in upstream's own environment."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

_PAUSE = 0.02

VALUES: dict[str, Any] = {
    "string": "hello",
    "empty string": "",
    "text that looks like an object": '{"a": 1}',
    "text that looks like a number": "42",
    "text that looks like an answer": '{"type": "string", "payload": "\\"x\\""}',
    "unicode": "Grüße, 世界 \U0001f44b\u2028\x85",
    "integer": 42,
    "large integer": 2**80,
    "number": 1.5,
    "true": True,
    "null": None,
    "array": [1, "two", None, 3.5, True, []],
    "object": {"a": {"b": [1, {"c": None}]}},
    "object that looks like an answer": {"type": "string", "payload": "x"},
    "object that looks like a failure": {"success": False, "error": "none"},
    "object that looks like a result": {"result": {"answer": 1}},
}
"""The values that `value` returns and `value_stream` yields, by name. JSON changes none of them."""


def generic(query: str = "", **extra: Any) -> dict[str, Any]:
    return {"answer": f"You said {query}", "extra": extra}


async def generic_stream(query: str = "", n: int = 3) -> AsyncIterator[str]:
    for i in range(n):
        yield f"{query}-{i} "


def value(name: str) -> Any:
    return VALUES[name]


def value_stream(name: str) -> Iterator[Any]:
    yield VALUES[name]


def special(name: str) -> float:
    return float(name)


def special_stream(name: str) -> Iterator[float]:
    yield float(name)


def arguments(*args: Any, **kwargs: Any) -> list[Any]:
    return [list(args), kwargs]


async def arguments_stream(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
    yield [list(args), kwargs]


def count(file: str) -> int:
    """Add a line to a file, and return how many there are."""
    with Path(file).open("a") as lines:
        lines.write("called\n")
    return len(Path(file).read_text().splitlines())


def fail(message: str = "agent exploded") -> None:
    raise ValueError(message)


def fail_stream(after: int = 2) -> Iterator[str]:
    for i in range(after):
        yield f"part {i} "
    raise ValueError("agent exploded mid-stream")


def leave(file: str) -> None:
    count(file)
    sys.exit(1)


async def sleep(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "slept"


async def sleep_stream(seconds: float) -> AsyncIterator[str]:
    yield "before "
    await asyncio.sleep(seconds)
    yield "after"


def busy_stream(seconds: float) -> Iterator[str]:
    """Keep the server's event loop from anything else, as a synchronous generator does."""
    yield "before "
    time.sleep(seconds)
    yield "after"


async def endless_stream(file: str) -> AsyncIterator[str]:
    """Yield for ever; leave a file behind when stopped."""
    try:
        while True:
            yield "more "
            await asyncio.sleep(_PAUSE)
    finally:
        Path(file).write_text("stopped")


async def many_stream(n: int = 20_000) -> AsyncIterator[str]:
    for i in range(n):
        yield f"token {i} "


def large(size: int) -> str:
    return "ä" * (size // 2)


async def large_stream(size: int) -> AsyncIterator[str]:
    yield "ä" * (size // 2)
