"""The port that a server takes."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from runagent.checks import is_sendable_key

_PORTS = range(65536)


@dataclass(frozen=True)
class Address:
    """A port that is taken, and the key for it; see `bind`."""

    host: str
    socket: socket.socket
    api_key: str | None = field(repr=False)

    @property
    def port(self) -> int:
        """The port, never 0."""
        port: int = self.socket.getsockname()[1]
        return port

    def listen(self) -> None:
        """Let connections queue: from now on, no request is refused.

        Raises:
            OSError: Another server began to listen on the port first.
        """
        with _explained(self.host, self.port):
            try:
                self.socket.listen(2048)
            except OSError:
                self.socket.close()
                raise


def bind(host: str, port: int, api_key: str | None) -> Address:
    """Take a port without listening on it yet, so that one in use is found before anything else.

    Raises:
        OSError: The address is not available; the port may be in use.
        ValueError: The port or the key cannot be used.
    """
    if api_key is not None and not is_sendable_key(api_key):
        raise ValueError("api_key has to be printable ASCII characters without spaces.")
    return Address(host, _bound(host, port), api_key)


def _bound(host: str, port: int) -> socket.socket:
    if port not in _PORTS:
        raise ValueError(f"port is {port!r}, not a number from 0 to {max(_PORTS)}.")
    with _explained(host, port):
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # elsewhere, it lets two servers share a port
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    return bound


@contextmanager
def _explained(host: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise OSError(exc.errno, f"Cannot listen on {host}:{port}: {exc.strerror}") from exc
