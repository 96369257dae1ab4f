"""The protocols between a client and a server of agents, without any I/O.

Each protocol has a module with its requests and responses, and one with the events of its streams.
"""

from runagent.wire.interface import (
    GENERIC,
    GENERIC_STREAM,
    STREAM_SUFFIX,
    Input,
    Outgoing,
    StreamReader,
    Wire,
)

__all__ = [
    "GENERIC",
    "GENERIC_STREAM",
    "STREAM_SUFFIX",
    "Input",
    "Outgoing",
    "StreamReader",
    "Wire",
]
