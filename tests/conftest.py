"""Rules for every test: a home of its own, no settings of the user, an order."""

from __future__ import annotations

import gc
import importlib.util
import itertools
import os
import signal

import pytest
from support.isolation import isolated_environment

# A shell that starts the tests in the background has them ignore Ctrl-C, and all they start too.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure() -> None:
    """Let Hypothesis take its time: a busy machine exceeds its limit of 0.2 s for an example."""
    if importlib.util.find_spec("hypothesis"):  # the tests of some sessions do without
        from hypothesis import HealthCheck, settings

        patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
        settings.register_profile("patient", patient)
        settings.load_profile("patient")


_numbers = itertools.count()


@pytest.fixture(autouse=True)
def isolated(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Move HOME and all of Jupyter's directories below `tmp_path`, for subprocesses too.

    A test that asks for no `tmp_path` has a HOME that does not exist: making and removing the
    directories takes longer than most tests.
    """
    asks = "tmp_path" in request.fixturenames
    if asks:
        root = request.getfixturevalue("tmp_path")
    else:
        root = tmp_path_factory.getbasetemp() / f"nowhere-{next(_numbers)}"
    environment = isolated_environment(root, make=asks)
    for name in os.environ.keys() - environment.keys():
        monkeypatch.delenv(name)
    for name, value in environment.items():
        if os.environ.get(name) != value:
            monkeypatch.setenv(name, value)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rows",
        type=int,
        metavar="N",
        help="of each test with a table of parameters, run N rows, spread over the table",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what `--rows` leaves out, and put the rest in order.

    Browser tests come last, as Playwright's event loop stays on the main thread, and those against
    upstream's server come first: one of them waits for most of a minute.
    """
    rows = config.getoption("rows")
    if rows is not None:
        items[:] = _spread(items, rows, config)
    items.sort(
        key=lambda item: (
            item.get_closest_marker("browser") is not None,
            item.get_closest_marker("upstream") is None,
        )
    )


def pytest_collection_finish() -> None:
    """Spare every garbage collection in a test, and in its forks, a look at the modules of all tests."""
    gc.collect()
    gc.freeze()


def _spread(items: list[pytest.Item], rows: int, config: pytest.Config) -> list[pytest.Item]:
    """Return the items with at most `rows` of each table: the first, the last, and some between."""
    tables: dict[str, list[pytest.Item]] = {}
    for item in items:
        tables.setdefault(item.nodeid.partition("[")[0], []).append(item)
    kept = []
    for table in tables.values():
        steps = min(rows, len(table))
        kept += [table[i * (len(table) - 1) // max(steps - 1, 1)] for i in range(steps)]
    chosen = set(kept)
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    return kept
