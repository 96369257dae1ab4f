"""Sockets of an event loop as httpcore2's network streams, with as little around them as it takes.

httpcore2's own look up the event loop's library and open a scope for each read and write, also for
those without a timeout. Many calls at once spend a tenth of their time there.
"""

from __future__ import annotations

import select
import ssl
from collections.abc import Awaitable, Iterable
from typing import Any

import anyio
import httpcore2
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSStream

_FACTS = {
    "ssl_object": TLSAttribute.ssl_object,
    "client_addr": SocketAttribute.local_address,
    "server_addr": SocketAttribute.remote_address,
}

_LOST = (anyio.BrokenResourceError, anyio.ClosedResourceError)


class SocketStream(httpcore2.AsyncNetworkStream):
    """A socket, encrypted or not."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        # Looking it up asks the system for addresses.
        self._socket = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - not Django's

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return the next bytes, none at the end."""
        try:
            if timeout is None:
                return await self._stream.receive(max_bytes)
            with anyio.fail_after(timeout):
                return await self._stream.receive(max_bytes)
        except anyio.EndOfStream:
            return b""
        except TimeoutError as exc:
            raise httpcore2.ReadTimeout(exc) from exc
        except _LOST as exc:
            raise httpcore2.ReadError(exc) from exc

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all bytes."""
        if not buffer:
            return
        try:
            if timeout is None:
                await self._stream.send(buffer)
            else:
                with anyio.fail_after(timeout):
                    await self._stream.send(buffer)
        except TimeoutError as exc:
            raise httpcore2.WriteTimeout(exc) from exc
        except _LOST as exc:
            raise httpcore2.WriteError(exc) from exc

    async def aclose(self) -> None:
        """Close the socket."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Return an encrypted stream over this one, which is closed if that fails."""
        try:
            with anyio.fail_after(timeout):
                encrypted = await TLSStream.wrap(
                    self._stream,
                    hostname=server_hostname,
                    ssl_context=ssl_context,
                    standard_compatible=False,
                    server_side=False,
                )
        except Exception as exc:
            await self.aclose()
            if isinstance(exc, TimeoutError):
                raise httpcore2.ConnectTimeout(exc) from exc
            if isinstance(exc, (anyio.BrokenResourceError, anyio.EndOfStream, ssl.SSLError)):
                raise httpcore2.ConnectError(exc) from exc
            raise
        return SocketStream(encrypted)

    def get_extra_info(self, info: str) -> Any:
        """Return a fact about the socket."""
        if info == "socket":
            return self._socket
        if info == "is_readable":
            return _is_readable(self._socket)
        attribute = _FACTS.get(info)
        return None if attribute is None else self._stream.extra(attribute, None)  # noqa: S610


class LoopBackend(httpcore2.AnyIOBackend):
    """Makes such streams."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to a host."""
        return await _connected(
            anyio.connect_tcp(host, port, local_host=local_address), timeout, socket_options
        )

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to a socket of this machine."""
        return await _connected(anyio.connect_unix(path), timeout, socket_options)


async def _connected(
    connecting: Awaitable[ByteStream],
    timeout: float | None,
    socket_options: Iterable[httpcore2.SOCKET_OPTION] | None,
) -> SocketStream:
    try:
        with anyio.fail_after(timeout):
            stream = await connecting
        sock = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - not Django's
        for option in socket_options or ():
            sock.setsockopt(*option)
    except TimeoutError as exc:
        raise httpcore2.ConnectTimeout(exc) from exc
    except (OSError, anyio.BrokenResourceError) as exc:
        raise httpcore2.ConnectError(exc) from exc
    return SocketStream(stream)


def _is_readable(sock: Any) -> bool:
    """Return whether there is something to read, as there is from a socket that is closed."""
    descriptor = -1 if sock is None else sock.fileno()
    if descriptor < 0:
        return True
    if not hasattr(select, "poll"):  # as on Windows
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
