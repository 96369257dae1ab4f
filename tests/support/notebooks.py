"""Executes whole notebooks with nbclient, as papermill and `nbconvert --execute` do."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

from support.clock import PATIENCE


@contextmanager
def kernel_sockets() -> Iterator[Config]:
    """Yield a configuration for one kernel, which then listens on sockets in a folder of its own.

    By default, a kernel gets numbers of ports that were free, and fails if another program has taken
    one by the time the kernel binds it. These sockets hold some 2,000 messages, fewer than those of
    a network do, and what comes after them is lost: they are for notebooks that output little.
    """
    with tempfile.TemporaryDirectory(prefix="kernel-") as folder:
        yield Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/channel"}})


def execute(notebook: nbformat.NotebookNode, **options: Any) -> nbformat.NotebookNode:
    """Execute a notebook in place and return it; the options are those of `NotebookClient`."""
    Path.home().mkdir(parents=True, exist_ok=True)  # IPython warns where it is missing
    with kernel_sockets() as config:
        client = NotebookClient(
            notebook, config=config, timeout=PATIENCE, startup_timeout=PATIENCE, **options
        )
        return client.execute()


def executed(*cells: str) -> nbformat.NotebookNode:
    """Return a notebook of these cells, executed."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    return execute(notebook, kernel_name="python3")
