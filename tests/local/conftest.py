"""Servers on free loopback ports, and plain HTTP clients to ask them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest
from support.callers import Caller
from support.clock import PATIENCE

from runagent.local import serve


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start(stack: ExitStack) -> Callable[..., Caller]:
    """Serve agents and return what calls them; a lone function is the agent `a`."""

    def start(agents: Mapping[str, Any] | Callable[..., Any], **options: Any) -> Caller:
        if not isinstance(agents, Mapping):
            agents = {"a": agents}
        server = stack.enter_context(serve(agents, **options))
        http = httpx2.Client(base_url=server.url, trust_env=False, verify=False, timeout=PATIENCE)
        return Caller(server, stack.enter_context(http))

    return start
