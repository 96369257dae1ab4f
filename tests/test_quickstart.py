"""The quickstart runs from top to bottom in a real kernel, and shows what it promises."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from support.lab import ROOT
from support.notebooks import execute

QUICKSTART = ROOT / "notebooks" / "quickstart.ipynb"


@pytest.fixture(scope="module")
def committed() -> nbformat.NotebookNode:
    notebook: nbformat.NotebookNode = nbformat.read(QUICKSTART, as_version=nbformat.NO_CONVERT)
    return notebook


@pytest.fixture
def executed(committed: nbformat.NotebookNode, tmp_path: Path) -> nbformat.NotebookNode:
    notebook = nbformat.from_dict(committed)
    work = tmp_path / "work"
    work.mkdir()
    return execute(notebook, resources={"metadata": {"path": work}})


def test_it_is_committed_clean(committed: nbformat.NotebookNode) -> None:
    nbformat.validate(committed)
    assert (committed.nbformat, committed.nbformat_minor) >= (4, 5)
    code = [cell for cell in committed.cells if cell.cell_type == "code"]
    assert code
    assert [cell.outputs for cell in code] == [[]] * len(code)
    assert {cell.execution_count for cell in code} == {None}
    text = QUICKSTART.read_text(encoding="utf-8")
    assert not re.search(r"/home/|/root/|/Users/|/tmp/|[A-Z]:\\\\", text)
    assert set(committed.metadata) <= {"kernelspec", "language_info"}


def test_every_cell_runs_in_order(executed: nbformat.NotebookNode) -> None:
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    errors = [
        (cell.source, output)
        for cell in code
        for output in cell.outputs
        if output.output_type == "error" or output.get("name") == "stderr"
    ]
    assert errors == []


def test_the_demo_is_shown_as_one_clean_output(executed: nbformat.NotebookNode) -> None:
    demos = [cell for cell in executed.cells if cell.source.startswith("%%runagent demo")]
    cells = [cell for cell in demos if "--quiet" not in cell.source]
    assert cells
    for cell in cells:
        (output,) = cell.outputs
        assert "text/markdown" not in output.data
        html = output.data["text/html"]
        assert "Hello from the demo agent</h1>" in html
        assert "<table" in html
        assert "<script" not in html
        assert "Hello from the demo agent" in output.data["text/plain"]


def test_each_door_gives_an_answer(executed: nbformat.NotebookNode) -> None:
    speaking = re.compile(r"^%%?runagent |\bprint\(", re.MULTILINE)
    cells = [cell for cell in executed.cells if speaking.search(cell.source)]
    assert len(cells) >= 3
    for cell in cells:
        if cell.cell_type == "code":
            assert bool(cell.outputs) == ("--quiet" not in cell.source), cell.source
