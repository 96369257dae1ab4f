"""The candidates: each library's way to make the same call.

A candidate is a context manager over its function, so that none keeps connections while another
one is measured. Its packages are loaded when it is entered; one that is not installed is left out.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from typing import Any

INPUT = {"query": "What is the weather in Berlin?", "session_id": "s-1"}
MESSAGES = [{"role": "user", "content": INPUT["query"]}]
TIMEOUT = 600.0

Invoke = Callable[[], object]
AsyncInvoke = Callable[[], Awaitable[object]]
Stream = Callable[[], Iterator[object]]
AsyncStream = Callable[[], AsyncIterator[object]]


def installed(*packages: str) -> bool:
    return all(importlib.util.find_spec(package) is not None for package in packages)


# One call ------------------------------------------------------------------------------------


@contextmanager
def runagent_sync(url: str) -> Iterator[Invoke]:
    import runagent

    with runagent.RunAgentClient("small", "key", url, TIMEOUT) as client:
        yield lambda: client.run_generic(INPUT)


@contextmanager
def httpx2_sync(url: str) -> Iterator[Invoke]:
    import httpx2

    with httpx2.Client(timeout=TIMEOUT) as client:
        yield lambda: client.post(f"{url}/small/invoke", json=INPUT).json()


@contextmanager
def httpx_sync(url: str) -> Iterator[Invoke]:
    import httpx

    with httpx.Client(timeout=TIMEOUT) as client:
        yield lambda: client.post(f"{url}/small/invoke", json=INPUT).json()


@contextmanager
def openai_sync(url: str) -> Iterator[Invoke]:
    import openai

    with openai.OpenAI(api_key="key", base_url=f"{url}/small", timeout=TIMEOUT) as client:
        messages: Any = MESSAGES
        yield lambda: client.chat.completions.create(model="m", messages=messages)


@contextmanager
def anthropic_sync(url: str) -> Iterator[Invoke]:
    import anthropic

    with anthropic.Anthropic(api_key="key", base_url=f"{url}/small", timeout=TIMEOUT) as client:
        messages: Any = MESSAGES
        yield lambda: client.messages.create(model="m", max_tokens=10, messages=messages)


@contextmanager
def langgraph_sync(url: str) -> Iterator[Invoke]:
    from langgraph_sdk import get_sync_client

    client = get_sync_client(url=f"{url}/small", api_key="key", timeout=TIMEOUT)
    with client.http.client:
        yield lambda: client.runs.wait(None, "small", input=INPUT)


SYNC: dict[str, Callable[[str], AbstractContextManager[Invoke]]] = {
    "httpx2": httpx2_sync,
    "runagent": runagent_sync,
}
if installed("httpx"):
    SYNC["httpx"] = httpx_sync
if installed("openai"):
    SYNC["openai"] = openai_sync
if installed("anthropic"):
    SYNC["anthropic"] = anthropic_sync
if installed("langgraph_sdk"):
    SYNC["langgraph-sdk"] = langgraph_sync


@asynccontextmanager
async def runagent_async(url: str) -> AsyncIterator[AsyncInvoke]:
    import runagent

    async with runagent.AsyncRunAgentClient("small", "key", url, TIMEOUT) as client:
        yield lambda: client.run_generic(INPUT)


def _posting(client: Any, url: str) -> AsyncInvoke:
    async def invoke() -> object:
        return (await client.post(f"{url}/small/invoke", json=INPUT)).json()

    return invoke


@asynccontextmanager
async def httpx2_async(url: str) -> AsyncIterator[AsyncInvoke]:
    import httpx2

    async with httpx2.AsyncClient(timeout=TIMEOUT) as client:
        yield _posting(client, url)


@asynccontextmanager
async def httpx_async(url: str) -> AsyncIterator[AsyncInvoke]:
    import httpx

    async with httpx.AsyncClient(timeout=TIMEOUT) as client:
        yield _posting(client, url)


@asynccontextmanager
async def httpx_aiohttp_async(url: str) -> AsyncIterator[AsyncInvoke]:
    import httpx_aiohttp

    async with httpx_aiohttp.HttpxAiohttpClient(timeout=TIMEOUT) as client:
        yield _posting(client, url)


@asynccontextmanager
async def aiohttp_async(url: str) -> AsyncIterator[AsyncInvoke]:
    import aiohttp

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT)) as session:

        async def invoke() -> object:
            async with session.post(f"{url}/small/invoke", json=INPUT) as response:
                return await response.json()

        yield invoke


@asynccontextmanager
async def openai_async(url: str) -> AsyncIterator[AsyncInvoke]:
    import openai

    async with openai.AsyncOpenAI(
        api_key="key", base_url=f"{url}/small", timeout=TIMEOUT
    ) as client:
        messages: Any = MESSAGES
        yield lambda: client.chat.completions.create(model="m", messages=messages)


@asynccontextmanager
async def anthropic_async(url: str) -> AsyncIterator[AsyncInvoke]:
    import anthropic

    async with anthropic.AsyncAnthropic(
        api_key="key", base_url=f"{url}/small", timeout=TIMEOUT
    ) as client:
        messages: Any = MESSAGES
        yield lambda: client.messages.create(model="m", max_tokens=10, messages=messages)


@asynccontextmanager
async def langgraph_async(url: str) -> AsyncIterator[AsyncInvoke]:
    from langgraph_sdk import get_client

    client = get_client(url=f"{url}/small", api_key="key", timeout=TIMEOUT)
    async with client.http.client:
        yield lambda: client.runs.wait(None, "small", input=INPUT)


ASYNC: dict[str, Callable[[str], AbstractAsyncContextManager[AsyncInvoke]]] = {
    "httpx2": httpx2_async,
    "runagent": runagent_async,
}
if installed("httpx"):
    ASYNC["httpx"] = httpx_async
if installed("openai"):
    ASYNC["openai"] = openai_async
if installed("anthropic"):
    ASYNC["anthropic"] = anthropic_async
if installed("langgraph_sdk"):
    ASYNC["langgraph-sdk"] = langgraph_async
if installed("aiohttp"):
    ASYNC["aiohttp"] = aiohttp_async
if installed("httpx_aiohttp"):
    ASYNC["httpx + aiohttp"] = httpx_aiohttp_async


# One stream ----------------------------------------------------------------------------------
# `what` says what the server streams; an item is one chunk as the user gets it.


@contextmanager
def runagent_stream(url: str, what: str) -> Iterator[Stream]:
    import runagent

    with runagent.RunAgentClient(what, "key", url, TIMEOUT) as client:
        yield lambda: client.run_generic_stream(INPUT)


@contextmanager
def raw_stream(url: str, what: str) -> Iterator[Stream]:
    import httpx2

    with httpx2.Client(timeout=TIMEOUT) as client:

        def stream() -> Iterator[bytes]:
            with client.stream("POST", f"{url}/{what}/stream", json=INPUT) as response:
                yield from response.iter_bytes()

        yield stream


@contextmanager
def httpx2_stream(
    url: str, what: str, loads: Callable[[str], Any] = json.loads
) -> Iterator[Stream]:
    import httpx2

    with httpx2.Client(timeout=TIMEOUT) as client:

        def stream() -> Iterator[str]:
            with client.sse(f"{url}/{what}/stream", method="POST", json=INPUT) as source:
                for event in source:
                    if event.event == "chunk":
                        yield loads(event.data)["content"]

        yield stream


@contextmanager
def httpx_sse_stream(url: str, what: str) -> Iterator[Stream]:
    import httpx
    import httpx_sse

    with httpx.Client(timeout=TIMEOUT) as client:

        def stream() -> Iterator[str]:
            with httpx_sse.connect_sse(
                client, "POST", f"{url}/{what}/stream", json=INPUT
            ) as source:
                for event in source.iter_sse():
                    if event.event == "chunk":
                        yield json.loads(event.data)["content"]

        yield stream


@contextmanager
def openai_stream(url: str, what: str) -> Iterator[Stream]:
    import openai

    with openai.OpenAI(api_key="key", base_url=f"{url}/{what}", timeout=TIMEOUT) as client:

        def stream() -> Iterator[str]:
            messages: Any = MESSAGES
            for chunk in client.chat.completions.create(model="m", messages=messages, stream=True):
                text = chunk.choices[0].delta.content
                if text is not None:
                    yield text

        yield stream


@contextmanager
def anthropic_stream(url: str, what: str) -> Iterator[Stream]:
    import anthropic

    with anthropic.Anthropic(api_key="key", base_url=f"{url}/{what}", timeout=TIMEOUT) as client:

        def stream() -> Iterator[str]:
            messages: Any = MESSAGES
            for event in client.messages.create(
                model="m", max_tokens=10, messages=messages, stream=True
            ):
                if event.type == "content_block_delta" and event.delta.type == "text_delta":
                    yield event.delta.text

        yield stream


@contextmanager
def langgraph_stream(url: str, what: str) -> Iterator[Stream]:
    from langgraph_sdk import get_sync_client

    client = get_sync_client(url=f"{url}/{what}", api_key="key", timeout=TIMEOUT)

    def stream() -> Iterator[str]:
        for part in client.runs.stream(None, "a", input=INPUT, stream_mode="custom"):
            data: Any = part.data
            yield data["content"]

    with client.http.client:
        yield stream


STREAMS: dict[str, Callable[[str, str], AbstractContextManager[Stream]]] = {
    "raw bytes": raw_stream,
    "httpx2 event source": httpx2_stream,
    "runagent": runagent_stream,
}
if installed("httpx", "httpx_sse"):
    STREAMS["httpx-sse"] = httpx_sse_stream
if installed("openai"):
    STREAMS["openai"] = openai_stream
if installed("anthropic"):
    STREAMS["anthropic"] = anthropic_stream
if installed("langgraph_sdk"):
    STREAMS["langgraph-sdk"] = langgraph_stream


@asynccontextmanager
async def runagent_astream(url: str, what: str) -> AsyncIterator[AsyncStream]:
    import runagent

    async with runagent.AsyncRunAgentClient(what, "key", url, TIMEOUT) as client:
        yield lambda: client.run_generic_stream(INPUT)


@asynccontextmanager
async def raw_astream(url: str, what: str) -> AsyncIterator[AsyncStream]:
    import httpx2

    async with httpx2.AsyncClient(timeout=TIMEOUT) as client:

        async def stream() -> AsyncIterator[bytes]:
            async with client.stream("POST", f"{url}/{what}/stream", json=INPUT) as response:
                async for data in response.aiter_bytes():
                    yield data

        yield stream


@asynccontextmanager
async def httpx2_astream(url: str, what: str) -> AsyncIterator[AsyncStream]:
    import httpx2

    async with httpx2.AsyncClient(timeout=TIMEOUT) as client:

        async def stream() -> AsyncIterator[str]:
            async with client.sse(f"{url}/{what}/stream", method="POST", json=INPUT) as source:
                async for event in source:
                    if event.event == "chunk":
                        yield json.loads(event.data)["content"]

        yield stream


@asynccontextmanager
async def openai_astream(url: str, what: str) -> AsyncIterator[AsyncStream]:
    import openai

    async with openai.AsyncOpenAI(
        api_key="key", base_url=f"{url}/{what}", timeout=TIMEOUT
    ) as client:

        async def stream() -> AsyncIterator[str]:
            messages: Any = MESSAGES
            chunks = await client.chat.completions.create(model="m", messages=messages, stream=True)
            async for chunk in chunks:
                text = chunk.choices[0].delta.content
                if text is not None:
                    yield text

        yield stream


ASYNC_STREAMS: dict[str, Callable[[str, str], AbstractAsyncContextManager[AsyncStream]]] = {
    "raw bytes": raw_astream,
    "httpx2 event source": httpx2_astream,
    "runagent": runagent_astream,
}
if installed("openai"):
    ASYNC_STREAMS["openai"] = openai_astream
