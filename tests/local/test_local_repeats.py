"""The same call again, under the same idempotency key: joined, or answered from memory."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from support.callers import Caller
from support.clock import PATIENCE, SOON, TICK, until

from runagent import RateLimitError
from runagent.local import repeats
from runagent.local.repeats import Repeats

Start = Callable[..., Caller]


def ask(caller: Caller, key: str | None, data: Any, **options: Any) -> httpx2.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return caller.http.post("/v1/agents/a/invoke", json=data, headers=headers, **options)


def test_a_finished_call_is_answered_from_memory(start: Start) -> None:
    calls: list[int] = []

    def agent(x: int) -> int:
        calls.append(x)
        return len(calls)

    caller = start(agent)
    assert [ask(caller, "k", {"x": 1}).json()["result"] for _ in range(3)] == [1, 1, 1]
    assert ask(caller, "other", {"x": 1}).json()["result"] == 2
    assert ask(caller, "k", {"x": 2}).json()["result"] == 3, "another input is another call"
    assert [ask(caller, None, {"x": 1}).json()["result"] for _ in range(2)] == [4, 5]


def test_a_failed_call_fails_again_without_another_run(start: Start) -> None:
    calls: list[int] = []

    def agent(x: int) -> int:
        calls.append(x)
        raise ValueError("no")

    caller = start(agent)
    answers = [ask(caller, "k", {"x": 1}) for _ in range(2)]
    assert [answer.json()["error"]["message"] for answer in answers] == ["ValueError: no"] * 2
    assert len(calls) == 1


def test_a_refusal_for_now_is_not_remembered(start: Start) -> None:
    calls: list[int] = []

    def agent(x: int) -> str:
        calls.append(x)
        if len(calls) < 3:
            raise RateLimitError("slow down", retry_after=TICK)
        return "done"

    caller = start(agent)
    answers = [ask(caller, "k", {"x": 1}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 429, 200, 200]
    assert len(calls) == 3


def test_a_call_in_progress_is_joined(start: Start) -> None:
    go, began = threading.Event(), threading.Event()
    calls: list[int] = []

    def agent(x: int) -> int:
        calls.append(x)
        began.set()
        go.wait(PATIENCE)
        return x

    caller = start(agent)
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(ask(caller, "k", {"x": 5}).json()["result"]))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    assert began.wait(SOON)
    go.set()
    for thread in threads:
        thread.join()
    assert answers == [5] * 3
    assert len(calls) == 1


@pytest.mark.parametrize(("key", "runs"), [("row-1", 1), ("k", 2)], ids=["a row", "another call"])
def test_a_row_goes_on_when_its_client_leaves(start: Start, key: str, runs: int) -> None:
    calls: list[int] = []
    ended: list[bool] = []
    go = threading.Event()

    async def agent(x: int) -> int:
        calls.append(x)
        try:
            while not go.is_set():
                await asyncio.sleep(TICK)
        finally:
            ended.append(go.is_set())
        return x

    caller = start(agent)

    def ask_and_leave() -> None:
        with contextlib.suppress(httpx2.TimeoutException):
            ask(caller, key, {"x": 1}, timeout=httpx2.Timeout(PATIENCE, read=0.2))

    thread = threading.Thread(target=ask_and_leave)
    thread.start()
    thread.join()
    until(lambda: calls and (ended or key.startswith(repeats.LASTING)))
    go.set()
    assert ask(caller, key, {"x": 1}).json()["result"] == 1
    assert len(calls) == runs


def test_memory_is_bounded_and_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "MOST", 5)
    now = [0.0]
    runs: list[int] = []

    async def work(i: int) -> bytes:
        runs.append(i)
        return b"x"

    async def main() -> None:
        memory = Repeats(lambda: now[0])

        async def call(i: int) -> None:
            task, leave = memory.join("a", f"k{i}", b"{}", lambda: work(i))
            await task
            leave()

        for i in [*range(10), 9, 0]:
            await call(i)
        assert runs == [*range(10), 0]
        now[0] = repeats.SECONDS + 1
        await call(9)
        assert runs[-1] == 9

    asyncio.run(main())
