"""Clients learn that the server ends, whatever kind of agent answers them."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.calls import KINDS, MODES, call
from support.clock import FOR_EVER, MOMENT, PATIENCE, TICK

from runagent.local import http_server, serve

CLEANING_UP = 2 * http_server.GRACE
"""Seconds that an agent takes to clean up: more than the server gives it."""

begun = threading.Event()


def waits() -> str:
    begun.set()
    time.sleep(FOR_EVER)
    return "never"


def yields() -> Iterator[str]:
    while True:
        yield "a"
        begun.set()
        time.sleep(TICK)


def yields_and_waits() -> Iterator[str]:
    yield "a"
    begun.set()
    time.sleep(FOR_EVER)


def floods() -> Iterator[str]:
    while True:
        yield "x" * 1000
        begun.set()


def cleans_up_slowly() -> Iterator[str]:
    try:
        while True:
            yield "a"
            begun.set()
            time.sleep(TICK)
    finally:
        time.sleep(CLEANING_UP)


async def waits_async() -> str:
    begun.set()
    await asyncio.sleep(FOR_EVER)
    return "never"


async def yields_async() -> AsyncIterator[str]:
    while True:
        yield "a"
        begun.set()
        await asyncio.sleep(TICK)


async def cleans_up_slowly_async() -> AsyncIterator[str]:
    try:
        yield "a"
        begun.set()
        await asyncio.sleep(FOR_EVER)
    finally:
        await asyncio.sleep(CLEANING_UP)


async def goes_on() -> AsyncIterator[str]:
    for _ in range(2):
        try:
            yield "a"
            begun.set()
            await asyncio.sleep(FOR_EVER)
        except asyncio.CancelledError:
            continue


AGENTS: list[Callable[..., Any]] = [
    waits,
    yields,
    yields_and_waits,
    floods,
    cleans_up_slowly,
    waits_async,
    yields_async,
    cleans_up_slowly_async,
    goes_on,
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.__name__)
def test_a_client_is_told_that_the_server_ends(agent: Callable[..., Any], kind: str) -> None:
    begun.clear()
    outcomes: list[Any] = []
    with serve({"a": agent}) as server:
        caller = threading.Thread(
            target=lambda: outcomes.append(
                call(server.url, kind, MODES[0], {}, timeout=FOR_EVER, max_retries=0)
            )
        )
        caller.start()
        assert begun.wait(PATIENCE)
    caller.join(PATIENCE)
    assert outcomes[0].error.code == "SERVER_SHUTDOWN", outcomes


def test_an_agent_has_time_to_clean_up_after_its_client_was_told() -> None:
    steps: list[str] = []

    async def careful() -> AsyncIterator[str]:
        try:
            yield "a"
            begun.set()
            await asyncio.sleep(FOR_EVER)
        finally:
            await asyncio.sleep(MOMENT)
            steps.append("cleaned up")

    begun.clear()
    with serve({"a": careful}) as server:
        calling = threading.Thread(
            target=call, args=(server.url, "stream", MODES[0], {}), kwargs={"max_retries": 0}
        )
        calling.start()
        assert begun.wait(PATIENCE)
    assert steps == ["cleaned up"]
    calling.join(PATIENCE)


AGENT_FILE = """
import pathlib, time
from runagent.local import agent

@agent("a")
def ticks():
    pathlib.Path("begun").touch()
    while True:
        yield "a"
        time.sleep(0.01)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX's signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_tells_its_clients_that_it_ends(number: signal.Signals, tmp_path: Path) -> None:
    path = tmp_path / "ticking.py"
    path.write_text(AGENT_FILE)
    command = [sys.executable, "-m", "runagent.local", str(path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            outcomes: list[Any] = []
            calling = threading.Thread(
                target=lambda: outcomes.append(
                    call(url, "stream", MODES[0], {}, timeout=FOR_EVER, max_retries=0)
                )
            )
            calling.start()
            while not (tmp_path / "begun").exists():
                assert calling.is_alive()
                time.sleep(TICK)
            process.send_signal(number)
            calling.join(PATIENCE)
            process.wait(PATIENCE)
        finally:
            process.kill()
    assert outcomes[0].error.code == "SERVER_SHUTDOWN", outcomes
