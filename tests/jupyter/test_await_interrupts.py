"""An `await` in a cell can be interrupted although nothing else happens in the kernel."""

from __future__ import annotations

import pytest
from support.faults import STALL, FaultServer
from support.kernel import Kernel

AWAITED = {
    "call": "await client.run_generic({'query': 'x'})",
    "gather": "await asyncio.gather(*[client.run_generic({'query': 'x'}) for _ in range(3)])",
    "stream": "async for chunk in client.run_generic_stream({'query': 'x'}):\n    pass",
    "timeout": "await asyncio.wait_for(client.run_generic({'query': 'x'}), 36_000)",
    "chat": "await AgentWidget(client).ask_async('x')",
    "chats": "await asyncio.gather(*[AgentWidget(client).ask_async('x') for _ in range(2)])",
}


@pytest.mark.parametrize("code", AWAITED.values(), ids=AWAITED)
def test_it_ends_at_once_and_closes_its_connections(shared_kernel: Kernel, code: str) -> None:
    with FaultServer([STALL] * 3) as server:
        shared_kernel.execute(
            "import asyncio\nfrom runagent import AsyncRunAgentClient\n"
            "from runagent_jupyter import AgentWidget\n"
            f"client = AsyncRunAgentClient('a', base_url={server.url!r}, timeout=36_000)"
        ).ok()
        cell = shared_kernel.submit(code)
        calls = {"gather": 3, "chats": 2}.get(next(n for n, c in AWAITED.items() if c == code), 1)
        server.wait_for(calls)
        shared_kernel.interrupt()
        assert (cell.wait().error or {})["ename"] == "CancelledError"
        for exchange in server.exchanges:
            assert exchange.wait_closed()


def test_nothing_beats_when_all_have_ended(shared_kernel: Kernel) -> None:
    shared_kernel.execute(
        "import asyncio, gc\nfrom runagent import AsyncRunAgentClient, heartbeat\n"
        "client = AsyncRunAgentClient('demo')\n"
        "stream = client.run_generic_stream({'delay': 0})\n"
        "async for chunk in stream: pass\n"
        "await client.run_generic({'delay': 0})\n"
        "while heartbeat._calls: await asyncio.sleep(heartbeat.INTERVAL)"
    ).ok()
