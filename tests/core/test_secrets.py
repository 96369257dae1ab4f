"""A planted API key is searched for everywhere, and found only in the header that carries it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.calls import KINDS, MODES, arun, call, run
from support.clock import MOMENT, PATIENCE, TICK, TIMEOUT
from support.faults import (
    SSE_HEAD,
    STALL,
    FaultServer,
    answer,
    chunk,
    error,
    frame,
    good,
    stream,
)

import runagent
from runagent import AsyncRunAgentClient, RunAgentClient, RunAgentError

KEY = "sk-" + "planted" + "-4711"
Serve = Callable[..., FaultServer]


def everything(exc: BaseException, *, frames: bool = True) -> Iterator[str]:
    """Yield all the text by which an exception may be shown, stored or sent.

    `frames=False` leaves out the locals of its frames, for what a server echoed or the user wrote
    in the wrong place: they hold what was received or given, as they must.
    """
    seen: set[int] = set()
    todo: list[BaseException | None] = [exc]
    while todo:
        current = todo.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        todo += [current.__cause__, current.__context__]
        yield str(current)
        yield repr(current)
        yield repr(current.args)
        yield repr(vars(current))
        # Lines of the test itself do not count.
        steps = list(traceback.walk_tb(current.__traceback__))
        own = [frame for frame, _ in steps if "/tests/" not in frame.f_code.co_filename]
        for step in own:
            for value in step.f_locals.values() if frames else ():
                with contextlib.suppress(AttributeError):  # an object of httpx2's, half made
                    yield repr(value)
        for attribute in vars(current).values():
            yield repr(attribute)
            yield repr(getattr(attribute, "__dict__", ""))
            yield str(getattr(attribute, "headers", ""))
    if isinstance(exc, RunAgentError):
        yield repr(pickle.dumps(exc))


def shown_with_locals(make: Callable[[], Any]) -> tuple[BaseException, str]:
    """Return what `make` raises, and its traceback with the locals of every frame of the package."""
    try:
        make()
    except BaseException as exc:
        tb = exc.__traceback__
        while tb is not None and "/tests/" in tb.tb_frame.f_code.co_filename:
            tb = tb.tb_next
        text = "".join(
            traceback.TracebackException(type(exc), exc, tb, capture_locals=True).format()
        )
        return exc, text
    raise AssertionError("nothing was raised")


def call_anew(url: str, kind: str, mode: str) -> None:
    """Raise what a call of a new client with the key raises."""

    async def main() -> None:
        async with AsyncRunAgentClient("a", KEY, base_url=url, max_retries=0) as client:
            await arun(client, kind, {})

    if mode == "async":
        asyncio.run(main())
        return
    with RunAgentClient("a", KEY, base_url=url, max_retries=0) as client:
        run(client, kind, {})


def assert_clean(exc: BaseException, *more: str, frames: bool = True) -> None:
    for text in (*everything(exc, frames=frames), *(more if frames else ())):
        assert KEY not in text, text
        assert KEY.encode().hex() not in text


@pytest.fixture(autouse=True)
def records(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Listen to every logger at DEBUG; no record may have the key, nor the input."""
    for name in ("", "runagent", "httpx2", "httpcore2", "asyncio"):
        caplog.set_level(logging.DEBUG, name)
    yield caplog
    for record in caplog.get_records("call"):
        text = record.getMessage() + repr(record.args) + repr(record.exc_info)
        assert KEY not in text, text
        assert "planted-input" not in text, text


