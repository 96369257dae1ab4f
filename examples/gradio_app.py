"""A chat with an agent in Gradio.

To try it:

    pip install "/path/to/checkout[local]" gradio
    python gradio_app.py
"""

import os
from collections.abc import AsyncIterator

import gradio as gr

from runagent import AsyncRunAgentClient, AsyncStream, RunAgentError

AGENT = os.environ.get("AGENT", "demo")
agent = AsyncRunAgentClient(AGENT)


streams: dict[str | None, AsyncStream[str]] = {}  # by the session of their page


async def answer(
    message: str, history: list[gr.MessageDict], request: gr.Request
) -> AsyncIterator[str]:
    """Yield the answer so far whenever it has grown, as Gradio wants it."""
    stream = streams[request.session_hash] = agent.run_generic_stream({"query": message})
    try:
        async for text in stream.accumulated():
            yield text
    except RunAgentError as error:
        raise gr.Error(error.message) from error
    finally:
        streams.pop(request.session_hash, None)


async def leave(request: gr.Request) -> None:
    """End the answer of a page that was closed."""
    if stream := streams.get(request.session_hash):
        await stream.aclose()


demo = gr.ChatInterface(answer, title=f"Chat with {AGENT}")
with demo:
    demo.unload(leave)

if __name__ == "__main__":
    demo.launch()
