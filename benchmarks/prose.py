"""An agent in a process of its own that writes as much text as it is asked for, at a given pace."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

_SENTENCE = "Streams are read beside the kernel, and **shown** as they come, in `blocks`. "
_CODE = 'def total(rows):\n    """Add up."""\n    return sum(row["amount"] for row in rows)\n\n'
_TABLE = "| Door | You write | Good for |\n|:--|:--|--:|\n" + "| Magic | `%%runagent` | 42 |\n" * 8
_LIST = "".join(f"- item {number}: {_SENTENCE}\n" for number in range(5))

KINDS = {
    "mixed": f"## A heading\n\n{_SENTENCE * 6}\n\n{_LIST}\n"
    f"```python\n{_CODE * 3}```\n\n{_TABLE}\n\n",
    "one paragraph": _SENTENCE,
    "one block of code": _CODE,
    "one table": "| Magic | `%%runagent` | 42 |\n",
    "one list": _LIST,
}
_OPENINGS = {
    "one block of code": "```python\n",
    "one table": "| Door | You write | Good for |\n|:--|:--|--:|\n",
}


@dataclass(frozen=True)
class Prose:
    """The text that the agent `prose` is asked to write.

    Attributes:
        kind: Of Markdown, one of `KINDS`.
        characters: About how many.
        chunks: In how many pieces.
        seconds: Over how long; 0 for as fast as it goes.
        thinking: Seconds before the first piece.
    """

    kind: str = "mixed"
    characters: int = 200_000
    chunks: int = 5_000
    seconds: float = 10.0
    thinking: float = 0.0

    def __str__(self) -> str:
        pace = f"over {self.seconds:g} s" if self.seconds else "without pause"
        return f"{self.kind}, {self.characters / 1000:g} KB in {self.chunks:,} chunks {pace}"

    @property
    def input_data(self) -> str:
        """The agent's input, as JSON."""
        return json.dumps(asdict(self))


async def prose(
    kind: str,
    characters: int,
    chunks: int,
    seconds: float = 0,
    thinking: float = 0,
    **_: object,
) -> AsyncIterator[str]:
    """Write; the text begins and ends with the time in ms at which that was sent."""
    opening = _OPENINGS.get(kind, "")
    repeated = KINDS[kind]
    text = opening + "".join(itertools.repeat(repeated, characters // len(repeated) + 1))
    size = -(-characters // chunks)
    await asyncio.sleep(thinking)
    began = time.monotonic()
    yield f"BEGIN {time.time() * 1000:.0f}.\n\n"
    for index in range(chunks):
        due = began + seconds * index / chunks - time.monotonic()
        if due > 0:
            await asyncio.sleep(due)
        yield text[index * size : (index + 1) * size]
    yield f" END {time.time() * 1000:.0f}."


@contextlib.contextmanager
def served() -> Iterator[str]:
    """Serve the agent `prose`; return the server's base URL."""
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
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def main() -> None:
    from runagent.local import serve

    with serve({"prose": prose}) as server:
        print(server.url, flush=True)
        sys.stdin.read()  # whoever started it holds the other end: it never outlives them


if __name__ == "__main__":
    main()
