"""The outcomes of calls: results, metadata, streams and their facts, errors that explain themselves."""

from __future__ import annotations

import asyncio
import builtins
import collections.abc
import copy
import json
import logging
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import websockets as ws
from support.calls import KINDS, MODES, call
from support.clock import FOR_EVER, PATIENCE
from support.example import EXAMPLE
from support.faults import (
    SSE_HEAD,
    STALL,
    FaultServer,
    answer,
    chunk,
    error,
    frame,
    good,
    head,
    sse,
    stream,
)

import runagent
from runagent import (
    AsyncRunAgentClient,
    AuthenticationError,
    RateLimit,
    RateLimitError,
    RunAgentClient,
    RunAgentError,
    Stream,
    StreamError,
    StreamEvent,
)
from runagent.stream import StreamState
from runagent.wire import Input
from runagent.wire.error_answers import is_error
from runagent.wire.rest import RestWire

Serve = Callable[..., FaultServer]
by_mode = pytest.mark.parametrize("mode", MODES)


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ({"result": {"answer": 1}}, {"answer": 1}),
        ({"result": "text"}, {"result": "text"}),
        ({"result": None}, {"result": None}),
        ({"result": [1]}, {"result": [1]}),
        ({"status": "success", "data": {"result": {"answer": 1}}}, {"answer": 1}),
        ({"status": "success", "data": {"result": "text"}}, {"result": "text"}),
        ({"status": "success", "data": [1]}, {"status": "success", "data": [1]}),
        ({"status": "success"}, {"status": "success"}),
        ({"answer": 1}, {"answer": 1}),
        ({}, {}),
        ([1, 2], {"result": [1, 2]}),
        ("text", {"result": "text"}),
        (7, {"result": 7}),
        (None, {"result": None}),
        ({"result": {"x": 1}, "usage": 3, "metadata": "no"}, {"x": 1}),
    ],
)
@by_mode
def test_a_result_is_a_dictionary(body: Any, result: Any, mode: str, serve: Serve) -> None:
    server = serve(answer(json.dumps(body)))
    assert call(server.url, "invoke", mode).value == result


METADATA = {"execution_time": 1.23, "agent_version": "1.0.0", "request_id": "req_abc123"}
USAGE = {"prompt_tokens": 24, "completion_tokens": 18, "total_tokens": 42}
LIMITS = (
    "X-RateLimit-Limit: 100",
    "X-RateLimit-Remaining: 99",
    "X-RateLimit-Reset: 1700000000",
    "X-RateLimit-Reset-After: 1.5",
)


@by_mode
def test_everything_that_is_known_of_an_answer(mode: str, serve: Serve) -> None:
    body = {"result": {"answer": "ok"}, "usage": USAGE, "metadata": METADATA}
    server = serve(error(503), answer(body, 200, *LIMITS))

    async def main() -> Any:
        async with AsyncRunAgentClient("a", base_url=server.url, retry_delay=0) as client:
            return await client.run_generic_with_metadata({})

    if mode == "async":
        result = asyncio.run(main())
    else:
        result = RunAgentClient("a", base_url=server.url, retry_delay=0).run_generic_with_metadata(
            {}
        )
    assert result.result == {"answer": "ok"}
    assert result.usage == USAGE
    assert (result.execution_time, result.tokens_used) == (1.23, 42)
    assert (result.agent_version, result.request_id) == ("1.0.0", "req_abc123")
    assert (result.status_code, result.attempts) == (200, 2)
    assert result.rate_limit == RateLimit(100, 99, 1700000000, 1.5)
    assert result.metadata == METADATA
    assert result.raw == body
    assert 0 < result.elapsed < PATIENCE


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "result",
                        "data",
                        "status",
                        "usage",
                        "metadata",
                        "error",
                        "message",
                        "code",
                        "details",
                        "retry_after",
                        "request_id",
                        "execution_time",
                        "tokens_used",
                        "total_tokens",
                        "agent_version",
                        "detail",
                        "content",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=15,
    ),
    st.sampled_from([200, 204, 302, 400, 401, 404, 429, 500, 503, 599]),
)
@settings(max_examples=400)
def test_any_json_is_an_answer_or_an_error(body: Any, status: int) -> None:
    wire = RestWire("http://x", "a")
    text = json.dumps(body).encode()
    if status < 300 and is_error(body):
        with pytest.raises(RunAgentError):
            wire.answer(status, {}, text)
    elif status < 300:
        assert isinstance(wire.answer(status, {}, text).result, dict)
    problem = wire.error(status, {}, text)
    assert isinstance(problem, RunAgentError)
    assert str(problem)
    reader = wire.reader(Input(b"{}"), 10_000)
    for kind, value, added in reader.feed(
        b"event: error\ndata: " + text + b"\n\nevent: chunk\ndata: " + text + b"\n\n"
    ):
        if kind == "error":
            assert str(reader.failure(value))
        else:
            assert added is None or isinstance(added, str)


