"""Real kernels and real terminals for the tests of what runs in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.kernel import Kernel, running_kernel
from support.terminal import TerminalIPython


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    """Return a freshly started kernel."""
    with running_kernel(tmp_path) as kernel:
        yield kernel


@pytest.fixture(scope="module")
def shared_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """Return a kernel that the tests of a module share: fast, but it remembers."""
    with running_kernel(tmp_path_factory.mktemp("shared")) as kernel:
        yield kernel


@pytest.fixture
def start_kernel(tmp_path: Path) -> Iterator[Callable[..., Kernel]]:
    """Start kernels with options, such as `environment={...}`."""
    with ExitStack() as stack:

        def start(**options: Any) -> Kernel:
            return stack.enter_context(running_kernel(tmp_path, **options))

        yield start


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[TerminalIPython]:
    """Return a freshly started terminal IPython."""
    with TerminalIPython(tmp_path) as terminal:
        yield terminal
