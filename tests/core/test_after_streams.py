"""After a stream, its connection serves the next call, and nobody waits for the rest of a response."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support.calls import MODES, arun, run
from support.clock import PATIENCE, until
from support.faults import STALL, FaultServer, answer, frame, good

from runagent import AsyncRunAgentClient, RunAgentClient, flow

Serve = Callable[..., FaultServer]


@pytest.mark.parametrize("mode", MODES)
def test_a_stream_that_ended_leaves_its_connection_to_the_next_call(
    mode: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "ENDING", PATIENCE)  # a slow server may send the end in two parts
    server = serve(good("stream"), good("stream"), answer())

    async def main() -> None:
        async with AsyncRunAgentClient("a", base_url=server.url) as client:
            for kind in ("stream", "stream", "invoke"):
                assert await arun(client, kind)

    if mode == "async":
        asyncio.run(main())
    else:
        with RunAgentClient("a", base_url=server.url) as client:
            for kind in ("stream", "stream", "invoke"):
                assert run(client, kind)
    assert len(server.exchanges) == 3
    assert server.connections == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rest", [[STALL], [frame(b": more\n\n"), STALL], []])
def test_a_response_that_goes_on_after_its_stream_keeps_nobody(
    rest: list[Any], mode: str, serve: Serve
) -> None:
    *stream_of_two, _, _ = good("stream")
    server = serve([*stream_of_two, *rest], answer())

    async def main() -> None:
        async with AsyncRunAgentClient("a", base_url=server.url) as client:
            assert await arun(client, "stream") == "ok"
            await asyncio.to_thread(until, lambda: server.closed)
            assert await arun(client, "invoke")

    if mode == "async":
        asyncio.run(main())
    else:
        with RunAgentClient("a", base_url=server.url) as client:
            assert run(client, "stream") == "ok"
            until(lambda: server.closed)
            assert run(client, "invoke")
    assert server.connections == 2
