"""Tools that look at the code find its types, and slips are told what to write instead."""

from __future__ import annotations

import ast
import asyncio
import inspect
import subprocess
import sys
import typing
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.clock import PATIENCE
from support.faults import FaultServer, good, stream

import runagent
from runagent import AsyncRunAgentClient, AsyncStream, RunAgentClient, Stream

Serve = Callable[..., FaultServer]

CLIENTS = (RunAgentClient, AsyncRunAgentClient)
CLASSES = [
    value
    for value in (getattr(runagent, name) for name in runagent.__all__)
    if inspect.isclass(value) and value.__module__.startswith("runagent")
]


def functions() -> Iterator[tuple[str, Any]]:
    """Yield every public function by its name, those of public classes too."""
    for name in runagent.__all__:
        value = getattr(runagent, name)
        if not inspect.isclass(value):
            continue
        for attribute in dir(value):
            member = inspect.getattr_static(value, attribute, None)
            member = member.fget if isinstance(member, property) else member
            member = getattr(member, "__func__", member)
            if inspect.isfunction(member) and member.__module__.startswith("runagent"):
                yield f"{name}.{attribute}", member


FUNCTIONS = dict(functions())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_annotations_can_be_evaluated(name: str) -> None:
    function = FUNCTIONS[name]
    hints = typing.get_type_hints(function)
    assert hints.keys() >= {
        parameter.name
        for parameter in inspect.signature(function, eval_str=True).parameters.values()
        if parameter.annotation is not parameter.empty
    }
    assert not any(isinstance(hint, str) for hint in hints.values())


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_annotations_of_classes_can_be_evaluated(kind: type) -> None:
    typing.get_type_hints(kind)
    if not issubclass(kind, BaseException):
        inspect.signature(kind, eval_str=True)


def test_annotations_are_the_real_types() -> None:
    import ssl

    import httpx2

    hints = typing.get_type_hints(RunAgentClient.__init__)
    assert set(typing.get_args(hints["verify_ssl"])) == {bool, str, ssl.SSLContext}
    assert set(typing.get_args(hints["http_client"])) == {
        httpx2.Client,
        httpx2.AsyncClient,
        type(None),
    }


def run_in_new_python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)


def test_importing_the_package_imports_nothing_but_names() -> None:
    code = (
        "import sys; before = set(sys.modules); import runagent\n"
        "loaded = {name for name in set(sys.modules) - before if name.startswith('runagent')}\n"
        "assert loaded == {'runagent'}, loaded\n"
        "heavy = {'inspect', 'ipaddress', 'logging', 're', 'typing'} - before\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "assert set(runagent.__all__) <= set(dir(runagent))\n"
    )
    run_in_new_python(code)


def test_importing_the_clients_imports_nothing_that_the_first_client_needs() -> None:
    code = (
        "import sys, typing\n"
        "from runagent import AsyncRunAgentClient, RunAgentClient, RunAgentError, StreamEvent\n"
        "heavy = {'httpx2', 'anyio', 'runagent.config', 'runagent.pumps'}\n"
        "if sys.version_info >= (3, 11):  # before, the TimeoutError of asyncio is another one\n"
        "    heavy |= {'asyncio', 'logging', 'ssl'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "typing.get_type_hints(RunAgentClient.__init__)\n"
        "assert 'httpx2' in sys.modules\n"
    )
    run_in_new_python(code)


def test_each_public_name_is_there_for_programs_and_for_type_checkers() -> None:
    source = ast.parse(Path(inspect.getfile(runagent)).read_text())
    imported = {
        name.name
        for node in ast.walk(source)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("runagent.")
        for name in node.names
    }
    assert imported == set(runagent.__all__)
    for name in runagent.__all__:
        assert getattr(runagent, name) is not None
    with pytest.raises(AttributeError, match="module 'runagent' has no attribute 'RunAgent'"):
        runagent.RunAgent  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize(
    "slip",
    [
        lambda kind: kind(),
        lambda kind: kind("a", nope=1),
        lambda kind: kind(*range(9)),
        lambda kind: kind("a", "k", base_url="http://127.0.0.1").with_options(nope=1),
        lambda kind: kind("a", "k", base_url="http://127.0.0.1").with_options(1),
        lambda kind: kind("a", "k", base_url="http://127.0.0.1").resolved_arguments(1),
    ],
)
def test_wrong_arguments_are_those_of_the_class(slip: Callable[[Any], Any], kind: type) -> None:
    with pytest.raises(TypeError) as caught:
        slip(kind)
    assert f"{kind.__name__}." in str(caught.value)
    assert "_Base" not in str(caught.value)


