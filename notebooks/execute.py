"""Executes notebooks in real kernels: prints what they output as it comes, or saves it in them."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from notebooks.saved_outputs import clean, keep_equal

FOLDER = Path(__file__).parents[1] / "docs" / "tutorials"

_KEPT = ("PATH", "TMPDIR", "SYSTEMROOT")
"""Variables of the environment that the kernel has."""


class StreamingClient(NotebookClient):
    """Prints each cell's source when it starts, and its output while it grows."""

    def __init__(self, notebook: nbformat.NotebookNode, **options: Any) -> None:
        super().__init__(
            notebook,
            on_cell_start=self._cell_starts,
            on_notebook_complete=lambda **_: self._end_output(),
            **options,
        )
        self._text = ""
        self._printed = ""

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        """Apply a message to the cell, as always, and print what is new."""
        processed = super().process_message(msg, cell, cell_index)
        self._print_new(cell)
        return processed

    def _cell_starts(self, cell: Any, cell_index: int) -> None:
        self._end_output()
        if cell.cell_type == "code":
            print("", *(f">>> {line}" for line in cell.source.splitlines()), sep="\n", flush=True)
        else:
            print(f"\n{cell.source}", flush=True)

    def _print_new(self, cell: Any) -> None:
        self._text = "".join(_as_text(output) for output in cell.outputs)
        # An output that is replaced while it streams begins with what it was.
        if self._text.startswith(self._printed):
            print(self._text[len(self._printed) :], end="", flush=True)
            self._printed = self._text

    def _end_output(self) -> None:
        if not self._text.startswith(self._printed):
            print(f"\n{self._text}", end="")
        if self._printed and not self._printed.endswith("\n"):
            print()
        self._text = self._printed = ""


def _as_text(output: Any) -> str:
    if output.output_type == "stream":
        return str(output.text)
    if output.output_type == "error":
        return "\n".join(output.traceback)
    return str(output.data.get("text/plain", ""))


def bring_data(folder: Path) -> None:
    """Copy the files that the notebooks read into the folder in which they are executed."""
    for path in FOLDER.glob("*.csv"):
        shutil.copy(path, folder)


def run(path: Path, kind: type[NotebookClient] = NotebookClient) -> nbformat.NotebookNode:
    """Execute a notebook away from its folder and from your settings.

    Args:
        path: The notebook's file, which is not changed.
        kind: The class of the client that executes it.

    Returns:
        The notebook with its outputs.

    Raises:
        CellExecutionError: A cell failed that was not meant to.
    """
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    with tempfile.TemporaryDirectory() as folder:
        bring_data(Path(folder))
        client = kind(
            notebook,
            timeout=300,
            resources={"metadata": {"path": folder}},
            extra_arguments=["--log-level=ERROR"],
            coalesce_streams=True,
        )
        asyncio.run(client.async_execute(env={**kept, "HOME": folder}))
    return notebook


def save(path: Path) -> None:
    """Execute a notebook, and save what it shows."""
    earlier = nbformat.read(path, as_version=4)
    notebook = run(path)
    clean(notebook)
    keep_equal(notebook, earlier)
    if notebook != earlier:
        nbformat.write(notebook, path)
        print(f"{path} is saved with new outputs.")


def main(arguments: Sequence[str]) -> int:
    """Execute the notebooks that the command line names; return 0 if every cell did its part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help="save the outputs in the notebooks")
    parser.add_argument("notebook", type=Path, nargs="+", help="a notebook's file")
    options = parser.parse_args(arguments)
    for path in options.notebook:
        if not path.is_file():
            print(f"There is no notebook {path}.", file=sys.stderr)
            return 1
        try:
            save(path) if options.save else run(path, StreamingClient)
        except CellExecutionError as error:
            print(f"\nA cell of {path} failed: {error.ename}: {error.evalue}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
