"""The outputs that the notebooks are saved with: what is kept of a run, and what tells two runs apart."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import nbformat

VARIES = "varies"
"""The tag of a cell whose text is not the same in each run: only its kinds of outputs are."""

_LIVE = "application/vnd.jupyter.widget-view+json"

_VARYING = {
    r"\breq_[0-9a-f]{16}\b": "REQUEST",
    r"\b[0-9a-f]{32}\b": "ID",
    r"\b\d[\d,.]*/s\b": "RATE",
    r"\b\d+(\.\d+)? ?(ms|s)\b": "SECONDS",
    r"\b\d{4}-\d\d-\d\d( \d\d:\d\d)?\b": "DATE",
    r"\b\d\d:\d\d\b": "CLOCK",
    r"(?<=127\.0\.0\.1:)\d+": "PORT",
}
"""What is another in each run, as patterns, by what stands for it while two runs are compared."""


def clean(notebook: nbformat.NotebookNode) -> None:
    """Leave in a notebook only what a reader without a kernel sees, and nothing of the machine."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python", "pygments_lexer": "ipython3"},
        }
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k == "tags"})
        if cell.cell_type == "code":
            # A chat leaves a copy for such readers beside its live view.
            cell.outputs = [o for o in cell.outputs if _LIVE not in o.get("data", {})]


def strip(notebook: nbformat.NotebookNode) -> None:
    """Take the outputs out of a notebook."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
            cell.execution_count = None


def keep_equal(notebook: nbformat.NotebookNode, earlier: nbformat.NotebookNode) -> None:
    """Put outputs of an earlier run in the place of those that say the same, but for their times.

    So a run that shows nothing new changes nothing in the file.
    """
    known = {cell.id: cell for cell in earlier.cells if cell.cell_type == "code"}
    for cell in notebook.cells:
        before = known.get(cell.get("id"))
        if cell.cell_type != "code" or before is None or before.source != cell.source:
            continue
        if _as_saved(before) == _as_saved(cell):
            cell.outputs = before.outputs
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = cell.execution_count


def differences(
    saved: nbformat.NotebookNode, executed: nbformat.NotebookNode
) -> dict[str, tuple[Any, Any]]:
    """Compare what the cells of two runs show.

    Returns:
        What the first one shows and what the second one shows, by the id of the cell, where a
        reader would see a difference. Tables of pandas and pictures are only looked for, as
        their libraries show them in other ways in other versions.
    """
    found = {}
    for before, after in zip(saved.cells, executed.cells, strict=True):
        look = kinds if _varies(before) else _seen
        if before.cell_type == "code" and look(before) != look(after):
            found[before.id] = look(before), look(after)
    return found


def kinds(cell: nbformat.NotebookNode) -> list[tuple[str, list[str]]]:
    """Return the kind of each output of a cell: its type, and its MIME types or name."""
    return [
        (output.output_type, sorted(output.get("data", [output.get("name", "")])))
        for output in cell.outputs
    ]


def _as_saved(cell: nbformat.NotebookNode) -> str:
    outputs = [{**output, "execution_count": None} for output in cell.outputs]
    text = _masked(json.dumps(outputs, sort_keys=True))
    return re.sub(r"[\d.]+", "NUMBER", text) if _varies(cell) else text


def _varies(cell: nbformat.NotebookNode) -> bool:
    return VARIES in cell.metadata.get("tags", ())


def _seen(cell: nbformat.NotebookNode) -> list[tuple[tuple[str, list[str]], str]]:
    texts = [_masked(_text(output)) for output in cell.outputs]
    return list(zip(kinds(cell), texts, strict=True))


def _text(output: nbformat.NotebookNode) -> str:
    if output.output_type == "stream":
        return str(output.text)
    if output.output_type == "error":
        return f"{output.ename}: {output.evalue}"
    markup = str(output.data.get("text/html", ""))
    if 'class="dataframe"' in markup or "image/png" in output.data:
        return ""
    if "text/plain" in output.data:
        return str(output.data["text/plain"])
    words = re.sub(r"<style.*?</style>|<[^>]*>", " ", markup, flags=re.DOTALL)
    return " ".join(html.unescape(words).split())


def _masked(text: str) -> str:
    for pattern, word in _VARYING.items():
        text = re.sub(pattern, word, text)
    return text