# Slips


def refusal(coroutine: Coroutine[Any, Any, Any]) -> str:
    with pytest.raises(TypeError) as caught:
        asyncio.run(coroutine)
    return str(caught.value)


@pytest.fixture
def blocking() -> Iterator[RunAgentClient]:
    with RunAgentClient("a", base_url="http://127.0.0.1:9", protocol="server") as client:
        yield client


@pytest.fixture
def other() -> AsyncRunAgentClient:
    return AsyncRunAgentClient("a", base_url="http://127.0.0.1:9", protocol="server")


def test_awaiting_the_result_of_a_blocking_client(blocking: Any) -> None:
    async def run_generic() -> None:
        await blocking.run_generic({})

    async def run_generic_with_metadata() -> None:
        found = await blocking.run_generic_with_metadata({"query": "hi"}, timeout=PATIENCE)
        print(found)

    async def run() -> None:
        print((await blocking.run({}, entrypoint="x")) or 1)

    async def batch_run() -> Any:
        return await blocking.batch_run([{}, {}])

    async def entrypoints() -> Any:
        return [await blocking.entrypoints() for _ in range(2)]

    async def health() -> None:
        async with asyncio.Lock():
            await blocking.health()

    async def run_generic_stream() -> Any:
        yield await blocking.run_generic_stream({})

    for call in (run_generic, run_generic_with_metadata, run, batch_run, entrypoints, health):
        message = refusal(call())
        assert f"RunAgentClient.{call.__name__} blocks" in message
        assert "leave out `await`, or use AsyncRunAgentClient" in message
    assert "run_generic_stream" in refusal(anext(run_generic_stream()))


def test_async_for_over_a_stream_of_a_blocking_client(blocking: Any) -> None:
    async def loop(name: str) -> None:
        if name == "run_generic_stream":
            async for _ in blocking.run_generic_stream({}):
                pass
        elif name == "stream_events":
            assert [event async for event in blocking.stream_events({})]
        else:
            async for _ in blocking.run_stream({}, entrypoint="x_stream"):
                pass

    for name in ("run_generic_stream", "stream_events", "run_stream"):
        message = refusal(loop(name))
        assert f"{name} blocks" in message
        assert "write `for` instead of `async for`" in message


def test_a_blocking_client_may_be_used_in_coroutines(serve: Serve) -> None:
    server = serve(good("invoke"), good("invoke"), good("stream"), good("invoke"))

    async def main() -> None:
        with RunAgentClient("a", base_url=server.url) as client:
            found = client.run_generic({})
            assert found == {"answer": "ok"}
            found = await asyncio.to_thread(client.run_generic, {})
            assert "".join(client.run_generic_stream({})) == "ok"
            await asyncio.sleep(len(client.run_generic({})) * 0)

    asyncio.run(main())


def test_async_with_a_blocking_client(blocking: Any) -> None:
    async def client() -> None:
        async with blocking:
            raise AssertionError

    async def chunks() -> None:
        async with blocking.run_generic_stream({}):
            raise AssertionError

    assert "write `with`" in refusal(client())
    assert "write `with`" in refusal(chunks())


def test_with_an_asynchronous_client(other: Any) -> None:
    with pytest.raises(TypeError, match="write `async with`"), other:
        raise AssertionError
    with pytest.raises(TypeError, match="write `async with`"), other.run_generic_stream({}):
        raise AssertionError


