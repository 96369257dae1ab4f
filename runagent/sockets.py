"""Facts of sockets that both kinds of network streams need: keep-alive, addresses, processes."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import httpcore2

KEEPALIVE_IDLE = 60
"""Seconds without data after which the system asks whether the other side is still there.

Agents think for minutes, and whatever translates addresses on the way forgets a silent connection:
the gateways of clouds after 240 or 350 s.
"""

KEEPALIVE_INTERVAL = 30
"""Seconds from one such question without an answer to the next."""

KEEPALIVE_COUNT = 5
"""Questions without an answer after which the connection is lost."""

PIECE = 1 << 16
"""Bytes written at most at a time."""


FRESH = 0.05
"""Seconds for which a connection is assumed to be open, as its server has just answered on it.

For each request, a pool asks all idle connections whether they were closed, and each asks the
system. With many threads, that takes longer than the rest of a call. The one connection that is
taken is asked when the request begins.
"""


def is_fresh(used: float) -> bool:
    """Whether a connection is assumed to be open.

    Args:
        used: When something last came from its server, by `time.monotonic()`.
    """
    return time.monotonic() - used < FRESH


def check_not_closed(connection: Any) -> None:
    """Check, before anything of a request is sent, that the server has not closed a connection.

    Args:
        connection: The socket, `None` if it is not known.

    Raises:
        ConnectionNotAvailable: It has; the pool takes another connection for the request.
    """
    if connection is None:
        return
    number = connection.fileno()
    if number < 0 or _is_readable(number):  # nothing is due but the end
        raise httpcore2.ConnectionNotAvailable


def _is_readable(number: int) -> bool:
    """Whether a read of a socket with this file descriptor would return at once."""
    if not hasattr(select, "poll"):  # Windows, whose `select` takes any number
        return bool(select.select([number], [], [], 0)[0])
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return bool(poll.poll(0))


def is_held_head(io: Any, buffer: bytes) -> bool:
    """Whether these are the first bytes of a request with a body, which follows at once.

    Sent together, both take one packet, and one call of the system.

    Args:
        io: The I/O of the call that sends them, `None` for none.
        buffer: The bytes.
    """
    if io is None or not io.has_body or len(buffer) > PIECE:
        return False
    io.has_body = False
    return True


def keep_alive(stream: Any, chosen: Iterable[httpcore2.SOCKET_OPTION] | None) -> None:
    """Turn TCP's keep-alive on for a connection, except for options that the user has chosen.

    A system or a kind of socket that does not know one of them goes without it.
    """
    taken = {option[:2] for option in chosen or ()}
    sock = stream.get_extra_info("socket")
    for level, name, value in _keepalive_options():
        if (level, name) not in taken:
            with suppress(OSError, AttributeError):
                sock.setsockopt(level, name, value)


def _keepalive_options() -> Iterator[tuple[int, int, int]]:
    yield socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1
    for names, value in (
        (("TCP_KEEPIDLE", "TCP_KEEPALIVE"), KEEPALIVE_IDLE),  # the second is macOS's name
        (("TCP_KEEPINTVL",), KEEPALIVE_INTERVAL),
        (("TCP_KEEPCNT",), KEEPALIVE_COUNT),
    ):
        for name in names:
            if hasattr(socket, name):
                yield socket.IPPROTO_TCP, getattr(socket, name), value


def check_process(pid: int, error: type[httpcore2.ReadError | httpcore2.WriteError]) -> None:
    """Refuse to use a connection that the process with this id has made.

    After a fork both processes have it: one would take bytes from the other, or add some.
    """
    if pid != os.getpid():
        raise error(f"the connection belongs to the process {pid}, which was forked")


def addresses_of(host: str, port: int) -> list[str]:
    """Return the addresses of a host, in the order in which they are to be tried."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise httpcore2.ConnectError(f"{host}: {exc}") from None
    return [str(address[0]) for *_, address in found]
