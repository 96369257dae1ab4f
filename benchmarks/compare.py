"""`python -m benchmarks compare REVISION`: this tree beside another revision of it.

Both do the same work in processes of their own, in turns, against one server. Seconds of CPU are
compared in pairs, which a busy machine disturbs less than the time that passes. Where valgrind is
installed, `--instructions` counts what the processor carries out: the same number on any machine.
"""

from __future__ import annotations

import argparse
import compileall
import io
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import workloads
from benchmarks.child import ROOT, environment
from benchmarks.measure import Bound, Sheet, quartiles
from benchmarks.server import running

TIMES = {
    "calls, sync": 400,
    "calls, async": 400,
    "300 calls at once": 2,
    "32 threads": 15,
    "streams of 3 chunks, sync": 300,
    "streams of 3 chunks, async": 300,
    "streams of 20,000 chunks, sync": 3,
    "streams of 20,000 chunks, async": 3,
    workloads.WEBSOCKET: 2,
}
"""How often each work is done in one round: for some tenths of a second."""

COUNTED = {name: max(1, times // 10) for name, times in TIMES.items()}
"""How often under valgrind, which takes some fifty times as long."""

LARGEST = 1.03
"""The largest ratio that counts as no change."""


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """Write the packages of a revision into a directory that is removed at the end.

    Raises:
        SystemExit: git does not know the revision.
    """
    done = subprocess.run(
        ["git", "archive", "--format=tar", revision, "runagent"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"git has no revision {revision!r}: {done.stderr.decode().strip()}")
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)


def cpu(tree: Path, name: str, url: str, times: int) -> float:
    """Return the seconds of CPU that the package in `tree` takes for the work."""
    return float(_run([], tree, name, url, times).stdout)


def instructions(tree: Path, name: str, url: str, times: int) -> float:
    """Return how many instructions the package in `tree` needs for the work."""
    with tempfile.TemporaryDirectory() as folder:
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        # The work is done once for any number of times: the difference is the work alone.
        counts = [_counted(_run(valgrind, tree, name, url, n).stderr) for n in (0, times)]
    return counts[1] - counts[0]


def _counted(report: str) -> int:
    found = re.search(r"Collected : (\d+)", report)
    if found is None:
        raise RuntimeError(f"valgrind did not count:\n{report}")
    return int(found[1])


def _run(
    before: list[str], tree: Path, name: str, url: str, times: int
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*before, sys.executable, workloads.__file__, name, url, str(times)],
        env={**environment(), "PYTHONPATH": str(tree), "PYTHONHASHSEED": "0"},
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr}")
    return done


def sheet(
    other: Path, revision: str, rounds: int, measure: Callable[..., float], times: dict[str, int]
) -> Sheet:
    """Return the ratios of this tree to the `other`, and the quartiles of all rounds."""
    values = {}
    with running() as url:
        for name, count in times.items():
            ratios = []
            for number in range(rounds):
                trees = [ROOT, other] if number % 2 else [other, ROOT]
                cost = {tree: measure(tree, name, url, count) for tree in trees}
                ratios.append(cost[ROOT] / cost[other])
            values[name] = [statistics.median(ratios), *quartiles(ratios)]
            print(f"{name}: {values[name][0]:.3f}", file=sys.stderr, flush=True)
    unit = "instructions" if measure is instructions else "CPU time"
    return Sheet(
        f"this tree beside {revision}: {unit}",
        ("x", "lower quartile", "upper quartile"),
        values,
        [Bound(name, "x", LARGEST) for name in values],
    )


def main(arguments: list[str]) -> Sheet:
    """Compare as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks compare", description=__doc__)
    parser.add_argument("revision", help="a commit, tag or branch of this repository")
    parser.add_argument("--only", action="append", metavar="NAME", choices=TIMES)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--instructions", action="store_true", help="count instructions, with valgrind"
    )
    options = parser.parse_args(arguments)
    if options.instructions and shutil.which("valgrind") is None:
        parser.error("--instructions needs valgrind; install it, for example by apt-get")
    every = COUNTED if options.instructions else TIMES
    times = {name: every[name] for name in options.only or every}
    with checked_out(options.revision) as other:
        for tree in (ROOT, other):  # or the first run would compile all modules
            compileall.compile_dir(tree / "runagent", quiet=1)
        if options.instructions:
            return sheet(other, options.revision, 1, instructions, times)
        return sheet(other, options.revision, options.rounds, cpu, times)
