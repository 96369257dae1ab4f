"""`make quickstart` opens JupyterLab on a copy of the lesson, asks nothing, and shows no clutter."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from support.chromium import new_page
from support.clock import until
from support.isolation import isolated_environment
from support.lab import ROOT
from support.programs import end

ORIGINAL = ROOT / "docs" / "tutorials" / "quickstart.ipynb"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Start what `make quickstart` starts, without a browser; return the page's address."""
    token = secrets.token_hex(16)
    environment = isolated_environment(tmp_path)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "notebooks.open", "quickstart.ipynb"),
            *("--folder", str(tmp_path / "playground")),
            *("--ServerApp.open_browser=False", "--ServerApp.port=0"),
            f"--IdentityProvider.token={token}",
        ],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    facts = Path(environment["JUPYTER_RUNTIME_DIR"]) / f"jpserver-{process.pid}.json"
    try:
        until(lambda: facts.exists() and facts.read_text().endswith("}"))
        yield f"{json.loads(facts.read_text())['url']}lab/tree/quickstart.ipynb?token={token}"
    finally:
        end(process)


def test_the_quickstart(address: str, browser: Browser, tmp_path: Path) -> None:
    original = ORIGINAL.read_bytes()
    page = new_page(browser)
    page.goto(address)
    expect(page.get_by_role("heading", name="RunAgent in ten minutes")).to_be_visible()
    # The lesson's picture is there, and the kernel that it names has started.
    page.wait_for_function("document.querySelector('.jp-Cell img')?.naturalWidth > 0")
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()
    expect(page.locator(".jp-Dialog, .Toastify__toast")).to_have_count(0)
    expect(page.get_by_role("tab", name="Extension Manager")).to_have_count(0)
    page.get_by_text("%load_ext runagent_jupyter").click()
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Shift+Enter")
    expect(page.get_by_role("heading", name="Hello from the demo agent")).to_be_visible()
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()
    page.keyboard.press("Control+s")
    copy = tmp_path / "playground" / "quickstart.ipynb"
    until(lambda: "Hello from the demo agent" in copy.read_text("utf-8"))
    assert ORIGINAL.read_bytes() == original
    page.close()
