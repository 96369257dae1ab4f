"""A FastAPI app that streams an agent's answer.

To try it:

    pip install "/path/to/checkout[local]" fastapi uvicorn
    uvicorn fastapi_app:app
    curl -N "http://127.0.0.1:8000/answer?query=Hello"
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from runagent import AsyncRunAgentClient

AGENT = os.environ.get("AGENT", "demo")
agent = AsyncRunAgentClient(AGENT)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Close the agent's connections when the app ends."""
    async with agent:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/answer")
async def answer(query: str) -> StreamingResponse:
    """Stream the answer as text; the call ends when the browser leaves."""
    stream = agent.run_generic_stream({"query": query})
    return StreamingResponse(stream.chunks(), media_type="text/plain; charset=utf-8")
