"""The real server of the upstream package, one for all tests, and one that a test may stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.upstream_server import UpstreamServer, upstream_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpstreamServer]:
    """Return the server that all tests share."""
    with upstream_server(tmp_path_factory.mktemp("upstream")) as server:
        yield server


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[[], UpstreamServer]]:
    """Start a server of this test's own."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(upstream_server(tmp_path / "upstream"))
