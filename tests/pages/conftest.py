from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.kernel import Kernel


@pytest.fixture(scope="session")
def page_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel for the notebooks of all pages, because starting one takes longer than a page does."""
    with Kernel(tmp_path_factory.mktemp("pages")) as kernel:
        kernel.execute("%load_ext runagent_jupyter").ok()
        yield kernel


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a reader works in."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    return folder