FAILING = {
    "refused key": error(401, "INVALID_API_KEY", message=f"The key {KEY} is wrong"),
    "echo in details": error(400, "X", message="no", details={"sent": {"key": [KEY], KEY: 1}}),
    "echo in HTML": answer(f"<html>Authorization: Bearer {KEY}</html>", 500),
    "echo in a code": error(400, KEY),
    "echo in the request id": answer(b"{}", 400, f"X-Request-ID: {KEY}"),
    "echo in a redirect": answer("", 302, f"Location: https://evil.example/?k={KEY}"),
    "echo as the answer": answer(f"Bearer {KEY}"),
    "echo in an error event": stream(
        "a", end=f'event: error\ndata: {{"error": "{KEY}", "code": "{KEY}"}}\n\n'.encode()
    ),
    "echo in a broken chunk": stream("a", end=f"event: chunk\ndata: {KEY}\n\n".encode()),
    "no answer": [],
    "echo as garbage": [f"{KEY}\r\n\r\n".encode()],
    "silence": [STALL],
    "silence in mid-stream": [SSE_HEAD, frame(chunk("a")), STALL],
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FAILING)
def test_no_failure_shows_the_key(name: str, kind: str, mode: str, serve: Serve) -> None:
    server = serve(FAILING[name])
    input_data = {"query": "planted-input"}
    timeout = TIMEOUT if "silence" in name else PATIENCE
    options: dict[str, Any] = {"base_url": server.url, "timeout": timeout, "max_retries": 1}

    def make() -> None:
        if mode == "sync":
            with RunAgentClient("a", KEY, retry_delay=TICK, **options) as client:
                run(client, kind, input_data)
        else:
            asyncio.run(main())

    async def main() -> None:
        async with AsyncRunAgentClient("a", KEY, retry_delay=TICK, **options) as client:
            await arun(client, kind, input_data)

    exc, text = shown_with_locals(make)
    assert isinstance(exc, RunAgentError)
    assert_clean(exc, text, frames="echo" not in name)
    assert KEY in server.last.headers["authorization"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("invoke", [f"HTTP/1.1 500 {KEY}\r\nContent-Length: 0\r\n\r\n".encode()]),
        ("stream", FAILING["echo in an error event"]),
    ],
    ids=["reason phrase", "error event"],
)
def test_an_echo_is_not_in_the_variables_of_a_traceback(
    kind: str, sent: Any, mode: str, serve: Serve
) -> None:
    url = serve(sent).url
    exc, text = shown_with_locals(lambda: call_anew(url, kind, mode))
    assert isinstance(exc, RunAgentError)
    assert_clean(exc, text)


@pytest.mark.parametrize("mode", MODES)
def test_an_echo_is_not_in_the_id_of_a_request(mode: str, serve: Serve) -> None:
    echo = f"X-Request-ID: {KEY}"
    started = f'event: start\ndata: {{"request_id": "{KEY}"}}\n\nevent: done\ndata: {{}}\n\n'
    server = serve(answer(b'{"result": 1}', 200, echo), stream(end=started.encode()))

    async def main() -> list[str | None]:
        async with AsyncRunAgentClient("a", KEY, base_url=server.url) as client:
            result = await client.run_generic_with_metadata({})
            stream = client.stream_events({})
            [event async for event in stream]
            return [result.request_id, stream.request_id]

    if mode == "async":
        ids = asyncio.run(main())
    else:
        with RunAgentClient("a", KEY, base_url=server.url) as client:
            result = client.run_generic_with_metadata({})
            events = client.stream_events({})
            list(events)
            ids = [result.request_id, events.request_id]
    assert ids == ["[api key]", "[api key]"]


