"""Serve Python functions as agents on loopback, over the same wire as deployed ones."""

import logging

try:
    from runagent.local.embedded import agent, demo_endpoint
    from runagent.local.server import Server, serve
except ModuleNotFoundError as exc:
    if exc.name not in {"starlette", "uvicorn"}:
        raise
    raise ModuleNotFoundError(
        f'Serving agents needs {exc.name}: pip install "runagent[local]"', name=exc.name
    ) from exc

__all__ = ["Server", "agent", "demo_endpoint", "serve"]

# Silent unless the application configures logging; clients get their agents' errors anyway.
logging.getLogger("runagent.local").addHandler(logging.NullHandler())
