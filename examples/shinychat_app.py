"""A chat with an agent in Shiny for Python.

To try it:

    pip install "/path/to/checkout[local]" shinychat
    shiny run shinychat_app.py
"""

import os

from shiny import reactive
from shiny.express import input, session, ui
from shinychat.express import Chat

from runagent import AsyncRunAgentClient

AGENT = os.environ.get("AGENT", "demo")
agent = AsyncRunAgentClient(AGENT)

ui.page_opts(title=f"Chat with {AGENT}", fillable=True)
chat = Chat(id="chat")
chat.ui(placeholder="Ask the agent", enable_cancel=True)


@chat.on_user_submit
async def answer(query: str) -> None:
    """Stream the answer into the chat."""
    stream = agent.run_generic_stream({"query": query})
    session.on_ended(stream.aclose)  # the page was closed
    await chat.append_message_stream(stream.chunks())


@reactive.effect
@reactive.event(input.chat_cancel)
def stop() -> None:
    """Stop the answer."""
    chat.latest_message_stream.cancel()
