"""The measurements that need their own process: `python -m benchmarks.child KIND ARGUMENT...`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import peak_memory

ROOT = Path(__file__).parents[1]


def environment() -> dict[str, str]:
    """Return the environment without settings of the user, and with compiled modules kept."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RUNAGENT_") and name != "PYTHONDONTWRITEBYTECODE"
    }


def run(*arguments: str) -> dict[str, float]:
    """Return what a child measured: `seconds`, `peak` memory in MB, and perhaps more."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.child", *arguments],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"benchmarks.child {arguments} failed:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def stream(name: str, url: str, what: str) -> None:
    from benchmarks import peers

    with peers.STREAMS[name](url, what) as items:
        for _ in items():
            pass


def batch(name: str, url: str, rows: str, rate: str) -> dict[str, float]:
    from benchmarks import batch

    return batch.run(name, url, rows, rate)


def answer(name: str, url: str, what: str) -> None:
    from benchmarks import peers

    posts: dict[str, Callable[[], Any]] = {
        "httpx2": lambda: _post("httpx2", f"{url}/{what}/invoke", peers.INPUT),
        "httpx": lambda: _post("httpx", f"{url}/{what}/invoke", peers.INPUT),
        "runagent": lambda: _runagent(url, what, peers.INPUT),
    }
    posts[name]()


def nested(levels: int = 4, width: int = 11) -> dict[str, Any]:
    """Return dictionaries in dictionaries, 1 MB of JSON."""
    if levels == 0:
        return {"id": 12345, "name": "a name", "score": 0.5, "tags": ["a", "b"]}
    return {f"key-{index}": nested(levels - 1, width) for index in range(width)}


def _post(package: str, url: str, data: object) -> object:
    http: Any = __import__(package)
    with http.Client(timeout=600) as client:
        return client.post(url, json=data).json()


def _runagent(url: str, what: str, data: dict[str, Any]) -> object:
    import runagent

    with runagent.RunAgentClient(what, "key", url, 600, max_message_size=1 << 30) as client:
        return client.run_generic(data)


def main() -> None:
    kind, *arguments = sys.argv[1:]
    # The packages are loaded by a small call first: only the work counts.
    if kind == "answer":
        answer(arguments[0], arguments[1], "small")
    began = time.perf_counter()
    kinds: dict[str, Callable[..., dict[str, float] | None]] = {
        "stream": stream,
        "answer": answer,
        "batch": batch,
    }
    more = kinds[kind](*arguments) or {}
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "peak": peak_memory(), **more}))


if __name__ == "__main__":
    main()
