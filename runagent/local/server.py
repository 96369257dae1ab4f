"""A server for agents: a real HTTP server in a thread of this process."""

from __future__ import annotations

import asyncio
import atexit
import ipaddress
import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from runagent.local.agents import Agent, default_id
from runagent.local.app import App

_GRACE = 3.0
"""Seconds that calls in flight have to end when the server closes, before they are cut off."""

_MAX_PORT = 65535

_IDLE = 75
"""Seconds an unused connection stays open: longer than any client's pool keeps one."""


def serve(
    agents: Mapping[str, Callable[..., Any]] | Callable[..., Any] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    api_key: str | None = None,
    keep_alive: float = 15.0,
    max_body: int = 64 * 1024 * 1024,
) -> Server:
    """Serve Python functions as agents, in a background thread, until the server is closed.

        with serve({"agent-123": answer}) as server:
            client = RunAgentClient("agent-123", base_url=server.url)

    Anything that can be called and has parameters that can be given by keyword will do. What
    returns a value answers a stream with one chunk; what yields, or returns an iterator, answers an
    invocation with all chunks: one string if all are strings, else a list. Async functions share
    the server's event loop and must not block it; everything else runs in a thread for each call.
    An agent raises `runagent.ValidationError` to refuse its input, `runagent.RateLimitError` to
    refuse the call. The traceback of anything else it raises is logged by `runagent.local`.

    Args:
        agents: The functions by agent id, or one function, whose name is its id.
        host: The address to bind to; others can reach this machine's functions where it is not a
            loopback address.
        port: The port, 0 for a free one.
        api_key: The key that requests must bear, `None` (the default) to ask for none.
        keep_alive: Seconds of silence after which a stream sends a sign of life.
        max_body: Bytes the body of a request may have, 64 MiB by default.

    Returns:
        The running server, a context manager that closes itself.

    Raises:
        OSError: The address is not available, the port in use for example.
        TypeError: Something cannot be served: it is a class, or cannot be called.
        ValueError: An agent id, a function's parameters, the port or the key cannot be used.
    """
    if not keep_alive > 0:
        raise ValueError(f"keep_alive is {keep_alive!r}, not a positive number of seconds.")
    if agents is None:
        agents = {}
    elif not isinstance(agents, Mapping):
        agents = {default_id(agents): agents}
    served = {agent_id: Agent(agent_id, function) for agent_id, function in agents.items()}
    return Server(
        served, host=host, port=port, api_key=api_key, keep_alive=keep_alive, max_body=max_body
    )


@final
class Server:
    """Agents that answer over HTTP; made by `serve`.

    Attributes:
        host: The address it is bound to.
        port: The port it is bound to.
        is_loopback: Whether only this machine can reach it.
    """

    def __init__(
        self,
        agents: dict[str, Agent],
        *,
        host: str,
        port: int,
        api_key: str | None,
        keep_alive: float,
        max_body: int,
    ) -> None:
        if api_key is not None and not (api_key.isascii() and api_key.isprintable() and api_key):
            raise ValueError("api_key has to be printable ASCII characters, at least one.")
        self._agents = agents
        self._socket = _listen(host, port)
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self.is_loopback = ipaddress.ip_address(self._socket.getsockname()[0]).is_loopback
        app = App(
            agents,
            api_key=api_key,
            loopback=self.is_loopback,
            keep_alive=keep_alive,
            max_body=max_body,
        )
        self._http = _HTTPServer(app)
        self._thread = threading.Thread(target=self._run, name="runagent-local", daemon=True)
        self._thread.start()
        self._http.ready.wait()
        _open.add(self)

    @property
    def url(self) -> str:
        """The base URL for clients."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def agents(self) -> list[str]:
        """The ids of the agents it serves, sorted."""
        return sorted(self._agents)

    def add(self, agent_id: str, function: Callable[..., Any]) -> None:
        """Serve one more function, or another one under an id that is served already.

        Raises:
            TypeError: As `serve` does.
            ValueError: As `serve` does.
        """
        self._agents[agent_id] = Agent(agent_id, function)

    def wait(self) -> None:
        """Return when the server has been closed, by another thread; Ctrl-C interrupts this."""
        while self._thread.is_alive():
            self._thread.join(1.0)  # without a limit, Windows would not notice Ctrl-C

    def close(self) -> None:
        """Stop listening and end the calls in flight with an error; again is no error."""
        _open.discard(self)
        if self._thread.is_alive():
            self._http.stop()
            if threading.current_thread() is not self._thread:
                self._thread.join(2 * _GRACE)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "" if self._thread.is_alive() else " (closed)"
        return f"<Server {self.url}{state} agents={self.agents}>"

    def _run(self) -> None:
        loop = self._http.loop
        serving = loop.create_task(self._http.serve(sockets=[self._socket]))
        while not serving.done():
            # A task that an agent started may raise these, and asyncio lets them through to here.
            with suppress(SystemExit, KeyboardInterrupt):
                loop.run_until_complete(serving)
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=_GRACE))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        self._socket.close()


_open: set[Server] = set()


def _close_all() -> None:
    for server in list(_open):
        server.close()


def _let_go() -> None:
    """In a forked process: close its copy of the sockets; the threads exist in the parent only."""
    for server in _open:
        server._socket.close()  # noqa: SLF001 - this file's own
    _open.clear()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


class _HTTPServer(uvicorn.Server):
    """uvicorn, without its signal handlers, its logging and its ten looks a second at the time."""

    def __init__(self, app: App) -> None:
        config = uvicorn.Config(
            app.asgi,
            loop="asyncio",
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=_IDLE,
        )
        super().__init__(config)
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self._app = app
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """End serving; called from any thread, perhaps by several at once."""
        with suppress(RuntimeError):  # the loop is closed already
            self.loop.call_soon_threadsafe(self._stop.set)

    async def main_loop(self) -> None:
        self.ready.set()
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        del sockets  # the base's wait between looks at the connections would be a tenth of a second
        for listener in self.servers:
            listener.close()
        self._app.end_calls()
        connections = self.server_state.connections
        for connection in list(connections):
            connection.shutdown()
        last = self.loop.time() + _GRACE
        while connections and self.loop.time() < last:  # noqa: ASYNC110 - uvicorn has no event
            await asyncio.sleep(0.01)
        for connection in list(connections):
            connection.transport.abort()  # its client does not read what it was sent
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=_GRACE)


class _Protocol(H11Protocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False
        self.logger = logging.getLogger("runagent.local.http")


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens: connections queue from now on, no request is refused."""
    if not 0 <= port <= _MAX_PORT:
        raise ValueError(f"port is {port!r}, not a number from 0 to {_MAX_PORT}.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # elsewhere, it lets two servers share a port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(2048)
        except OSError:
            listener.close()
            raise
    except OSError as exc:
        raise OSError(exc.errno, f"Cannot listen on {host}:{port}: {exc.strerror}") from exc
    return listener
