"""Ports that stay free until a test takes them."""

from __future__ import annotations

import random
import socket

_PORTS = range(20_000, 32_000)
"""Below those that Linux, macOS and Windows give to whoever asks for any, as each connection does."""


def free_port() -> int:
    """Return a port that nobody listens on, and that no other program is given by chance."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
