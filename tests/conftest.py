"""What holds for every test: a home of its own, no settings of the user, an order."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from support.isolation import isolated_environment

# A shell that starts the tests in the background has them ignore Ctrl-C, and all they start too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Move HOME and all of Jupyter's directories below `tmp_path`, for subprocesses too."""
    environment = isolated_environment(tmp_path)
    for name in os.environ.keys() - environment.keys():
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run browser tests last, as Playwright's event loop stays on the main thread.

    Those against upstream's server come first: one of them waits for most of a minute.
    """
    items.sort(
        key=lambda item: (
            item.get_closest_marker("browser") is not None,
            item.get_closest_marker("upstream") is None,
        )
    )
