"""The notebooks run from top to bottom in real kernels, and show what they were saved with."""

from __future__ import annotations

import re
import shutil
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest
from support.lab import ROOT
from support.notebooks import execute

from notebooks.execute import bring_data
from notebooks.open import copy_all
from notebooks.saved_outputs import clean, differences, keep_equal

TUTORIALS = ROOT / "docs" / "tutorials"
NOTEBOOKS = sorted(TUTORIALS.glob("*.ipynb"))
LARGEST = 100_000
"""Bytes of a notebook with its outputs."""

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> nbformat.NotebookNode:
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    return notebook


def code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@each_notebook
def test_it_shows_what_it_was_saved_with(path: Path, tmp_path: Path) -> None:
    saved = read(path)
    work = tmp_path / "work"
    work.mkdir()
    bring_data(work)
    executed = deepcopy(saved)
    resources = {"metadata": {"path": work}}
    execute(executed, resources=resources, coalesce_streams=True)
    clean(executed)
    assert differences(saved, executed) == {}
    outputs = [output for cell in code(executed) for output in cell.outputs]
    assert [output for output in outputs if output.get("name") == "stderr"] == []


@each_notebook
def test_it_is_saved_as_a_run_leaves_it(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5)
    counts = [cell.execution_count for cell in code(notebook)]
    assert counts == list(range(1, len(counts) + 1)), "Run make notebooks."
    cleaned = deepcopy(notebook)
    clean(cleaned)
    assert cleaned == notebook
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/home/|/root/|/Users/|/tmp/|[A-Z]:\\\\", text)
    assert len(text.encode()) < LARGEST


@each_notebook
def test_a_cell_fails_only_where_it_is_meant_to(path: Path) -> None:
    for cell in code(read(path)):
        fails = any(output.output_type == "error" for output in cell.outputs)
        assert fails == ("raises-exception" in cell.metadata.get("tags", ())), cell.source


@each_notebook
def test_an_agents_answer_is_one_safe_output(path: Path) -> None:
    asked = [cell for cell in code(read(path)) if cell.source.startswith("%%runagent ")]
    for cell in asked:
        fails = "raises-exception" in cell.metadata.get("tags", ())
        assert len(cell.outputs) == (0 if "--quiet" in cell.source else 1), cell.source
        for output in [] if fails else cell.outputs:
            assert sorted(output.data) == ["text/html", "text/plain"]
            assert "<script" not in output.data["text/html"]


@each_notebook
def test_its_pictures_and_notebooks_are_there(path: Path) -> None:
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (path.parent / target).is_file(), target


def test_no_notebook_is_left_out() -> None:
    named = (TUTORIALS / "index.md").read_text(encoding="utf-8").split()
    assert {path.stem for path in NOTEBOOKS} <= {*named}


def test_another_run_that_shows_the_same_changes_nothing() -> None:
    earlier = read(TUTORIALS / "quickstart.ipynb")
    again = deepcopy(earlier)
    changed = [cell for cell in code(again) if "0 failed" in str(cell.outputs)]
    assert changed
    for cell in changed:
        for output in cell.outputs:
            for kind, text in output.data.items():
                output.data[kind] = re.sub(r"[\d.]+/s · [\d.]+ s", "7.5/s · 12.3 s", text)
    assert again != earlier
    assert differences(earlier, again) == {}
    keep_equal(again, earlier)
    assert again == earlier


def test_another_answer_is_a_difference() -> None:
    earlier = read(TUTORIALS / "quickstart.ipynb")
    again = deepcopy(earlier)
    cell = next(cell for cell in code(again) if cell.source.startswith("%%runagent shout"))
    cell.outputs[0].data["text/plain"] = "**GOODBYE**"
    assert differences(earlier, again).keys() == {cell.id}
    keep_equal(again, earlier)
    assert again != earlier


def test_a_copy_to_play_with_is_without_outputs_and_keeps_its_changes(tmp_path: Path) -> None:
    folder = tmp_path / "playground"
    assert copy_all(folder) == []
    copies = sorted(folder.glob("*.ipynb"))
    assert [path.name for path in copies] == [path.name for path in NOTEBOOKS]
    for path in copies:
        assert [cell.outputs for cell in code(read(path))] == [[]] * len(code(read(path)))
    assert (folder / "reviews.csv").is_file()
    mine, another = copies[:2]
    mine.write_text("mine")
    another.unlink()
    assert copy_all(folder) == []
    assert mine.read_text() == "mine"
    assert another.is_file()


def test_a_copy_without_changes_follows_its_original(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    originals = tmp_path / "notebooks"
    shutil.copytree(TUTORIALS, originals)
    monkeypatch.setattr("notebooks.open.FOLDER", originals)
    folder = tmp_path / "playground"
    copy_all(folder)
    (folder / "lesson.ipynb").write_text("mine")
    for name in ("chat.ipynb", "lesson.ipynb"):
        notebook = read(originals / name)
        notebook.cells[0].source = "Another beginning."
        nbformat.write(notebook, originals / name)
    assert copy_all(folder) == ["lesson.ipynb"]
    assert read(folder / "chat.ipynb").cells[0].source == "Another beginning."
    assert (folder / "lesson.ipynb").read_text() == "mine"