@by_mode
def test_chunks_are_text_and_nothing_is_lost(mode: str, serve: Serve) -> None:
    chunks: list[Any] = [
        "You ",
        {"content": "said "},
        {"delta": "ü"},
        {"text": "!"},
        {"log": 1},
        7,
        True,
        None,
        [1],
        "",
    ]
    end = sse("done", {"usage": {"total_tokens": 9}, "execution_time": 2.5})
    server = serve(
        [
            head(200, "text/event-stream", "X-Request-ID: r-1"),
            sse("start", {"session_id": "s"}),
            *[sse("chunk", {"content": c, "index": i}) for i, c in enumerate(chunks)],
            sse("thought", "hm"),
            end,
        ]
    )
    texts = ["You ", "said ", "ü", "!", '{"log": 1}', "7", "true", "[1]", ""]
    seen: list[Any] = []

    async def main() -> Any:
        async with AsyncRunAgentClient("a", base_url=server.url) as client:
            stream = client.run_generic_stream({})
            assert isinstance(stream, collections.abc.AsyncGenerator)
            assert not stream.done
            assert [text async for text in stream] == texts
            seen.extend([event async for event in client.stream_events({})])
            return stream

    facts: Any
    if mode == "async":
        facts = asyncio.run(main())
    else:
        with (
            RunAgentClient("a", base_url=server.url) as client,
            client.run_generic_stream({}) as facts,
        ):
            assert isinstance(facts, collections.abc.Generator)
            assert "open" in repr(facts)
            assert list(facts) == texts
            seen.extend(client.stream_events({}))
    assert facts.text == "".join(texts)
    assert (facts.usage, facts.execution_time) == ({"total_tokens": 9}, 2.5)
    assert (facts.request_id, facts.done) == ("r-1", True)
    assert "done" in repr(facts)
    assert seen[0] == StreamEvent("start", {"session_id": "s"})
    assert [event.value for event in seen if event.kind == "chunk"] == chunks
    assert [event.kind for event in seen[-2:]] == ["thought", "done"]


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = {"a": value}
    return value


IDS = {"deep": nested(20_000), "wide": ["r"] * 10_000, "long": "r" * 10_000, "number": 17}


@pytest.mark.parametrize("form", IDS)
@pytest.mark.parametrize("name", ["request_id", "invocation_id"])
def test_an_id_that_a_stream_sends_becomes_a_short_text(form: str, name: str) -> None:
    state = StreamState()
    state.take("start", {name: IDS[form]})
    assert isinstance(state.request_id, str)
    assert len(state.request_id) < 300


def test_the_text_may_be_read_while_another_thread_iterates(serve: Serve) -> None:
    texts = [f"{i} " for i in range(20_000)]
    server = serve([SSE_HEAD, frame(b"".join(map(chunk, texts))), *stream()[1:]])
    whole, ended = "".join(texts), threading.Event()

    def read_on(stream: Stream[str]) -> bool:
        while not ended.is_set():
            if not whole.startswith(stream.text):
                return False
        return True

    with (
        RunAgentClient("a", base_url=server.url) as client,
        ThreadPoolExecutor(1) as pool,
        client.run_generic_stream({}) as facts,
    ):
        reading = pool.submit(read_on, facts)
        try:
            assert list(facts) == texts
        finally:
            ended.set()
        assert reading.result(PATIENCE)
        assert facts.text == whole


@by_mode
def test_a_broken_stream_keeps_its_text(mode: str, serve: Serve) -> None:
    server = serve(
        [head(200, "text/event-stream", "X-Request-ID: r-2"), chunk("so "), chunk("far")]
    )
    problem = call(server.url, "stream", mode).error
    assert isinstance(problem, StreamError)
    assert isinstance(problem, ConnectionError)
    assert problem.text == "so far"
    assert problem.request_id == "r-2"
    assert problem.code == "STREAM_CUT_OFF"


@by_mode
def test_an_error_in_a_stream_keeps_its_facts(mode: str, serve: Serve) -> None:
    end = sse("error", {"error": "Model overloaded", "code": "CAPACITY_ERROR", "retry_after": 30})
    problem = call(serve(stream("so ", "far", end=end)).url, "stream", mode).error
    assert isinstance(problem, StreamError)
    assert (problem.message, problem.code, problem.retry_after) == (
        "Model overloaded",
        "CAPACITY_ERROR",
        30,
    )
    assert problem.text == "so far"


@by_mode
@pytest.mark.parametrize("wire", ["rest", "server"])
def test_the_halves_of_a_character_come_as_one(wire: str, mode: str) -> None:
    sent = ["so \ud83d", "\ude00!", "\ude00", "\ud83d", None, "\ude00", "end\ud83d"]
    if wire == "rest":
        script = stream(*(text for text in sent if text is not None))
    else:
        script = [ws.UPGRADE + ws.stream(*sent), STALL]
    with ws.WebSocketServer(script) as server:
        outcome = call(server.url, "stream", mode, protocol=wire)
    assert outcome.error is None
    assert outcome.value == "so \U0001f600!\ufffd\U0001f600end\ufffd"


