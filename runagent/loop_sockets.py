"""Reads and writes of an event loop's sockets, with as little around them as it takes.

httpcore2's own look up the event loop's library and open a scope for each read and write, also for
those without a timeout. Many calls at once spend a tenth of their time there.
"""

from __future__ import annotations

import anyio
import httpcore2
from anyio.abc import ByteStream

_LOST = (anyio.BrokenResourceError, anyio.ClosedResourceError)
_LOST_IN_WRITING = (*_LOST, anyio.EndOfStream)  # as TLS may have to read for it


class DirectStream:
    """Reads and writes the bytes of a stream of httpcore2's; those with a timeout by its methods.

    Args:
        stream: The stream.
        socket: The stream of anyio's that it reads and writes itself.
    """

    def __init__(self, stream: httpcore2.AsyncNetworkStream, socket: ByteStream) -> None:
        self._stream = stream
        self._socket = socket

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return the next bytes, none at the end."""
        if timeout is not None:
            return await self._stream.read(max_bytes, timeout)
        try:
            return await self._socket.receive(max_bytes)
        except anyio.EndOfStream:
            return b""
        except TimeoutError as exc:  # of the system
            raise httpcore2.ReadTimeout(exc) from exc
        except _LOST as exc:
            raise httpcore2.ReadError(exc) from exc

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all bytes."""
        if timeout is not None:
            await self._stream.write(buffer, timeout)
        elif buffer:
            try:
                await self._socket.send(buffer)
            except TimeoutError as exc:
                raise httpcore2.WriteTimeout(exc) from exc
            except _LOST_IN_WRITING as exc:
                raise httpcore2.WriteError(exc) from exc


def direct(
    stream: httpcore2.AsyncNetworkStream,
) -> DirectStream | httpcore2.AsyncNetworkStream:
    """Return what reads and writes the bytes of a stream; another's stream does so itself."""
    socket = getattr(stream, "_stream", None)
    if isinstance(socket, ByteStream) and type(stream).__module__.startswith("httpcore2."):
        return DirectStream(stream, socket)
    return stream
