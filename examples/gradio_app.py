"""A chat with an agent in Gradio.

To try it:

    pip install "runagent[local]" gradio
    python gradio_app.py
"""

import os
from collections.abc import AsyncIterator

import gradio as gr

from runagent import AsyncRunAgentClient, RunAgentError

AGENT = os.environ.get("AGENT", "demo")
agent = AsyncRunAgentClient(AGENT)


async def answer(message: str, history: list[gr.MessageDict]) -> AsyncIterator[str]:
    """Yield the answer so far whenever it has grown, as Gradio wants it."""
    try:
        async for text in agent.run_generic_stream({"query": message}).accumulated():
            yield text
    except RunAgentError as error:
        raise gr.Error(error.message) from error


demo = gr.ChatInterface(answer, title=f"Chat with {AGENT}")

if __name__ == "__main__":
    demo.launch()
