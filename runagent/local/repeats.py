"""Calls that are made again under the same idempotency key: joined, or answered from memory."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from runagent.errors import RateLimitError
from runagent.local.execution import AgentError

SECONDS = 600.0
"""Seconds for which the outcome of a call is remembered."""

MOST = 10_000
"""Outcomes that are remembered, at most."""

MOST_BYTES = 64 * 1024 * 1024
"""Bytes of answers that are remembered, at most."""

LASTING = "row-"
"""The beginning of the keys of calls that go on when their client leaves.

The rows of a batch have such keys: a batch that was killed asks for them again when it goes on, and
is to find the answer that was paid for.
"""


@dataclass(eq=False)
class _Call:
    task: asyncio.Task[bytes]
    began: float
    waiting: int = 0
    size: int = 0


class Repeats:
    """The calls of the last minutes, by their agents, keys and inputs.

    It is used on one event loop.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without any."""
        self._clock = clock
        self._calls: OrderedDict[tuple[object, str, bytes], _Call] = OrderedDict()
        self._bytes = 0

    def join(
        self,
        agent: object,
        key: str,
        data: bytes,
        start: Callable[[], Coroutine[Any, Any, bytes]],
    ) -> tuple[asyncio.Task[bytes], Callable[[], bool]]:
        """Return the task of a call, started now or earlier, and the function to leave it with.

        That function returns whether the call is to be cancelled, as nobody waits for it.
        """
        self._forget_old()
        ident = agent, key, hashlib.blake2b(data, digest_size=16).digest()
        call = self._calls.get(ident)
        if call is None:
            call = _Call(asyncio.create_task(start()), self._clock())
            self._calls[ident] = call
            call.task.add_done_callback(lambda _: self._ended(ident, call))
        call.waiting += 1
        lasts = key.startswith(LASTING)

        def leave() -> bool:
            call.waiting -= 1
            return not (lasts or call.waiting)

        return call.task, leave

    def _ended(self, ident: tuple[object, str, bytes], call: _Call) -> None:
        problem = None if call.task.cancelled() else call.task.exception()
        if call.task.cancelled() or _asks_for_another_attempt(problem):
            if self._calls.get(ident) is call:
                del self._calls[ident]
            return
        call.size = 1000 if problem is not None else len(call.task.result())
        self._bytes += call.size
        self._forget_old()

    def _forget_old(self) -> None:
        oldest = self._clock() - SECONDS
        for ident, call in list(self._calls.items()):
            full = len(self._calls) > MOST or self._bytes > MOST_BYTES
            if call.began > oldest and not full:
                break
            if call.task.done():
                del self._calls[ident]
                self._bytes -= call.size


def _asks_for_another_attempt(problem: BaseException | None) -> bool:
    """Whether an agent refused a call for now: the next attempt has the same key."""
    return isinstance(problem, AgentError) and isinstance(problem.cause, RateLimitError)
