"""Every kind of function, over real HTTP: both calls, results, errors."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import json
import math
import re
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.callers import Caller, read_events

from runagent.local import serve

Start = Callable[..., Caller]


def returns(query: str) -> str:
    return f"<{query}>"


async def async_returns(query: str) -> str:
    await asyncio.sleep(0)
    return f"<{query}>"


def yields(query: str) -> Iterator[str]:
    yield "<"
    yield query
    yield ">"


async def async_yields(query: str) -> AsyncIterator[str]:
    for chunk in ("<", query, ">"):
        await asyncio.sleep(0)
        yield chunk


def returns_generator(query: str) -> Iterator[str]:
    return yields(query)


def returns_map(query: str) -> Iterator[str]:
    return map(str, ["<", query, ">"])


def returns_async_generator(query: str) -> AsyncIterator[str]:
    return async_yields(query)


async def async_returns_generator(query: str) -> Iterator[str]:
    return yields(query)


async def async_returns_async_generator(query: str) -> AsyncIterator[str]:
    return async_yields(query)


def returns_coroutine(query: str) -> Any:
    return async_returns(query)


class Stream:
    """An asynchronous iterable as client libraries return: with `__aiter__` only."""

    def __init__(self, query: str) -> None:
        self.query = query

    def __aiter__(self) -> AsyncIterator[str]:
        return async_yields(self.query)


def stream_of(query: str) -> Stream:
    return Stream(query)


def chunks_of(values: list[Any]) -> Iterator[Any]:
    return iter(values)


class CallableObject:
    def __call__(self, query: str) -> str:
        return returns(query)


class AsyncCallableObject:
    async def __call__(self, query: str) -> str:
        asyncio.get_running_loop()
        return returns(query)

    async def method(self, query: str) -> AsyncIterator[str]:
        asyncio.get_running_loop()
        yield "<"
        yield query + ">"


RETURNING = {
    "returns": returns,
    "async_returns": async_returns,
    "returns_coroutine": returns_coroutine,
    "lambda": lambda query: f"<{query}>",
    "partial": functools.partial(lambda left, query: f"{left}{query}>", "<"),
    "async_partial": functools.partial(async_returns),
    "object": CallableObject(),
    "async_object": AsyncCallableObject(),
}
YIELDING = {
    "yields": yields,
    "async_yields": async_yields,
    "returns_generator": returns_generator,
    "returns_map": returns_map,
    "returns_async_generator": returns_async_generator,
    "async_returns_generator": async_returns_generator,
    "async_returns_async_generator": async_returns_async_generator,
    "async_iterable": stream_of,
    "async_method": AsyncCallableObject().method,
}


def test_every_kind_of_function_answers_both_calls(start: Start) -> None:
    caller = start({**RETURNING, **YIELDING})
    for name in RETURNING:
        assert caller.result(name, query="hi") == "<hi>", name
        assert caller.chunks(name, query="hi") == ["<hi>"], name
    for name in YIELDING:
        assert caller.result(name, query="hi") == "<hi>", name
        chunks = caller.chunks(name, query="hi")
        assert "".join(chunks) == "<hi>", name
        assert len(chunks) > 1, name


def test_the_answer_to_invoke(start: Start) -> None:
    answer = start(returns).invoke(query="hi")
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["result"] == "<hi>"
    assert set(body) == {"result", "metadata"}
    assert set(body["metadata"]) == {"execution_time", "request_id"}
    assert 0 <= body["metadata"]["execution_time"] < 30
    assert body["metadata"]["request_id"] == answer.headers["x-request-id"]
    assert re.fullmatch(r"req_[0-9a-f]{16}", answer.headers["x-request-id"])


def test_the_answer_to_stream(start: Start) -> None:
    caller = start(yields)
    answer = caller.http.post("/v1/agents/a/stream", json={"query": "é\n\u2028"})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    request_id = answer.headers["x-request-id"]
    events = read_events(answer.text)
    assert events[:-1] == [
        ("start", {"message": "Stream started", "request_id": request_id}),
        ("chunk", {"content": "<", "index": 0}),
        ("chunk", {"content": "é\n\u2028", "index": 1}),
        ("chunk", {"content": ">", "index": 2}),
    ]
    kind, end = events[-1]
    assert kind == "done"
    assert set(end) == {"message", "execution_time"}


def test_health(start: Start) -> None:
    report = start(returns).http.get("/v1/agents/a/health").json()
    assert report["status"] == "healthy"
    assert report["checks"] == {}
    assert 0 <= report["uptime"] < 600


def test_chunks_of_every_type(start: Start) -> None:
    values = ["text", {"content": "x"}, 1, 2.5, True, None, [1, "a"], {}]
    caller = start({"some": lambda: iter(values), "none": lambda: iter([None, "a", "b"])})
    assert caller.chunks("some") == values
    assert caller.result("some") == [value for value in values if value is not None]
    assert caller.result("none") == "ab"


def test_an_agent_that_yields_nothing(start: Start) -> None:
    caller = start(lambda: iter(()))
    assert caller.chunks() == []
    assert caller.result() == ""


def test_a_list_is_a_result_and_not_a_stream(start: Start) -> None:
    caller = start(lambda: ["a", "b"])
    assert caller.result() == ["a", "b"]
    assert caller.chunks() == [["a", "b"]]


def test_a_chunk_is_what_it_was_when_it_was_yielded(start: Start) -> None:
    def growing() -> Iterator[list[int]]:
        state: list[int] = []
        for i in range(3):
            state.append(i)
            yield state

    assert start(growing).chunks() == [[0], [0, 1], [0, 1, 2]]


def test_results_that_json_does_not_have_are_converted(start: Start) -> None:
    moment = datetime(2026, 1, 2, tzinfo=timezone.utc)
    caller = start(lambda: {"at": moment, "x": math.nan, "data": b"\x00"})
    assert caller.result() == {"at": "2026-01-02T00:00:00+00:00", "x": None, "data": "AA=="}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_any_json_comes_back_as_it_went(start: Start) -> None:
    caller = start({"a": lambda **values: values, "chunks": chunks_of})

    @settings(max_examples=60, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(st.text(min_size=1), JSON, max_size=4), st.lists(JSON, max_size=4))
    def check(value: dict[str, Any], chunks: list[Any]) -> None:
        body = json.dumps(value).encode()
        headers = {"content-type": "application/json; charset=utf-8"}
        answer = caller.http.post("/v1/agents/a/invoke", content=body, headers=headers)
        assert json.loads(answer.content)["result"] == value
        body = json.dumps({"values": chunks}).encode()
        answer = caller.http.post("/v1/agents/chunks/stream", content=body, headers=headers)
        events = read_events(answer.content.decode())
        assert [data["content"] for kind, data in events if kind == "chunk"] == chunks

    check()


@pytest.mark.parametrize(
    ("result", "path"),
    [
        ({"figures": [1, object()]}, 'result["figures"][1]: object'),
        ({1: "x"}, "result: the key 1"),
        ([math.inf], "result[0]: inf"),
        (threading.Lock(), "result: lock"),
        ({"n": 10**5000}, 'result["n"]: int'),
    ],
)
def test_a_result_with_no_json_form_is_an_error_that_says_where(
    start: Start, result: Any, path: str
) -> None:
    caller = start(lambda: result)
    error = caller.error()
    assert error["code"] == "AGENT_ERROR"
    assert error["status"] == 500
    assert error["message"].startswith(f"TypeError: {path}")
    kind, data = caller.events()[-1]
    assert kind == "error"
    assert "chunk 0" in data["error"]


def test_a_type_error_inside_an_agent_is_not_the_callers(start: Start) -> None:
    def agent(query: str) -> None:
        returns()  # type: ignore[call-arg]

    error = start(agent).error(query="hi")
    assert (error["status"], error["code"]) == (500, "AGENT_ERROR")
    assert error["message"].startswith("TypeError: returns() missing")


def test_input_that_does_not_fit_is_refused_before_a_stream_begins(start: Start) -> None:
    caller = start(yields)
    error = caller.error(quary="hi")
    assert (error["status"], error["code"]) == (422, "MISSING_REQUIRED_FIELD")
    assert error["details"]["missing"] == ["query"]
    answer = caller.http.post("/v1/agents/a/stream", json={"query": "hi", "x": 1})
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "INVALID_INPUT"
    assert "takes no 'x'" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff{}", "not JSON"),
        (b'{"x": NaN}', "no NaN"),
        (b'{"x": -Infinity}', "no -Infinity"),
        (b"[" * 100_000, "not JSON"),
        (b'{"x": ' + b"1" * 5000 + b"}", "not JSON"),
        (b"[]", "an array"),
        (b'"x"', "a string"),
        (b"1", "a number"),
        (b"1.5", "a number"),
        (b"true", "a boolean"),
        (b"null", "null"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(start: Start, body: bytes, words: str) -> None:
    caller = start(lambda **rest: rest)
    answer = caller.http.post(
        "/v1/agents/a/invoke", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "INVALID_INPUT"
    assert words in answer.json()["error"]["message"]


def test_an_unknown_agent_is_told_which_there_are(start: Start) -> None:
    error = start({"b": returns, "a": returns}).error("c")
    assert (error["status"], error["code"]) == (404, "AGENT_NOT_FOUND")
    assert error["message"] == "There is no agent 'c' here. This server has: 'a', 'b'."
    assert "This server has: none." in start({}).error("c")["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("POST", "/v1/agents/a", 404),
        ("POST", "/v1/agents/a/invoke/", 404),
        ("POST", "/api/v1/agents/a/run", 404),
        ("GET", "/v1/agents/a/invoke", 405),
    ],
)
def test_a_path_that_is_not_routed_is_not_an_unknown_agent(
    start: Start, method: str, path: str, status: int
) -> None:
    answer = start(returns).http.request(method, path)
    assert answer.status_code == status
    assert list(answer.json()) == ["detail"]


@pytest.mark.parametrize(
    ("agent_id", "path"),
    [
        ("a b", "a%20b"),
        ("a/b", "a%2Fb"),
        ("a/b", "a/b"),
        ("a/invoke", "a%2Finvoke"),
        ("ü☃", "%C3%BC%E2%98%83"),
        ("50%", "50%25"),
        ("a?b#c", "a%3Fb%23c"),
    ],
)
def test_odd_ids(start: Start, agent_id: str, path: str) -> None:
    assert start({agent_id: returns}).result(path, query="x") == "<x>"


def test_a_synchronous_generator_keeps_its_thread_and_its_context(start: Start) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)

    def agent() -> Iterator[object]:
        database = sqlite3.connect(":memory:")
        for i in range(3):
            yield [variable.get(), database.execute("select ?", (i,)).fetchone()[0]]
            variable.set(i + 10)
        database.close()

    caller = start(agent)
    assert caller.chunks() == [[0, 0], [10, 1], [11, 2]]
    assert caller.chunks() == [[0, 0], [10, 1], [11, 2]]


def test_a_synchronous_agent_may_run_a_loop_of_its_own(start: Start) -> None:
    assert start(lambda: asyncio.run(async_returns("hi"))).result() == "<hi>"


def test_functions_can_be_added_and_replaced_while_it_runs(start: Start) -> None:
    caller = start({"a": returns})
    caller.server.add("b", lambda: 1)
    assert caller.result("b") == 1
    caller.server.add("a", lambda: 2)
    assert caller.result("a") == 2
    assert caller.server.agents == ["a", "b"]
    with pytest.raises(TypeError):
        caller.server.add("c", int)


def test_a_lone_function_is_served_under_its_name() -> None:
    with serve(returns) as server:
        assert server.agents == ["returns"]


def test_a_large_body_and_a_large_answer(start: Start) -> None:
    caller = start(lambda text: text)
    text = "ä" * 10_000_000
    assert caller.result(text=text) == text
    assert caller.chunks(text=text) == [text]
