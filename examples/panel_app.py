"""A chat with an agent in Panel.

To try it:

    pip install "/path/to/checkout[local]" panel
    panel serve panel_app.py
"""

import os
from collections.abc import AsyncIterator

import panel as pn

from runagent import AsyncRunAgentClient

AGENT = os.environ.get("AGENT", "demo")

pn.extension()

agent = AsyncRunAgentClient(AGENT)


async def answer(contents: str, user: str, chat: pn.chat.ChatInterface) -> AsyncIterator[str]:
    """Yield the answer so far whenever it has grown, as Panel wants it."""
    page = pn.state.curdoc.session_context.session
    async with agent.run_generic_stream({"query": contents}) as stream:
        async for text in stream.accumulated():
            if not page.connection_count:
                break  # the page was closed
            yield text


chat = pn.chat.ChatInterface(callback=answer, callback_user=AGENT, show_rerun=False)
chat.servable()
