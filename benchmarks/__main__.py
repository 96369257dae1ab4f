"""`python -m benchmarks [--quick] [--only NAME]`: run all comparisons and print the tables.

It ends with 1 if something that is asked for is not met. `python -m benchmarks compare REVISION`
compares two versions of this package.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks import (
    batch,
    calls,
    compare,
    engines,
    imports,
    large,
    long_chat,
    magic,
    markdown,
    report,
    streams,
    upstream,
    widget,
)
from benchmarks.child import ROOT
from benchmarks.measure import Sheet, Table

Benchmark = Callable[[], Iterator[Table] | Iterator[Table | Sheet]]


def benchmarks(*, quick: bool) -> dict[str, Benchmark]:
    few, some, many = (2, 3, 5) if quick else (3, 9, 15)
    count = 20_000
    return {
        "import": partial(imports.imports, rounds=some),
        "load_ext": partial(imports.load_ext, rounds=few),
        "sequential": partial(calls.sequential, rounds=many, calls=100 if quick else 300),
        "chunks": partial(streams.chunks, rounds=few if quick else 7, count=count),
        "websocket": partial(upstream.stream, rounds=few, count=count),
        "memory": partial(streams.memory, rounds=few, counts=(count, 10 * count)),
        "concurrent": partial(
            calls.concurrent, rounds=1 if quick else 3, sizes=(100, 1_000, 5_000)
        ),
        "threads": partial(calls.threads, rounds=few, workers=32, calls=20 if quick else 100),
        "first": partial(streams.first, rounds=5 if quick else 50),
        "large": partial(large.answer, rounds=few, megabytes=20 if quick else 100),
        "input": partial(large.nested_input, rounds=some, levels=4),
        "batch": partial(batch.tables, quick=quick),
        "engines": partial(engines.tables, rounds=few, rows=500 if quick else 2_000),
        "markdown": partial(markdown.tables, rounds=few if quick else 9),
        "chat": partial(long_chat.tables, quick=quick),
        "notebook": partial(_notebook, quick=quick),
    }


def _notebook(*, quick: bool) -> Iterator[Table]:
    yield from magic.tables(quick=quick)
    yield from widget.tables(quick=quick)


def main() -> int:
    """Return the exit code: 1 if a limit is not met."""
    if sys.argv[1:2] == ["compare"]:
        sheet = compare.main(sys.argv[2:])
        print(report.markdown(sheet))
        return int(not report.all_met([sheet]))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help="what to measure; everything if not given")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look")
    parser.add_argument("--output", type=Path, default=ROOT / ".cache" / "benchmarks")
    options = parser.parse_args()
    known = benchmarks(quick=options.quick)
    wanted = [*options.names, *options.only] or list(known)
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    print(report.markdown_header())
    tables: list[Table | Sheet] = []
    for name in wanted:
        for table in known[name]():
            tables.append(table)
            print(report.markdown(table), flush=True)
    report.write(tables, options.output)
    print(f"Written to {options.output}")
    return int(not report.all_met(tables))


if __name__ == "__main__":
    sys.exit(main())