@by_mode
@pytest.mark.parametrize("kind", KINDS)
def test_a_long_message_is_cut_and_kept_in_the_details(kind: str, mode: str, serve: Serve) -> None:
    words = "words " * 100_000
    end = (
        error(400, "LONG", message=words)
        if kind == "invoke"
        else stream("a", end=sse("error", {"error": words}))
    )
    problem = call(serve(end).url, kind, mode).error
    assert isinstance(problem, RunAgentError)
    assert len(problem.message) == 2_001
    assert len(str(problem)) < 2_100
    assert problem.details is not None
    assert problem.details["message"] == words


@by_mode
def test_an_error_has_all_the_server_said(mode: str, serve: Serve) -> None:
    fields = {"details": {"limit": 100}, "request_id": "req_1", "retry_after": FOR_EVER}
    problem = call(serve(error(429, "RATE_LIMITED", **fields)).url, "invoke", mode).error
    assert isinstance(problem, RateLimitError)
    assert (problem.code, problem.status_code, problem.request_id) == ("RATE_LIMITED", 429, "req_1")
    assert (problem.retry_after, problem.details, problem.attempts) == (
        FOR_EVER,
        {"limit": 100},
        1,
    )
    assert str(problem) == "It failed with 429 [RATE_LIMITED, HTTP 429, request req_1]"


@by_mode
def test_an_error_s_words_steer_no_terminal(mode: str, serve: Serve) -> None:
    words = "a\x1b]0;title\x07\x9b2J\u202eb\n\tc"
    problem = call(serve(error(400, words, message=words)).url, "invoke", mode).error
    assert isinstance(problem, RunAgentError)
    assert problem.message == words
    shown = "a\\x1b]0;title\\x07\\x9b2J\\u202eb\n\tc"
    assert str(problem).startswith(f"{shown} [{shown}, HTTP 400")


@by_mode
@pytest.mark.parametrize("source", ["the api_key argument", "RUNAGENT_API_KEY"])
def test_a_refused_key_has_a_source(
    source: str, mode: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serve(error(401, "NO")).url
    if "argument" in source:
        problem = call(url, "invoke", mode, api_key="planted").error
    else:
        monkeypatch.setenv(source, "planted")
        problem = call(url, "invoke", mode).error
    assert isinstance(problem, AuthenticationError)
    assert f"The key comes from {source}." in (problem.hint or "")


@by_mode
def test_an_error_can_be_printed_whatever_the_server_says(mode: str, serve: Serve) -> None:
    fields = {"message": "half a pair: \ud800", "request_id": "\udfff"}
    problem = call(serve(error(400, "\ud800", **fields)).url, "invoke", mode).error
    assert isinstance(problem, RunAgentError)
    assert problem.message == "half a pair: \\ud800"
    assert str(problem).isascii()


def test_exceptions_are_what_python_users_catch() -> None:
    assert issubclass(runagent.TimeoutError, builtins.TimeoutError)
    assert issubclass(runagent.TimeoutError, asyncio.TimeoutError)
    assert issubclass(runagent.NetworkError, ConnectionError)
    assert issubclass(runagent.StreamError, runagent.NetworkError)
    assert issubclass(runagent.ValidationError, ValueError)


@pytest.mark.parametrize(
    "name",
    [
        "RunAgentError",
        "AuthenticationError",
        "AgentNotFoundError",
        "ValidationError",
        "RateLimitError",
        "TimeoutError",
        "NetworkError",
        "StreamError",
    ],
)
def test_exceptions_pickle_and_copy(name: str) -> None:
    kind = getattr(runagent, name)
    problem = kind(
        "It failed",
        "CODE",
        {"a": 1},
        status_code=500,
        request_id="r",
        retry_after=1.5,
        attempts=2,
        hint="Do.",
    )
    if name == "StreamError":
        problem.text = "so far"
    for twin in (pickle.loads(pickle.dumps(problem)), copy.copy(problem), copy.deepcopy(problem)):
        assert type(twin) is kind
        assert vars(twin) == vars(problem)
        assert str(twin) == str(problem) == "It failed [CODE, HTTP 500, request r, 2 attempts] Do."
        assert twin.args == ("It failed",)


@by_mode
def test_one_line_is_logged_for_each_request_and_retry(
    mode: str, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "runagent")
    server = serve(error(503, "BUSY", "X-Request-ID: r-1"), answer(None, 200, "X-Request-ID: r-2"))
    call(server.url, "invoke", mode, {"secret": "input"}, api_key="sk-planted")
    url = f"POST {server.url}/v1/agents/a/invoke: "
    lines = [record.getMessage() for record in caplog.records if record.name == "runagent"]
    assert len(lines) == 3
    assert all(line.startswith(url) for line in lines)
    assert "503 in 0." in lines[0]
    assert "(attempt 1, request r-1)" in lines[0]
    assert "trying again in" in lines[1]
    assert "(attempt 2, request r-2)" in lines[2]
    assert "input" not in "".join(lines)
    assert "sk-planted" not in caplog.text


def test_the_references_complete_example_runs_unchanged(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(good("invoke"), good("stream"), *[good("invoke")] * 5, good("stream"))
    monkeypatch.setenv("RUNAGENT_API_URL", server.url)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", EXAMPLE],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout == "Response: {'answer': 'ok'}\nokok"
    assert done.stderr == ""
