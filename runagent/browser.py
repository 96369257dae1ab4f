"""Connections in a browser (Pyodide, JupyterLite): requests over the page's `fetch`.

The browser chooses connections, proxies and trusted certificates. It lets a page call another
origin only if the server there allows it (CORS).
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from js import AbortController, Object, fetch  # type: ignore[import-not-found]
from pyodide.ffi import JsException, to_js  # type: ignore[import-not-found]

from runagent.errors import RunAgentError
from runagent.interrupt import current_io
from runagent.time_limits import move_on_after

_OF_THE_BROWSER = {"accept-encoding", "connection", "content-length", "host", "user-agent"}
"""Headers of a request that the browser sets itself."""

_OF_THE_ENCODED = {"content-encoding", "content-length"}
"""Headers of a response that do not hold for its body, which the browser has decoded."""


class FetchTransport(httpx2.AsyncBaseTransport):
    """Sends requests with `fetch`, and ends one as soon as nobody waits for it any more."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, and return the response once its headers have come.

        Raises:
            httpx2.ReadError: There is no response, and the browser tells nobody why.
            httpx2.RemoteProtocolError: The response is a redirect, which a page cannot read.
            RunAgentError: The request asks for a WebSocket.
        """
        if "upgrade" in request.headers:
            raise RunAgentError(
                "Streams of `runagent serve` come over a WebSocket, which this client cannot open "
                "in a browser.",
                code="NOT_IN_BROWSER",
                hint="Ask for the whole answer, with run() or run_generic().",
            )
        io = current_io()
        if io is not None:
            io.connected = True  # or not: nobody knows, so the agent may have run
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        abort = AbortController.new()
        body = b"".join([piece async for piece in request.stream])
        options = {
            "method": request.method,
            "headers": {k: v for k, v in request.headers.items() if k not in _OF_THE_BROWSER},
            "signal": abort.signal,
            "credentials": "omit",  # no cookies
            "cache": "no-store",
            "redirect": "manual",  # the key goes to no other server
        }
        if body:
            options["body"] = body
        try:
            response = await fetch(
                str(request.url), to_js(options, dict_converter=Object.fromEntries)
            )
        except JsException as error:
            raise httpx2.ReadError(
                f"{error.message} (the server is not reachable, broke off, or does not allow "
                "calls from this page's origin)",
                request=request,
            ) from None
        except BaseException:
            abort.abort()
            raise
        if response.status == 0:
            raise httpx2.RemoteProtocolError("The server redirects elsewhere.", request=request)
        seconds = request.extensions.get("timeout", {}).get("read")
        return httpx2.Response(
            response.status,
            headers=[
                (name, value)
                for name, value in response.headers.entries()
                if name not in _OF_THE_ENCODED
            ],
            stream=_Body(response.body, abort, math.inf if seconds is None else seconds),
            request=request,
        )


class _Body(httpx2.AsyncByteStream):
    """The body of a response, as it comes.

    Args:
        body: The stream of the browser; `None` for an empty body.
        abort: Ends the request.
        seconds: How long the server may be silent.
    """

    def __init__(self, body: Any, abort: Any, seconds: float) -> None:
        self._reader = None if body is None else body.getReader()
        self._abort = abort
        self._seconds = seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._reader is not None:
            try:
                with move_on_after(self._seconds) as waiting:
                    piece = await self._reader.read()
            except JsException as error:
                raise httpx2.ReadError(error.message) from None
            if waiting.cancelled_caught:
                raise httpx2.ReadTimeout("The server was silent.")
            if piece.done:
                return
            yield piece.value.to_bytes()

    async def aclose(self) -> None:
        """End the request, if the server has not."""
        self._reader = None
        self._abort.abort()
