"""A server for agents: a real HTTP server in a thread of this process."""

from __future__ import annotations

import asyncio
import atexit
import ipaddress
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, final

from runagent.local import http_server
from runagent.local.address import Address, bind
from runagent.local.agents import Agent, default_id
from runagent.local.app import App
from runagent.local.limits import Limits
from runagent.waitable_thread import WaitableThread


def serve(
    agents: Mapping[str, Callable[..., Any]] | Callable[..., Any] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    api_key: str | None = None,
    keep_alive: float = Limits.keep_alive,
    max_body: int = Limits.max_body,
    request_timeout: float = Limits.request_timeout,
) -> Server:
    """Serve Python functions as agents, in a background thread, until the server is closed.

    >>> def answer(query):
    ...     return f"You asked: {query}"
    >>> with serve({"agent-123": answer}) as server:
    ...     RunAgentClient("agent-123", base_url=server.url).run({"query": "Why?"})
    'You asked: Why?'

    An agent is any callable whose parameters can be passed by keyword. A function that returns a
    value answers a stream with one chunk. A function that yields, or returns an iterator, answers
    an invocation with all its chunks: one string if all are strings, else a list. Async functions
    share the server's event loop and must not block it; every other call runs in its own thread.
    An agent raises `runagent.ValidationError` to refuse its input, and `runagent.RateLimitError`
    to refuse the call. The logger `runagent.local` logs the traceback of any other exception.

    The server serves 500 connections at a time, and answers 503 on others.

    Args:
        agents: The functions by agent id, or one function, whose name is its id.
        host: The address to bind to. Other machines can reach the functions unless it is a loopback
            address.
        port: The port, 0 for a free one.
        api_key: The key that requests must carry, `None` (the default) to ask for none.
        keep_alive: Seconds of silence after which a stream sends a sign of life, 15 by default.
        max_body: Bytes the body of a request may have, 64 MiB by default.
        request_timeout: Seconds that a client has to send the head of a request, and as many again
            for its body, 30 by default.

    Returns:
        The running server, a context manager that closes itself.

    Raises:
        OSError: The address is not available; the port may be in use.
        TypeError: A value is not a function: it is a class, or cannot be called.
        ValueError: An agent id, a function's parameters, the port, the key or a limit cannot be
            used.
    """
    limits = Limits(keep_alive, max_body, request_timeout)
    if agents is None:
        agents = {}
    elif not isinstance(agents, Mapping):
        agents = {default_id(agents): agents}
    served = {agent_id: Agent(agent_id, function) for agent_id, function in agents.items()}
    return Server(served, bind(host, port, api_key), limits)


@final
class Server:
    """Agents that answer over HTTP; made by `serve`.

    >>> server = serve(shout)  # a function that you have
    >>> server.agents, server.is_loopback
    (['shout'], True)
    >>> RunAgentClient("shout", base_url=server.url).run({"query": "Hello"})
    'HELLO'
    >>> server.close()

    Attributes:
        host: The address it is bound to.
        port: The port it is bound to.
        is_loopback: Whether only this machine can reach it.
    """

    def __init__(self, agents: dict[str, Agent], address: Address, limits: Limits) -> None:
        self._agents = agents
        self._socket = address.socket
        self.host = address.host
        self.port = address.port
        self.is_loopback = ipaddress.ip_address(self._socket.getsockname()[0]).is_loopback
        app = App(agents, api_key=address.api_key, loopback=self.is_loopback, limits=limits)
        address.listen()
        self._http = http_server.HTTPServer(app, limits.request_timeout)
        self._thread = WaitableThread(self._serve, "runagent-local")
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
        """Serve one more function, or replace the function that an id stands for.

        Raises:
            TypeError: As `serve` does.
            ValueError: As `serve` does.

        Example:
            >>> with serve({}) as server:
            ...     server.add("agent-123", shout)
            ...     RunAgentClient("agent-123", base_url=server.url).run({"query": "Hello"})
            'HELLO'
        """
        self._agents[agent_id] = Agent(agent_id, function)

    def wait(self) -> None:
        """Return when another thread has closed the server; Ctrl-C interrupts the wait.

        Example:
            >>> server = serve(shout)
            >>> closing = threading.Timer(0.1, server.close)
            >>> closing.start()
            >>> server.wait()
        """
        self._thread.wait()

    def close(self) -> None:
        """Stop listening and end the calls in flight with an error; do nothing if closed.

        Example:
            >>> server = serve(shout)
            >>> server.close()
            >>> server
            <Server http://127.0.0.1:... (closed) agents=['shout']>
        """
        _open.discard(self)
        if self._thread.has_ended:
            return
        self._http.stop()
        is_other = threading.current_thread() is not self._thread
        if is_other and self._thread.wait(2 * http_server.GRACE):
            self._thread.join()

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
        state = " (closed)" if self._thread.has_ended else ""
        return f"<Server {self.url}{state} agents={self.agents}>"

    def _serve(self) -> None:
        loop = self._http.loop
        serving = loop.create_task(self._http.serve(sockets=[self._socket]))
        while not serving.done():
            # A task that an agent started may raise these; asyncio does not stop them.
            with suppress(SystemExit, KeyboardInterrupt):
                loop.run_until_complete(serving)
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=http_server.GRACE))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        self._socket.close()

    def _let_go(self) -> None:
        self._socket.close()


_open: set[Server] = set()


def _close_all() -> None:
    for server in list(_open):
        server.close()


def _let_go() -> None:
    """Close the sockets' copies in a forked process, where the servers' threads do not exist."""
    for server in _open:
        server._let_go()  # noqa: SLF001 - this file's own
    _open.clear()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
