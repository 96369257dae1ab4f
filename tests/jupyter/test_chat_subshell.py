"""A page is heard in the subshell that it has chosen, whichever shell the chat last spoke from."""

from __future__ import annotations

import pytest
from support.clock import PATIENCE
from support.kernel import IPYKERNEL_VERSION, Kernel

CHAT = """
import threading
from runagent.local import agent
from runagent_jupyter import AgentWidget

@agent("waits")
async def waits(query: str, **_):
    import asyncio
    yield "begun"
    await asyncio.sleep(36_000)

w = AgentWidget("waits")
ended = threading.Event()
w.observe(lambda change: change["new"] or ended.set(), "busy")
"""


@pytest.mark.skipif(IPYKERNEL_VERSION < (7,), reason="ipykernel 6 has no subshells")
def test_an_answer_is_stopped_while_the_cell_that_spoke_last_still_runs(kernel: Kernel) -> None:
    subshell = kernel.create_subshell()
    kernel.execute(CHAT).ok()
    comm = str(kernel.value("w.model_id"))

    def say(**content: object) -> None:
        data = {"method": "custom", "content": content}
        kernel.send_comm("comm_msg", {"comm_id": comm, "data": data}, subshell=subshell)

    say(type="ask", text="hello")
    kernel.wait_for(lambda: kernel.value("len(w.turns) == 2 and w.turns[1].text"), PATIENCE)
    cell = kernel.submit(f"w.title = 'said by the cell'\nassert ended.wait({PATIENCE})")
    kernel.wait_for(
        lambda: "said by the cell" in str([m.content for m in kernel.comm_messages(comm)]), PATIENCE
    )
    say(type="stop")
    cell.wait().ok()
    assert kernel.value("w.turns[1].status") == "stopped"
