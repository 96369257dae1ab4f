"""Makes calls in processes of their own, and says how much memory each of them took at most.

Each process is forked from one that has imported everything, which is much cheaper than a new Python for each. Its peak
starts from the memory of that one.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import TracebackType
from typing import Any

from typing_extensions import Self

from support.calls import KINDS, MODES, call
from support.clock import PATIENCE

TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Measured:
    """A call, as its process saw it.

    Attributes:
        megabytes: The peak of the process's memory.
        code: The code of the error that the call ended with, `"GOOD"` for a good end.
        message: The text of that error.
    """

    megabytes: int
    code: str
    message: str


class MeasuredCalls:
    """The process from which the others are forked."""

    def __init__(self) -> None:
        program = f"import sys; sys.path.insert(0, {str(TESTS)!r}); from support import measured_calls as m; m.serve()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=PATIENCE)

    def __call__(self, *arguments: Any, **options: Any) -> Measured:
        """Make one call; the arguments are those of `support.calls.call`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([arguments, options]), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer.strip(), "the process that made the call died"
        return Measured(*json.loads(answer))


def serve() -> None:
    """Make each call that standard input asks for in a fork, until that ends."""
    _import_everything()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            signal.alarm(PATIENCE)  # ends it, should it hang
            arguments, options = json.loads(line)
            outcome = call(*arguments, **options)
            code = outcome.error.code if outcome.error else "GOOD"
            print(json.dumps([_peak(), code, str(outcome.error or "")]), flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            print(flush=True)


def _import_everything() -> None:
    """Make calls that fail, as a client imports much of its own only when it is used."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        for kind, mode, wire in product(KINDS, MODES, ("rest", "server")):
            call(
                f"http://127.0.0.1:{nobody.getsockname()[1]}",
                kind,
                mode,
                protocol=wire,
                max_retries=0,
            )


def _peak() -> int:
    # `getrusage` also counts the peak of the process that started this one.
    status = Path("/proc/self/status").read_text()
    (peak,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(peak.split()[1]) // 1024
