"""Executes a notebook in a real kernel and prints its cells and what they output, as it comes."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError


class StreamingClient(NotebookClient):
    """Prints each cell's source when it starts, and its output while it grows."""

    def __init__(self, notebook: nbformat.NotebookNode, **options: Any) -> None:
        super().__init__(
            notebook,
            on_cell_start=self._cell_starts,
            on_notebook_complete=lambda **_: self._end_output(),
            extra_arguments=["--log-level=ERROR"],
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


def main(path: Path) -> int:
    """Execute the notebook at `path`; return 0 if every cell succeeded, else 1."""
    if not path.is_file():
        print(f"There is no notebook {path}.", file=sys.stderr)
        return 1
    notebook = nbformat.read(path, as_version=4)
    client = StreamingClient(
        notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}
    )
    try:
        asyncio.run(client.async_execute())
    except CellExecutionError as error:
        print(f"\nA cell of {path} failed: {error.ename}: {error.evalue}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
