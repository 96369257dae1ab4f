"""Clients that leave early, or do not read: their agents are stopped, or held back."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from support.callers import Caller
from support.clock import FOR_EVER, MOMENT, PATIENCE, TICK

Start = Callable[..., Caller]


def leave_after_first_chunk(caller: Caller, agent_id: str) -> None:
    with caller.http.stream("POST", f"/v1/agents/{agent_id}/stream", json={}) as stream:
        next(line for line in stream.iter_lines() if line == "event: chunk")


def test_a_client_that_leaves_closes_the_generator(start: Start) -> None:
    ended: dict[str, threading.Event] = {name: threading.Event() for name in ("s", "a", "w", "r")}

    def sync() -> Iterator[str]:
        try:
            while True:
                yield "x"
                time.sleep(TICK)
        finally:
            ended["s"].set()

    async def asynchronous() -> AsyncIterator[str]:
        try:
            while True:
                yield "x"
                await asyncio.sleep(TICK)
        finally:
            await asyncio.sleep(0)  # a cancelled agent may still wait for its own cleaning up
            ended["a"].set()

    async def waiting() -> AsyncIterator[str]:
        yield "x"
        try:
            await asyncio.sleep(FOR_EVER)
        finally:
            ended["w"].set()

    async def async_returned() -> Iterator[str]:
        return sync_returned()

    def sync_returned() -> Iterator[str]:
        iterator = returning()
        kept.append(iterator)
        return iterator

    def returning() -> Iterator[str]:
        try:
            while True:
                yield "x"
                time.sleep(TICK)
        finally:
            ended["r"].set()

    def asynchronous_returned() -> AsyncIterator[str]:
        iterator = asynchronous()
        kept.append(iterator)
        return iterator

    kept: list[object] = []  # nothing is closed just because it is forgotten
    caller = start({"s": sync, "a": asynchronous_returned, "w": waiting, "r": async_returned})
    for agent_id, event in ended.items():
        leave_after_first_chunk(caller, agent_id)
        assert event.wait(PATIENCE), agent_id


def test_a_client_that_leaves_before_the_first_chunk_cancels_too(start: Start) -> None:
    begun, cancelled = threading.Event(), threading.Event()

    async def agent() -> None:
        begun.set()
        try:
            await asyncio.sleep(FOR_EVER)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    caller = start(agent)
    for path in ("invoke", "stream"):
        begun.clear()
        cancelled.clear()
        with socket.create_connection((caller.server.host, caller.server.port)) as raw:
            raw.sendall(
                f"POST /v1/agents/a/{path} HTTP/1.1\r\nHost: localhost\r\n"
                "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}".encode()
            )
            assert begun.wait(PATIENCE)
        assert cancelled.wait(PATIENCE)


def test_a_client_that_leaves_in_the_middle_of_its_body_is_forgotten(start: Start) -> None:
    caller = start(lambda query: f"<{query}>")
    with socket.create_connection((caller.server.host, caller.server.port)) as raw:
        raw.sendall(
            b"POST /v1/agents/a/invoke HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
    assert caller.result(query="x") == "<x>"


def test_a_client_that_does_not_read_holds_the_agent_back(start: Start) -> None:
    taken = 0
    closed = threading.Event()

    def agent() -> Iterator[str]:
        nonlocal taken
        try:
            while True:
                taken += 1
                yield "x" * 1_000_000
        finally:
            closed.set()

    caller = start(agent)
    with caller.http.stream("POST", "/v1/agents/a/stream", json={}):
        before = -1
        while before != taken:
            before = taken
            time.sleep(MOMENT)
        assert taken < 50
    assert closed.wait(PATIENCE)


def test_what_fails_in_cleaning_up_is_logged(
    start: Start, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    cleaned = threading.Event()

    async def agent() -> AsyncIterator[str]:
        try:
            yield "x"
            await asyncio.sleep(FOR_EVER)
        finally:
            cleaned.set()
            raise ValueError("the broom broke")

    caller = start(agent)
    leave_after_first_chunk(caller, "a")
    assert cleaned.wait(PATIENCE)
    caller.server.close()
    gc.collect()
    assert [record.getMessage() for record in caplog.records] == ["Agent 'a' failed"]
    assert "the broom broke" in caplog.text
    assert capfd.readouterr() == ("", "")
