"""Notebooks that papermill executes: parameters, outputs, and failures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from papermill.exceptions import PapermillExecutionError
from papermill.execute import execute_notebook
from support.clock import PATIENCE
from support.notebooks import kernel_sockets

AGENTS = """%load_ext runagent_jupyter
from runagent.local import agent

@agent
def shout(query):
    yield query.upper()

@agent
def breaks(query):
    yield "the first half"
    raise LookupError("nothing behind it")
"""

Execute = Callable[..., Any]


@pytest.fixture
def execute(tmp_path: Path) -> Execute:
    """Execute cells; return the notebook that was written, also after a failure."""

    def run(*cells: str, **parameters: str) -> Any:
        notebook = nbformat.v4.new_notebook()
        notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in (AGENTS, *cells)]
        notebook.cells[1].metadata.tags = ["parameters"]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook.metadata.kernelspec = kernel
        nbformat.write(notebook, tmp_path / "report.ipynb")
        with kernel_sockets() as config:
            execute_notebook(
                tmp_path / "report.ipynb",
                tmp_path / "done.ipynb",
                parameters=parameters,
                progress_bar=False,
                start_timeout=PATIENCE,
                config=config,
            )
        return done()

    def done() -> Any:
        return nbformat.read(tmp_path / "done.ipynb", as_version=4)

    run.done = done  # type: ignore[attr-defined]
    return run


def texts(cell: Any) -> str:
    return "".join(output.get("data", {}).get("text/plain", "") for output in cell.outputs)


def test_parameters_reach_the_question(execute: Execute) -> None:
    made = execute("question = 'hello'", "%%runagent shout\n{{question}}", question="good night")
    assert [cell.metadata.tags for cell in made.cells[1:3]] == [
        ["parameters"],
        ["injected-parameters"],
    ]
    assert texts(made.cells[3]) == "GOOD NIGHT"


def test_a_batch_leaves_its_final_progress(execute: Execute) -> None:
    made = execute(
        "import pandas as pd\ndf = pd.DataFrame({'text': ['good', 'bad']})",
        "%%runagent shout --each df --out answers\n{{text}}",
        "print(list(answers.output))",
    )
    (output,) = made.cells[2].outputs
    assert "2 of 2 rows" in output["data"]["text/plain"]
    assert made.cells[3].outputs[0].text == "['GOOD', 'BAD']\n"


def test_a_failure_ends_the_run_and_leaves_what_came(execute: Any) -> None:
    with pytest.raises(PapermillExecutionError, match="nothing behind it"):
        execute("1", "%%runagent shout\nhello", "%%runagent breaks\nx", "print('not reached')")
    made = execute.done()
    # In front of the others, papermill says which cell has failed.
    before, failed, after = (
        next(cell for cell in made.cells if cell.source == source)
        for source in (
            "%%runagent shout\nhello",
            "%%runagent breaks\nx",
            "print('not reached')",
        )
    )
    assert texts(before) == "HELLO"
    assert "the first half" in texts(failed)
    assert failed.outputs[-1].ename == "StreamError"
    assert after.outputs == []


def test_a_failure_that_is_not_raised_ends_no_run(execute: Execute) -> None:
    made = execute("1", "%%runagent breaks --no-raise-error\nx", "print(_.error.code)")
    assert made.cells[3].outputs[0].text == "AGENT_ERROR\n"
