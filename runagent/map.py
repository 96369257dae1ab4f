"""`python -m runagent.map AGENT FILE`: run an agent on each row of a file."""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from runagent.client import RunAgentClient
from runagent.encode import to_json
from runagent.errors import RunAgentError, ValidationError
from runagent.many.batch import Advice
from runagent.many.rows import Row

COMPLETE, FAILED, INCOMPLETE = 0, 1, 3
"""Exit codes: all rows have answers; the batch could not run; some rows have none."""

ERROR = "error"
"""The column for the errors."""

COUNTED = 100_000_000
"""Bytes of a file whose rows are counted before the first one is sent, at most."""

_FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}

_EPILOG = """\
Exit codes: 0 if all rows have answers, 3 if some have none, 1 if the batch could not run,
2 if the command is wrong. With --journal, the same command goes on where it was stopped.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = parser().parse_args(arguments)
    try:
        return _run(options)
    except (RunAgentError, OSError, ImportError) as exc:
        _say(f"{type(exc).__name__}: {exc}")
        return FAILED


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    found = argparse.ArgumentParser(
        prog="python -m runagent.map",
        description="Run an agent on each row of a file, and write the rows with their answers.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = found.add_argument
    add("agent", help="the id of the agent")
    add("file", help="a CSV, JSONL or Parquet file, or - for standard input")
    add("--id", metavar="COLUMN", help="the column that identifies a row")
    add(
        "--input",
        metavar="FIELD=COLUMN",
        action="append",
        default=[],
        help="a field of the input and its column; all columns if not given",
    )
    add("--out", metavar="FILE", default="-", help="the file to write, - for standard output")
    add("--output", metavar="COLUMN", default="output", help="the column for the answers")
    add("--journal", metavar="FILE", help="the file that keeps the answers")
    add("--fresh", action="store_true", help="ask all rows again")
    add("--retry-failed", action="store_true", help="ask rows again that failed before")
    add("--rate", help='the limit of the server if you know it, such as "50/s"')
    add("--max-concurrency", type=int, metavar="N", help="requests at the same time, at most")
    add("--entrypoint", metavar="TAG", help="the entrypoint")
    add("--timeout", type=float, metavar="SECONDS", help="for each attempt")
    add("--base-url", metavar="URL", help="the server")
    add("--format", choices=("csv", "jsonl"), default="jsonl", help="of standard input and output")
    add("--quiet", action="store_true", help="no progress on standard error")
    return found


def _run(options: argparse.Namespace) -> int:
    source = _Source(options.file, options.format)
    _check_out(options)
    fields = dict(_field(text) for text in options.input)
    client_options = {} if options.base_url is None else {"base_url": options.base_url}

    def inputs() -> Iterator[tuple[Any, dict[str, Any]]]:
        for position, row in enumerate(source.rows()):
            wanted = fields or {name: name for name in row}
            missing = [c for c in [*wanted.values(), options.id] if c and c not in row]
            if missing:
                raise ValidationError(
                    f"Row {position} of {options.file} has no column {missing[0]!r}.",
                    code="INVALID_INPUT",
                )
            for name in (options.output, ERROR):
                if name in row:
                    raise ValidationError(
                        f"Row {position} of {options.file} has a column {name!r} already, which "
                        "the answers would replace.",
                        code="INVALID_INPUT",
                        hint="Pass another --output, or rename that column.",
                    )
            id_ = position if options.id is None else row[options.id]
            yield id_, {field: row[column] for field, column in wanted.items()}

    with RunAgentClient(options.agent, **client_options) as client:
        count = source.count()
        batch = client.map(
            inputs() if count is None else _Counted(inputs, count),
            progress=not options.quiet,
            journal=options.journal,
            fresh=options.fresh,
            rate=options.rate,
            max_concurrency=options.max_concurrency,
            entrypoint=options.entrypoint,
            timeout=options.timeout,
        )
        batch.advice = _advice(options)
        problem: BaseException | None = None
        try:
            deque(batch, maxlen=0)
            if options.retry_failed and batch.failures:
                deque(batch.retry_failed(), maxlen=0)
        except (RunAgentError, KeyboardInterrupt) as exc:
            problem = exc
            _say(f"{type(exc).__name__}: {exc}")
        failed = len(batch.failed())
        answered = sum(1 for row in batch.rows() if row.error is None)
        if problem is not None and not answered:
            return FAILED
        _write(options, source, batch.rows())
    return COMPLETE if problem is None and not failed else INCOMPLETE


def _advice(options: argparse.Namespace) -> Advice:
    """Return the advice for those who run this command."""
    reasons = f"The column {ERROR!r} of the output says why."
    if options.journal is None:
        return Advice(
            f"{reasons} With --journal FILE, this command and --retry-failed ask only them again.",
            "With --journal FILE, the same command goes on where it was stopped.",
        )
    return Advice(f"{reasons} Run the same command with --retry-failed to ask them again.")


def _check_out(options: argparse.Namespace) -> None:
    """Refuse a file that cannot be written, before there are answers that need it."""
    kind = _format_of(options.out, options.format)
    if options.out == "-":
        return
    if kind == "parquet":
        import pyarrow as pa  # noqa: F401, PLC0415 - optional, and needed in the end
    out = Path(options.out)
    if options.file != "-" and out.exists() and out.samefile(options.file):
        raise ValidationError(
            f"--out {options.out!r} is the file with the rows, which would be lost.",
            code="INVALID_INPUT",
            hint="Write to another file.",
        )
    if out.is_dir() or not os.access(out if out.exists() else out.parent, os.W_OK):
        raise ValidationError(
            f"--out {options.out!r} cannot be written.",
            code="INVALID_INPUT",
            hint="Name a file in a folder that exists, and that you may write to.",
        )


def _field(text: str) -> tuple[str, str]:
    field, _, column = text.partition("=")
    return field, column or field


class _Counted:
    """Inputs whose number is known, for the time that is left."""

    def __init__(self, make: Callable[[], Iterator[Any]], count: int) -> None:
        self._make = make
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        return self._make()


class _Source:
    """The rows of a file, which can be read twice; those of standard input are kept."""

    def __init__(self, name: str, standard: str) -> None:
        self._name = name
        self._format = _format_of(name, standard)
        self._kept: list[dict[str, Any]] = []

    def rows(self) -> Iterator[dict[str, Any]]:
        if self._name != "-":
            yield from _rows_of(self._name, self._format)
            return
        for row in _parsed(sys.stdin, self._format):
            self._kept.append(row)
            yield row

    def count(self) -> int | None:
        """Return the number of rows, `None` if it would take long to count them."""
        path = Path(self._name)
        if self._name == "-" or not path.is_file() or path.stat().st_size > COUNTED:
            return None
        return sum(1 for _ in self.rows())

    def again(self) -> Iterator[dict[str, Any]]:
        return iter(self._kept) if self._name == "-" else self.rows()


def _format_of(name: str, standard: str) -> str:
    if name == "-":
        return standard
    suffix = Path(name).suffix.lower()
    if suffix not in _FORMATS:
        raise ValidationError(
            f"{name!r} has no ending that names its format.",
            code="INVALID_INPUT",
            hint=f"Use one of {', '.join(_FORMATS)}.",
        )
    return _FORMATS[suffix]


def _rows_of(name: str, kind: str) -> Iterator[dict[str, Any]]:
    if kind == "parquet":
        from pyarrow import parquet  # noqa: PLC0415 - optional

        with parquet.ParquetFile(name) as file:
            for part in file.iter_batches(batch_size=1000):
                yield from part.to_pylist()
        return
    with Path(name).open(encoding="utf-8-sig", newline="") as file:
        yield from _parsed(file, kind)


def _parsed(file: IO[str], kind: str) -> Iterator[dict[str, Any]]:
    if kind == "csv":
        yield from csv.DictReader(file)
        return
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as exc:
            raise ValidationError(
                f"Line {number} is not JSON: {exc}.", code="INVALID_INPUT"
            ) from None
        if not isinstance(row, dict):
            raise ValidationError(f"Line {number} is not a JSON object.", code="INVALID_INPUT")
        yield row


def _write(options: argparse.Namespace, source: _Source, rows: Iterator[Row]) -> None:
    """Write the rows that are finished, in the order of the file, with their answers."""
    kind = _format_of(options.out, options.format)

    def written() -> Iterator[dict[str, Any]]:
        finished = next(rows, None)
        for position, before in enumerate(source.again()):
            if finished is None:
                return
            id_ = position if options.id is None else before[options.id]
            if finished.id != id_:
                continue
            error = None if finished.error is None else finished.error.message
            yield {**before, options.output: finished.output, ERROR: error}
            finished = next(rows, None)

    if kind == "parquet":
        import pyarrow as pa  # noqa: PLC0415 - optional
        from pyarrow import parquet  # noqa: PLC0415

        parquet.write_table(pa.Table.from_pylist(list(written())), options.out)
        return
    with _opened(options.out) as file:
        write: Callable[[dict[str, Any]], object]
        write = _csv_writer(file) if kind == "csv" else _json_writer(file)
        for row in written():
            write(row)


@contextmanager
def _opened(name: str) -> Iterator[IO[str]]:
    if name == "-":
        yield sys.stdout
        return
    with Path(name).open("w", encoding="utf-8", newline="") as file:
        yield file


def _json_writer(file: IO[str]) -> Callable[[dict[str, Any]], object]:
    return lambda row: file.write(to_json(row).decode() + "\n")


def _csv_writer(file: IO[str]) -> Callable[[dict[str, Any]], object]:
    writer = csv.writer(file)
    begun = False

    def write(row: dict[str, Any]) -> None:
        nonlocal begun
        if not begun:
            begun = True
            writer.writerow(row)
        writer.writerow(
            [to_json(v).decode() if isinstance(v, (dict, list)) else v for v in row.values()]
        )

    return write


if __name__ == "__main__":
    sys.exit(main())
