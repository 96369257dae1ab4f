"""One JupyterLab, in one page of one chromium, for all browser tests; a fresh kernel for each."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from support.beacon import Beacon
from support.chromium import running_chromium
from support.clock import PATIENCE, milliseconds
from support.lab import Lab
from support.lab_server import LabServer

_HERE = Path(__file__).parent
_PASSED = pytest.StashKey[bool]()

expect.set_options(timeout=milliseconds(PATIENCE))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test in this directory."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return a running chromium, for tests that need no JupyterLab."""
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """Return a running JupyterLab server."""
    with LabServer(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(scope="session")
def shared_lab(lab_server: LabServer, browser: Browser) -> Lab:
    """Return the JupyterLab that all tests share."""
    return Lab(lab_server, browser)


@pytest.fixture
def lab(shared_lab: Lab, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Return JupyterLab; notebooks and kernels of the test end with it."""
    yield shared_lab
    shared_lab.reset(keep_page=_PASSED in request.node.stash)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember which tests passed."""
    report = yield
    if report.when == "call" and report.passed:
        item.stash[_PASSED] = True
    return report


@pytest.fixture
def beacon() -> Iterator[Beacon]:
    """Return a server that no attack must reach."""
    beacon = Beacon()
    yield beacon
    beacon.close()
