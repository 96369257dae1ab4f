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


def answer(contents: str, user: str, chat: pn.chat.ChatInterface) -> AsyncIterator[str]:
    """Return a generator of the answer so far, as Panel wants it."""
    return agent.run_generic_stream({"query": contents}).accumulated()


chat = pn.chat.ChatInterface(callback=answer, callback_user=AGENT, show_rerun=False)
chat.servable()
