"""uvicorn as one thread of a program needs it, with limits on connections and on their silence."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from contextlib import suppress
from functools import partial
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from runagent.local.app import App

GRACE = 3.0
"""Seconds that calls in flight have to end when the server closes; then they are cut off."""

_IDLE = 75
"""Seconds that an unused connection stays open: longer than any client's pool keeps one."""

_MAX_CONNECTIONS = 500
"""Below the 1024 descriptors that most systems give a process."""


class HTTPServer(uvicorn.Server):
    """uvicorn without its signal handlers, its logging and its polling."""

    def __init__(self, app: App, request_timeout: float) -> None:
        config = uvicorn.Config(
            app.asgi,
            loop="asyncio",
            http=partial(_Protocol, request_timeout),  # type: ignore[arg-type] # it is called only
            ws="none",
            lifespan="off",
            log_config=None,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_keep_alive=_IDLE,
        )
        super().__init__(config)
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self._app = app
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """End serving; may be called from any thread, and by several at once."""
        with suppress(RuntimeError):  # the loop is closed already
            self.loop.call_soon_threadsafe(self._stop.set)

    async def main_loop(self) -> None:
        """Wait until `stop` is called."""
        self.ready.set()
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the calls in flight and close their connections, by force after a while."""
        del sockets  # the base class would look at the connections every tenth of a second
        for listener in self.servers:
            listener.close()
        self._app.end_calls()
        connections = self.server_state.connections
        for connection in list(connections):
            connection.shutdown()
        last = self.loop.time() + GRACE
        while connections and self.loop.time() < last:  # noqa: ASYNC110 - uvicorn has no event
            await asyncio.sleep(0.01)
        for connection in list(connections):
            connection.transport.abort()  # its client does not read the end of its response
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=GRACE)
        await self._app.wait_for_agents(max(last - self.loop.time(), 0))


class _Protocol(H11Protocol):
    """uvicorn's side of one connection, with a limit on the time that a request's head takes."""

    def __init__(self, request_timeout: float, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False
        self.logger = logging.getLogger("runagent.local.http")
        self._request_timeout = request_timeout
        self._limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.trailing_data[0]:  # the next request has begun
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._watch(is_lost=True)

    def _watch(self, *, is_lost: bool = False) -> None:
        """Start or stop the time limit: it runs while a head, or an unread rest, is incomplete."""
        is_waiting = self.conn.their_state is h11.IDLE or self.conn.our_state is h11.DONE
        if is_waiting and not is_lost:
            if self._limit is None:
                self._limit = self.loop.call_later(
                    self._request_timeout, self.timeout_keep_alive_handler
                )
        elif self._limit is not None:
            self._limit.cancel()
            self._limit = None
