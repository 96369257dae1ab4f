"""Where chromium is on this machine, and how tests start it: nothing of it reaches the internet."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from support.clock import PATIENCE, milliseconds

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    # Names are not even looked up: only loopback is there.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


def _path() -> str:
    """Return the path of chromium or Chrome.

    Raises:
        FileNotFoundError: Neither is installed.
    """
    for name in _NAMES:
        if path := shutil.which(name):
            return path
    raise FileNotFoundError(
        "Browser tests need chromium or Chrome. Install one so that it is on the PATH; "
        "on Debian and Ubuntu: apt-get install chromium"
    )


def _arguments() -> list[str]:
    """Return the command-line arguments to start chromium with."""
    # Its sandbox does not work for root, as in a container.
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return [*ARGUMENTS, *sandbox]


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """Start chromium; close it at the end of the `with` block."""
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=_path(), args=_arguments()) as browser,
    ):
        yield browser


def new_page(browser: Browser, **options: Any) -> Page:
    """Return a page of its own context, made with these options, that waits as tests do."""
    page = browser.new_page(**options)
    page.set_default_timeout(milliseconds(PATIENCE))
    return page
