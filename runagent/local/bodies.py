"""The bodies of requests: how large, how slow and how many at a time they may be."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any, NoReturn

import anyio
from starlette.requests import Request

from runagent.errors import RunAgentError, ValidationError
from runagent.local.responses import disconnected

_LARGE = 1024 * 1024
"""Bytes from which a body counts as large."""

_LARGE_AT_A_TIME = 2
"""Large bodies that are received at a time; the others wait, with little of them in memory."""


class BodyReader:
    """Reads the inputs in requests' bodies, in bounded time and memory.

    Args:
        max_body: Bytes a body may have.
        timeout: Seconds a body may take to arrive.
    """

    def __init__(self, max_body: int, timeout: float) -> None:
        self._max_body = max_body
        self._timeout = timeout
        self._large = asyncio.Semaphore(_LARGE_AT_A_TIME)

    async def read(self, request: Request) -> dict[str, Any]:
        """Return the input in a request's body.

        Raises:
            ValidationError: The body is too large, or not a JSON object.
            RunAgentError: The body did not arrive in time, or its client went away.
        """
        with anyio.move_on_after(self._timeout) as limit:
            return _parse(await self._receive(request, limit))
        raise RunAgentError(
            f"The body did not arrive within {self._timeout:g} s.",
            code="REQUEST_TIMEOUT",
            status_code=408,
        )

    async def _receive(self, request: Request, limit: anyio.CancelScope) -> bytearray:
        self._check_size(int(request.headers.get("content-length", 0)))
        body = bytearray()
        more = True
        while more and len(body) <= _LARGE:
            more = await self._receive_part(request, body)
        if more:
            left = limit.deadline - anyio.current_time()
            limit.deadline = math.inf  # the wait for others is no fault of this client
            async with self._large:
                limit.deadline = anyio.current_time() + left
                while more:
                    more = await self._receive_part(request, body)
        return body

    async def _receive_part(self, request: Request, body: bytearray) -> bool:
        """Add a part to `body`; return whether there are more."""
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise disconnected()
        body += message.get("body", b"")
        self._check_size(len(body))
        return bool(message.get("more_body", False))

    def _check_size(self, size: int) -> None:
        if size > self._max_body:
            raise ValidationError(
                f"The body is larger than {self._max_body:,} bytes.",
                code="PAYLOAD_TOO_LARGE",
                status_code=413,
            )


def _parse(body: bytearray) -> dict[str, Any]:
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise ValidationError(
            f"The body is not JSON: {exc}.", code="INVALID_INPUT", status_code=400
        ) from exc
    if not isinstance(value, dict):
        raise ValidationError(
            f"The body has to be a JSON object, not {_JSON_NAMES[type(value)]}.",
            code="INVALID_INPUT",
            status_code=400,
        )
    return value


_JSON_NAMES = {
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")
