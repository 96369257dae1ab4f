"""The notebook about reviews: a failure, a stop, and a chart, and no review is asked twice."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from support.lab import ROOT
from support.notebooks import execute

REVIEWS = ROOT / "notebooks" / "reviews.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    work = tmp_path_factory.mktemp("work")
    shutil.copy(REVIEWS.with_name("reviews.csv"), work)
    notebook = nbformat.read(REVIEWS, as_version=nbformat.NO_CONVERT)
    return execute(notebook, resources={"metadata": {"path": work}})


def cells(notebook: nbformat.NotebookNode, start: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.source.startswith(start)]


def test_it_is_committed_clean() -> None:
    notebook = nbformat.read(REVIEWS, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in code] == [[]] * len(code)
    assert {cell.execution_count for cell in code} == {None}
    assert not re.search(r"/home/|/root/|/Users/|/tmp/", REVIEWS.read_text(encoding="utf-8"))
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}


def test_no_cell_fails(executed: nbformat.NotebookNode) -> None:
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    assert [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"] == []


def test_a_stop_a_rerun_and_a_retry(executed: nbformat.NotebookNode) -> None:
    stopped, resumed, mended = [
        [output.data["text/html"] for output in cell.outputs]
        for cell in cells(executed, "%%runagent opinion")
    ]
    assert [len(outputs) for outputs in (stopped, resumed, mended)] == [1, 1, 1]
    assert "stopped" in stopped[0]
    assert re.search(r"36 of 36 rows · 2 failed · \d\d from the journal", resumed[0])
    assert "no word of English" in resumed[0]
    assert "36 of 36 rows · 0 failed · 34 from the journal" in mended[0]


def test_no_review_is_asked_twice_but_those_that_failed(executed: nbformat.NotebookNode) -> None:
    (counted,) = cells(executed, "print(")
    found = re.fullmatch(r"36 reviews, (\d+) calls of the agent\n", counted.outputs[0].text)
    assert found is not None
    # Those under way when the run was stopped have the same keys, which the server honours.
    assert int(found[1]) == 36 + 2


def test_the_chart_is_there(executed: nbformat.NotebookNode) -> None:
    (chart,) = cells(executed, "import matplotlib")
    assert "image/png" in json.dumps(chart.outputs)


def test_the_reviews_are_a_small_file() -> None:
    assert Path(REVIEWS.with_name("reviews.csv")).stat().st_size < 10_000
