"""Whatever an agent raises reaches its caller as an error, and the log with the agent's own frames."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from support.callers import Caller

from runagent import errors

Start = Callable[..., Caller]


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (ValueError("boom"), "ValueError: boom"),
        (KeyError("x"), "KeyError: 'x'"),
        (RuntimeError(), "RuntimeError"),
        (UnprintableError(), "UnprintableError"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (asyncio.CancelledError("x"), "CancelledError"),
        (errors.NetworkError("lost"), "NetworkError: lost"),
        (errors.AuthenticationError("no key", status_code=401), "AuthenticationError: no key"),
    ],
)
def test_whatever_an_agent_raises_is_answered(
    start: Start, raised: BaseException, message: str
) -> None:
    def sync() -> None:
        raise raised

    async def asynchronous() -> None:
        raise raised

    def generator() -> Iterator[str]:
        yield "before"
        raise raised

    async def async_generator() -> AsyncIterator[str]:
        yield "before"
        raise raised

    caller = start({"s": sync, "a": asynchronous, "g": generator, "ag": async_generator})
    for agent_id in ("s", "a", "g", "ag"):
        error = caller.error(agent_id)
        assert error["status"] == 500
        assert error["code"] == "AGENT_ERROR"
        assert error["message"].startswith(message), agent_id
        *events, (kind, data) = caller.events(agent_id)
        assert kind == "error"
        assert data["error"].startswith(message)
        assert data["code"] == "AGENT_ERROR"
        before = [value["content"] for kind, value in events if kind == "chunk"]
        assert before == (["before"] if "g" in agent_id else [])


def test_stop_iteration_is_an_error_and_no_end(start: Start) -> None:
    def stops() -> None:
        raise StopIteration("early")

    async def async_stops() -> None:
        raise StopIteration("early")

    caller = start({"s": stops, "a": async_stops})
    assert caller.error("s")["message"] == "StopIteration: early"
    assert "StopIteration" in caller.error("a")["message"]


def test_a_task_of_an_agent_that_exits_does_not_end_the_server(start: Start) -> None:
    async def exits() -> None:
        sys.exit("enough")

    async def agent() -> None:
        await asyncio.gather(exits(), asyncio.sleep(0))

    caller = start({"a": agent, "b": lambda query: f"<{query}>"})
    assert caller.error()["message"] == "SystemExit: enough"
    assert caller.result("b", query="still here") == "<still here>"


def test_an_agent_chooses_how_to_refuse(start: Start) -> None:
    def agent(how: str) -> None:
        if how == "plain":
            raise errors.ValidationError("query is empty")
        if how == "own":
            raise errors.ValidationError("no such city", "NO_CITY", {"city": "x"}, status_code=422)
        raise errors.RateLimitError("slower", retry_after=1.5)

    caller = start(agent)
    plain = caller.error(how="plain")
    assert (plain["status"], plain["code"], plain["message"]) == (
        400,
        "INVALID_INPUT",
        "query is empty",
    )
    own = caller.error(how="own")
    assert (own["status"], own["code"], own["details"]) == (422, "NO_CITY", {"city": "x"})
    answer = caller.invoke(how="rate")
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1.5"
    assert answer.json()["error"]["code"] == "RATE_LIMITED"
    kind, data = caller.events(how="rate")[-1]
    assert kind == "error"
    assert (data["error"], data["code"], data["retry_after"]) == ("slower", "RATE_LIMITED", 1.5)


def test_what_an_agent_raised_is_logged_with_its_own_frames_only(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    def helper() -> None:
        raise ValueError("boom")

    def agent() -> None:
        helper()

    async def async_agent() -> None:
        helper()

    caller = start({"a": agent, "b": async_agent})
    for agent_id in ("a", "b"):
        caplog.clear()
        caller.error(agent_id)
        [record] = caplog.records
        assert record.name == "runagent.local"
        assert record.getMessage() == f"Agent {agent_id!r} failed"
        text = logging.Formatter().format(record)
        assert text.endswith("ValueError: boom")
        assert "in helper" in text
        assert "execution.py" not in text


def test_a_refusal_by_an_agent_is_not_logged(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    def agent() -> None:
        raise errors.ValidationError("no")

    start(agent).error()
    assert not caplog.records
