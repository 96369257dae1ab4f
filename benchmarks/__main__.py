"""`python -m benchmarks [--quick] [NAME...]`: run all comparisons and print the tables.

It ends with 1 if something that is asked for is not met. With `--publish`, `results.json` and
`docs/performance.md` have the new figures. `python -m benchmarks figures` writes that page again;
`python -m benchmarks compare REVISION` compares two versions of this package.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks import (
    batch,
    calls,
    compare,
    engines,
    figures,
    floods,
    imports,
    large,
    long_chat,
    magic,
    markdown,
    report,
    streams,
    upstream,
    websocket,
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
        "websocket": partial(_websocket, rounds=few, count=count),
        "memory": partial(streams.memory, rounds=1 if quick else 3, counts=(count, 10 * count)),
        "concurrent": partial(
            calls.concurrent,
            rounds={100: 3, 500: 1} if quick else {100: 15, 1_000: 5, 5_000: 3},
        ),
        "threads": partial(calls.threads, rounds=few, workers=32, calls=20 if quick else 50),
        "first": partial(streams.first, rounds=5 if quick else 50),
        "large": partial(large.answer, rounds=few, megabytes=20 if quick else 100),
        "input": partial(large.nested_input, rounds=some, levels=4),
        "batch": partial(batch.tables, quick=quick),
        "engines": partial(engines.tables, rounds=few, rows=500 if quick else 2_000),
        "markdown": partial(markdown.tables, rounds=1 if quick else 9),
        "chat": partial(long_chat.tables, quick=quick),
        "notebook": partial(_notebook, quick=quick),
        "floods": partial(floods.tables, quick=quick),
    }


def _websocket(*, rounds: int, count: int) -> Iterator[Table]:
    yield from websocket.chunks(rounds=rounds, count=count)
    yield from upstream.stream(rounds=rounds, count=count)


def _notebook(*, quick: bool) -> Iterator[Table]:
    yield from magic.tables(quick=quick)
    yield from widget.tables(quick=quick)


def main() -> int:
    """Return the exit code: 1 if a limit is not met."""
    if sys.argv[1:2] == ["compare"]:
        sheet = compare.main(sys.argv[2:])
        print(report.markdown(sheet))
        return int(not report.all_met([sheet]))
    if sys.argv[1:] == ["figures"]:
        figures.write()
        return 0
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help="what to measure; everything if not given")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look")
    parser.add_argument("--output", type=Path, default=ROOT / ".cache" / "benchmarks")
    parser.add_argument("--publish", action="store_true", help="have the documentation show it")
    options = parser.parse_args()
    known = benchmarks(quick=options.quick)
    wanted = [*options.names, *options.only] or list(known)
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    path = report.RESULTS if options.publish else options.output / "results.json"
    print(report.markdown_header(report.header(quick=options.quick)))
    is_met = True
    for name in wanted:
        circumstances = report.header(quick=options.quick)
        began = time.monotonic()
        tables: list[Table | Sheet] = []
        for table in known[name]():
            tables.append(table)
            print(report.markdown(table), flush=True)
        circumstances["seconds"] = round(time.monotonic() - began)
        print(f"`{name}` took {circumstances['seconds']:,} s.\n", flush=True)
        report.write(name, tables, circumstances, path)
        is_met = is_met and report.all_met(tables)
    if options.publish:
        figures.write()
    print(f"Written to {path}")
    return int(not is_met)


if __name__ == "__main__":
    sys.exit(main())