@pytest.mark.parametrize(
    ("key", "sent", "shown"),
    [
        ("k", "The key k? token=k, token%3Dk&, 'k': unknown", "The key *? token=*, token%3D*&, '*': unknown"),
        ("test", "Bearer test: latest tests, attested", "Bearer *: latest tests, attested"),
        ("a+b", "a+b or a%2Bb, not a+bc", "* or *, not a+bc"),
        ("api", "api, apis, [api key]", "*, apis, *"),
        (KEY, f"x{KEY}x {KEY}{KEY}", "x*x **"),
        ("sk/planted=", "token=sk%2Fplanted%3Dx", "token=*x"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_key_is_taken_out_and_words_stay(
    kind: str, mode: str, key: str, sent: str, shown: str, serve: Serve
) -> None:
    server = serve(error(404, "NOT_FOUND", message=sent))
    problem = call(server.url, kind, mode, api_key=key).error
    assert problem is not None
    assert problem.message == shown.replace("*", "[api key]")
    assert problem.hint == "Check the agent's id and the base URL."


def bad_file(home: Path, **values: Any) -> Path:
    path = home / ".runagent" / "config.json"
    path.parent.mkdir()
    path.touch(0o600)
    path.write_text(json.dumps({"api_key": KEY, **values}))
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        {"timeout": -1},
        {"timeout": "soon"},
        {"base_url": f"https://user:{KEY}@example.org"},
        {"base_url": "http://example.org"},
        {"headers": {"Authorization": f"Bearer {KEY}\n"}},
        {"headers": {"X y": KEY}},
        {"api_key": [KEY]},
        {"api_key": f"{KEY}\n{KEY}"},
        {"proxy": f"nonsense://user:{KEY}@localhost"},
        {"http_client": object()},
        {"verify_ssl": "/nowhere"},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_no_constructor_shows_the_key(arguments: dict[str, Any]) -> None:
    given = {"api_key": KEY, "headers": {"X-Key": KEY}, **arguments}
    for kind in (RunAgentClient, AsyncRunAgentClient):
        exc, text = shown_with_locals(lambda: kind("a", **given))  # noqa: B023
        assert isinstance(exc, runagent.ValidationError)
        misplaced = "base_url" in arguments or isinstance(arguments.get("api_key"), list)
        assert_clean(exc, text, frames=not misplaced)
        good_client = kind("a", KEY)
        exc, text = shown_with_locals(lambda: good_client.with_options(**given))  # noqa: B023
        assert_clean(exc, text, frames=not misplaced)


def test_a_bad_configuration_file_does_not_show_the_key(home: Path) -> None:
    path = bad_file(home, timeout="soon")
    exc, text = shown_with_locals(lambda: RunAgentClient("a"))
    assert "timeout" in str(exc)
    assert_clean(exc, text)
    path.write_text(f'{{"api_key": "{KEY}", oops')
    exc, text = shown_with_locals(lambda: RunAgentClient("a"))
    assert "not JSON" in str(exc)
    assert_clean(exc, text)
    path.write_text(json.dumps({"api_key": [KEY]}))
    exc, text = shown_with_locals(lambda: RunAgentClient("a"))
    assert_clean(exc, frames=False)
    path.write_text(json.dumps([{"api_key": KEY}]))
    exc, text = shown_with_locals(lambda: RunAgentClient("a"))
    assert_clean(exc, frames=False)


def test_an_unusable_key_in_the_environment_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNAGENT_API_KEY", f"{KEY} {KEY}")
    exc, text = shown_with_locals(lambda: RunAgentClient("a"))
    assert "RUNAGENT_API_KEY" in str(exc)
    assert_clean(exc, text)


def test_an_invalid_input_does_not_show_the_key() -> None:
    client = RunAgentClient("a", KEY)
    exc, text = shown_with_locals(lambda: client.run_generic({"x": object()}))
    assert_clean(exc, text)
    exc, text = shown_with_locals(lambda: client.run_generic({}, timeout=-1))
    assert_clean(exc, text)
    client.close()
    exc, text = shown_with_locals(lambda: client.run_generic({}))
    assert_clean(exc, text)


@pytest.mark.parametrize("kind", KINDS)
def test_cancellation_and_interrupts_do_not_show_the_key(kind: str, serve: Serve) -> None:
    server = serve([SSE_HEAD, frame(chunk("a")), STALL] if kind == "stream" else [STALL])

    async def main() -> None:
        client = AsyncRunAgentClient("a", KEY, base_url=server.url)
        task = asyncio.ensure_future(arun(client, kind))
        await asyncio.to_thread(server.wait_for, 1)
        await asyncio.sleep(MOMENT)
        task.cancel()
        exc: BaseException | None = None
        try:
            await task
        except asyncio.CancelledError as cancelled:
            exc = cancelled
        assert exc is not None
        assert_clean(exc)

    asyncio.run(main())


def test_no_repr_shows_the_key(serve: Serve) -> None:
    server = serve(good("invoke"))
    client = RunAgentClient("a", KEY, server.url, headers={"X-Other": KEY})
    seen = [
        client,
        client._settings,
        client._arguments,
        client._pump,
        vars(client),
        client.with_options(timeout=PATIENCE),
    ]
    seen += [vars(client._pump), client._pump._options, client.run_generic_with_metadata({})]
    seen += [client.run_generic_stream({}), client.stream_events({})]
    for thing in seen:
        assert KEY not in repr(thing), thing
        assert KEY not in str(thing), thing
    client.close()
    gc.collect()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_another_origin_sees_nothing(status: int, kind: str, mode: str, serve: Serve) -> None:
    other = serve(good(kind))
    server = serve(answer("", status, f"Location: {other.url}/v1/agents/a/{kind}"))
    options: dict[str, Any] = {"base_url": server.url, "timeout": PATIENCE}
    with pytest.raises(RunAgentError, match="redirect"):  # noqa: PT012
        if mode == "sync":
            with RunAgentClient("a", KEY, **options) as client:
                run(client, kind)
        else:
            asyncio.run(arun(AsyncRunAgentClient("a", KEY, **options), kind))
    assert len(server.exchanges) == 1
    assert other.connections == 0


def test_a_redirect_is_not_followed_by_a_client_of_ones_own_that_would(serve: Serve) -> None:
    import httpx2

    other = serve(good("invoke"))
    server = serve(answer("", 307, f"Location: {other.url}/"))
    with httpx2.Client(follow_redirects=True, trust_env=False) as own:
        client = RunAgentClient("a", KEY, server.url, http_client=own)
        with pytest.raises(RunAgentError, match="redirect"):
            client.run_generic({})
    assert other.connections == 0


@pytest.mark.parametrize(
    "url", ["http://example.org", "http://10.0.0.1:8000", "http://127.0.0.1.example.org"]
)
def test_a_key_does_not_travel_unencrypted(url: str) -> None:
    with pytest.raises(runagent.ValidationError, match="unencrypted") as caught:
        RunAgentClient("a", KEY, url)
    assert caught.value.code == "INSECURE_URL"
    with pytest.raises(runagent.ValidationError, match="unencrypted"):
        RunAgentClient("a", base_url=url, headers={"authorization": f"Bearer {KEY}"})
    RunAgentClient("a", KEY, url, allow_http=True).close()


def test_the_key_of_one_server_is_not_sent_to_an_explicitly_keyless_one(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNAGENT_API_KEY", KEY)
    server = serve(good("invoke"))
    RunAgentClient("a", "", server.url).run_generic({})
    assert "authorization" not in server.last.headers
    assert KEY.encode() not in server.last.head


# Headers of one call

CALLS: dict[str, dict[str, Any]] = {
    "run_generic": {"input_data": {}},
    "run_generic_with_metadata": {"input_data": {}},
    "run_generic_stream": {"input_data": {}},
    "stream_events": {"input_data": {}},
    "batch_run": {"inputs": [{}]},
    "run": {"entrypoint": "x"},
    "run_stream": {"entrypoint": "x_stream"},
    "entrypoints": {},
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    "headers",
    [{"X-Key": KEY}, {"X y": KEY, KEY: KEY}, {"X-Key": f"{KEY}\n"}, [("X-Key", KEY)],
     (("X-Key", KEY),), KEY],
    ids=["fine", "names", "values", "list", "tuple", "string"],
)  # fmt: skip
def test_headers_of_one_call_are_not_shown(
    headers: Any, name: str, mode: str, serve: Serve
) -> None:
    server = serve([])
    options: dict[str, Any] = {"base_url": server.url, "max_retries": 0, "timeout": PATIENCE}

    async def main() -> Any:
        async with AsyncRunAgentClient("a", **options) as client:
            made = getattr(client, name)(**CALLS[name], headers=headers)
            return [item async for item in made] if "stream" in name else await made

    def make() -> None:
        if mode == "async":
            asyncio.run(main())
        with RunAgentClient("a", **options) as client:
            made = getattr(client, name)(**CALLS[name], headers=headers)
            if "stream" in name:
                list(made)

    exc, _ = shown_with_locals(make)
    assert isinstance(exc, RunAgentError)
    named_so = isinstance(headers, dict) and KEY in headers
    assert_clean(exc, frames=not named_so)
    if not named_so:
        frames = [frame for frame, _ in traceback.walk_tb(exc.__traceback__)]
        own = [frame for frame in frames if "/runagent/" in frame.f_code.co_filename]
        assert own
        for step in own:
            for value in step.f_locals.values():
                assert_hidden_inside(value)


def assert_hidden_inside(value: Any) -> None:
    """Check that a tool which looks into dictionaries, as some that show tracebacks, sees nothing."""
    if isinstance(value, dict):
        for item in value.values():
            assert KEY not in repr(item)


def test_headers_of_the_client_hide_their_values_one_by_one() -> None:
    client = RunAgentClient("a", "", headers={"X-Key": KEY})
    for headers in (client._settings.headers, client._arguments["headers"]):
        assert headers["X-Key"] == KEY
        assert_hidden_inside(headers)
