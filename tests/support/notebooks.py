"""Executes whole notebooks with nbclient, as papermill and `nbconvert --execute` do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from support.clock import PATIENCE


def execute(notebook: nbformat.NotebookNode, **options: Any) -> nbformat.NotebookNode:
    """Execute a notebook in place and return it; the options are those of `NotebookClient`."""
    Path.home().mkdir(parents=True, exist_ok=True)  # IPython warns where it is missing
    client = NotebookClient(notebook, timeout=PATIENCE, startup_timeout=PATIENCE, **options)
    return client.execute()


def executed(*cells: str) -> nbformat.NotebookNode:
    """Return a notebook of these cells, executed."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    return execute(notebook, kernel_name="python3")
