"""`python -m runagent.map`: files in and out, and exit codes for scripts."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from support.faults import FaultServer, answer, error

from runagent.map import COMPLETE, FAILED, INCOMPLETE, main

Serve = Callable[..., FaultServer]

ROWS = [{"key": f"k{i}", "text": f'text {i}, "quoted"\nand long'} for i in range(3)]


@pytest.fixture(params=["csv", "jsonl", "parquet"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a file of each kind with the same rows."""
    path: Path = tmp_path / f"rows.{request.param}"
    if request.param == "csv":
        with path.open("w", newline="") as out:
            writer = csv.DictWriter(out, ["key", "text"])
            writer.writeheader()
            writer.writerows(ROWS)
    elif request.param == "jsonl":
        path.write_text("\n".join(map(json.dumps, ROWS)))
    else:
        parquet.write_table(pa.Table.from_pylist(ROWS), path)
    return path


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        return list(csv.DictReader(io.StringIO(path.read_text())))
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return rows


def run(server: FaultServer, *arguments: object) -> int:
    return main(["a", *map(str, arguments), "--base-url", server.url, "--max-concurrency", "1"])


def test_rows_are_written_with_their_answers(file: Path, serve: Serve) -> None:
    server = serve(answer({"result": "x"}), answer({"result": "y"}), answer({"result": "z"}))
    out = file.with_name(f"out{file.suffix}")
    assert run(server, file, "--id", "key", "--input", "query=text", "--out", out) == COMPLETE
    rows = read(out)
    assert [{name: row[name] for name in ROWS[0]} for row in rows] == ROWS
    assert [row["output"] for row in rows] == ["x", "y", "z"]
    assert [exchange.json for exchange in server.exchanges] == [{"query": r["text"]} for r in ROWS]


def test_the_same_command_goes_on(file: Path, serve: Serve) -> None:
    server = serve(answer(), error(400, "BAD", message="no"), answer())
    out = file.with_name("out.jsonl")
    command = [file, "--id", "key", "--journal", file.with_name("j"), "--out", out, "--quiet"]
    assert run(server, *command) == INCOMPLETE
    assert [row["error"] for row in read(out)] == [None, "no", None]
    assert run(server, *command) == INCOMPLETE
    assert len(server.exchanges) == 3
    assert run(server, *command, "--retry-failed") == COMPLETE
    assert len(server.exchanges) == 4
    assert [row["error"] for row in read(out)] == [None] * 3


@pytest.mark.parametrize("kept", [True, False])
def test_rows_that_failed_come_with_advice_on_the_command(
    kept: bool, serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(error(400, "BAD", message="no"))
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}')
    journal = ["--journal", tmp_path / "j"] if kept else []
    assert run(server, path, *journal) == INCOMPLETE
    [summary] = [record.getMessage() for record in caplog.records if record.name == "runagent"]
    assert "1 of 1 rows failed. The column 'error' of the output says why." in summary
    assert ("Run the same command with --retry-failed" in summary) is kept
    assert ("With --journal FILE" in summary) is not kept
    assert "failed()" not in summary


def test_standard_input_and_output(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(answer())
    monkeypatch.setattr("sys.stdin", io.StringIO('{"q": 1}\n\n{"q": 2}\n'))
    assert run(server, "-") == COMPLETE
    shown = capsys.readouterr()
    rows = [json.loads(line) for line in shown.out.splitlines()]
    assert rows == [{"q": q, "output": {"answer": "ok"}, "error": None} for q in (1, 2)]
    assert "2 rows, 0 failed" in shown.err


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("x.txt", "", [], "no ending that names its format"),
        ("none.csv", None, [], "No such file"),
        ("x.jsonl", "{", [], "Line 1 is not JSON"),
        ("x.jsonl", "[1]", [], "Line 1 is not a JSON object"),
        ("x.jsonl", '{"a": 1}', ["--id", "b"], "Row 0 of"),
        ("x.jsonl", '{"a": 1}', ["--rate", "fast"], "rate='fast' is not a rate"),
        ("x.jsonl", '{"error": 1}', [], "has a column 'error' already"),
        ("x.jsonl", '{"a": 1}', ["--output", "a"], "has a column 'a' already"),
        ("x.jsonl", '{"a": 1}', ["--out", "x.txt"], "no ending that names its format"),
        ("x.jsonl", '{"a": 1}', ["--out", "none/x.csv"], "'none/x.csv' cannot be written"),
    ],
)
def test_a_command_that_cannot_run_says_why(
    name: str,
    content: str | None,
    options: list[str],
    message: str,
    serve: Serve,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    server = serve(answer())
    assert run(server, path, *options) == FAILED
    assert message in capsys.readouterr().err
    assert not server.exchanges


def test_the_file_of_rows_is_not_written_over(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, link = tmp_path / "x.jsonl", tmp_path / "y.jsonl"
    path.write_text('{"a": 1}')
    link.symlink_to(path)
    server = serve(answer())
    for out in (path, link):
        assert run(server, path, "--out", out) == FAILED
        assert "is the file with the rows" in capsys.readouterr().err
    assert path.read_text() == '{"a": 1}'
    assert not server.exchanges


def test_a_wrong_key_fails(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}')
    assert run(serve(error(401)), path) == FAILED
