"""One JupyterLab and one chromium for all browser tests; a page and a kernel of its own for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright
from support.beacon import Beacon
from support.chromium import chromium_arguments, chromium_path
from support.clock import PATIENCE, milliseconds
from support.lab import Lab, LabServer

_HERE = Path(__file__).parent

expect.set_options(timeout=milliseconds(PATIENCE))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test in this directory."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return a running chromium, for tests that need no JupyterLab."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_path(), args=chromium_arguments()
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """Return a running JupyterLab server."""
    with LabServer(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture
def lab(lab_server: LabServer, browser: Browser) -> Iterator[Lab]:
    """Return JupyterLab; pages and kernels of the test end with it."""
    lab = Lab(lab_server, browser)
    yield lab
    lab.reset()


@pytest.fixture
def beacon() -> Iterator[Beacon]:
    """Return a server that no attack must reach."""
    beacon = Beacon()
    yield beacon
    beacon.close()