def test_for_over_an_asynchronous_stream(other: Any) -> None:
    slips: list[Callable[[Any], Any]] = [
        list,
        "".join,
        iter_once,
        lambda chunks: [chunk for chunk in chunks],  # noqa: C416
        lambda chunks: chunks[0],
    ]
    for slip in slips:
        with pytest.raises(TypeError, match="write `async for chunk in stream` instead"):
            slip(other.run_generic_stream({}))
    with pytest.raises(TypeError, match="write `await anext"):
        next(other.run_generic_stream({}))


def iter_once(chunks: Any) -> None:
    for _ in chunks:
        return


def test_awaiting_an_asynchronous_stream(other: Any) -> None:
    async def main() -> None:
        await other.run_generic_stream({})

    assert "write `async for chunk in stream` without `await`" in refusal(main())


def test_indexes_and_steps_of_a_blocking_stream(blocking: Any) -> None:
    with pytest.raises(TypeError, match=r"write `list\(stream\)"):
        blocking.run_generic_stream({})[0]

    async def main() -> None:
        await anext(blocking.run_generic_stream({}))

    assert "next(stream)" in refusal(main())


def test_a_stream_that_is_printed_says_how_it_is_read(blocking: Any, other: Any) -> None:
    text = str(blocking.run_generic_stream({}))
    assert text == "<Stream: 0 characters so far, open, to be read with `for chunk in stream`>"
    assert "AsyncStream: 0 characters" in repr(other.run_generic_stream({}))
    assert "`async for chunk in stream`" in repr(other.run_generic_stream({}))


def test_streams_are_what_they_are_and_no_more(blocking: Any, other: Any) -> None:
    """The slips are told without pretending to programs that ask."""
    stream = blocking.run_generic_stream({})
    assert isinstance(stream, Iterable)
    assert not isinstance(stream, (AsyncIterable, Awaitable, Coroutine))
    assert not asyncio.iscoroutine(stream)
    stream = other.run_generic_stream({})
    assert isinstance(stream, AsyncIterable)
    assert not isinstance(stream, (Iterable, Coroutine))
    assert not isinstance(blocking, Awaitable)
    assert not isinstance(other, Awaitable)


# Real generators


def test_true_generators_of_a_blocking_stream(serve: Serve) -> None:
    server = serve(stream("a", "b", "c"))
    with RunAgentClient("a", base_url=server.url) as client:
        chunks = client.run_generic_stream({}).chunks()
        assert inspect.isgenerator(chunks)
        assert list(chunks) == ["a", "b", "c"]
        texts = client.run_generic_stream({}).accumulated()
        assert inspect.isgenerator(texts)
        assert list(texts) == ["a", "ab", "abc"]
        assert list(client.stream_events({}).accumulated()) == ["a", "ab", "abc"]
        source = client.run_generic_stream({})
        chunks = source.chunks()
        next(chunks)
        chunks.close()
        assert list(source) == []


def test_true_generators_of_an_asynchronous_stream(serve: Serve) -> None:
    server = serve(stream("a", "b", "c"))

    async def main() -> None:
        async with AsyncRunAgentClient("a", base_url=server.url) as client:
            chunks = client.run_generic_stream({}).chunks()
            assert inspect.isasyncgen(chunks)
            assert [text async for text in chunks] == ["a", "b", "c"]
            texts = client.run_generic_stream({}).accumulated()
            assert inspect.isasyncgen(texts)
            assert [text async for text in texts] == ["a", "ab", "abc"]
            events = client.stream_events({}).accumulated()
            assert [text async for text in events] == ["a", "ab", "abc"]
            source: AsyncStream[str] = client.run_generic_stream({})
            chunks = source.chunks()
            await anext(chunks)
            await chunks.aclose()
            assert [text async for text in source] == []

    asyncio.run(main())


def test_an_error_goes_through_the_generators(serve: Serve) -> None:
    server = serve(stream("a", end=b""))
    with RunAgentClient("a", base_url=server.url) as client:
        source: Stream[str] = client.run_generic_stream({})
        with pytest.raises(runagent.StreamError):
            list(source.chunks())
        with pytest.raises(runagent.StreamError):
            list(source.accumulated())
