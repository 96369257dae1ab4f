"""Every comparison that needs no other package runs, and measures this package."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import (
    __main__,
    batch,
    calls,
    compare,
    engines,
    figures,
    large,
    markdown,
    measure,
    peers,
    report,
    streams,
)
from benchmarks.child import ROOT
from benchmarks.limited import counts, running
from benchmarks.measure import Bound, Limit, Sheet, Table, interleave
from benchmarks.workloads import ASYNCHRONOUS, BLOCKING

pytestmark = pytest.mark.once

OURS = ("httpx2", "httpx2 event source", "raw bytes", "runagent")


@pytest.fixture(autouse=True)
def _only_what_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SYNC", "ASYNC", "STREAMS", "ASYNC_STREAMS"):
        found = getattr(peers, name)
        monkeypatch.setattr(peers, name, {key: found[key] for key in OURS if key in found})
    monkeypatch.setattr(engines, "installed", lambda _: False)


@pytest.mark.parametrize(
    "benchmark",
    [
        partial(calls.sequential, rounds=1, calls=1),
        partial(calls.concurrent, rounds={2: 1, 4: 1}),
        partial(calls.threads, rounds=1, workers=2, calls=1),
        partial(streams.chunks, rounds=1, count=50),
        partial(streams.first, rounds=1),
        partial(large.nested_input, rounds=1, levels=1),
        partial(batch.unlimited, rounds=1, rows=3),
        partial(batch.journal, rounds=1, rows=3),
        partial(engines.tables, rounds=1, rows=100),
    ],
)
def test_it_measures_every_candidate(benchmark: Callable[[], Iterator[Table]]) -> None:
    tables = list(benchmark())
    assert tables
    for table in tables:
        assert {"runagent", table.baseline} <= set(table.samples)
        assert all(len(values) == 1 and values[0] > 0 for values in table.samples.values())


def test_markdown_is_measured_beside_its_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "TEXTS", {"prose": markdown.TEXTS["prose"]})
    monkeypatch.setattr(markdown, "PATHOLOGICAL", ("a\n\n",))
    monkeypatch.setattr(markdown, "NESTED", ())
    tables = list(markdown.tables(rounds=1))
    assert [len(table.samples) for table in tables] == [2, 2, 2]
    assert all(table.verdicts() for table in tables)
    assert all(len(values) == 1 and values[0] > 0 for t in tables for values in t.samples.values())


def test_a_limit_that_is_not_met_is_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def found(limit: float) -> dict[str, Callable[[], Iterator[Table]]]:
        table = Table("calls", "ms", {"a": [3.0]}, "a", [Limit("a", limit)])
        return {"calls": lambda: iter([table])}

    monkeypatch.setattr("sys.argv", ["benchmarks", "--output", str(tmp_path)])
    monkeypatch.setattr(__main__, "benchmarks", lambda quick: found(3.0))
    assert __main__.main() == 0
    monkeypatch.setattr(__main__, "benchmarks", lambda quick: found(2.0))
    assert __main__.main() == 1
    assert "NOT MET" in capsys.readouterr().out
    written = json.loads((tmp_path / "results.json").read_text())["calls"]
    assert written["tables"]
    assert written["seconds"] == 0


def test_a_limit_that_is_not_met_says_so() -> None:
    table = Table("calls", "ms", {"a": [3.0], "b": [2.0]}, "b", [Limit("a", 1.4, "b")])
    assert table.verdicts() == [("a: 1.5 x b (at most 1.4)", False)]
    table.limits[0] = Limit("a", 1.6, "b")
    assert table.verdicts() == [("a: 1.5 x b (at most 1.6)", True)]


def test_a_bound_that_is_not_met_says_so() -> None:
    bounds = [Bound("a", "% used", 95, is_least=True), Bound("a", "failed", 0)]
    sheet = Sheet("batches", ("% used", "failed"), {"a": [94.0, 0.0]}, bounds)
    assert sheet.verdicts() == [
        ("a: 94 % used (at least 95)", False),
        ("a: 0 failed (at most 0)", True),
    ]
    assert "| a | 94 | 0 |" in report.markdown(sheet)


def test_two_trees_are_compared_in_pairs() -> None:
    times = dict.fromkeys(compare.TIMES, 1)
    sheet = compare.sheet(ROOT, "itself", 1, compare.cpu, times)
    assert set(sheet.values) == set(compare.TIMES) == {*BLOCKING, *ASYNCHRONOUS}
    assert all(ratio > 0 for ratio, _, _ in sheet.values.values())


def test_a_revision_that_does_not_exist_is_named() -> None:
    with (
        pytest.raises(SystemExit, match="no-such-revision"),
        compare.checked_out("no-such-revision"),
    ):
        raise AssertionError("it was checked out")


def test_a_batch_is_counted_at_the_server() -> None:
    with running("window", 5.0, latency=0.0) as url:
        found = batch.run("gather httpx2", url, "30", "5")
        seen = counts(url)
    assert seen.asked == 30
    assert found["lost"] == seen.limited > 0
    assert found["took"] > 0


def test_results_come_back_from_json() -> None:
    table = Table("calls", "ms", {"a": [3.0, 4.0]}, "a", [Limit("a", 5.0)], ["A note."])
    sheet = Sheet("batches", ("% used",), {"a": [94.0]}, [Bound("a", "% used", 95, is_least=True)])
    data = json.loads(json.dumps(report.to_json([table, sheet], report.header(quick=True))))
    assert [report.markdown(found) for found in report.from_json(data)] == [
        report.markdown(table),
        report.markdown(sheet),
    ]


def test_the_documentation_shows_the_results() -> None:
    text = figures.PAGE.read_text()
    assert text == figures.page(text, json.loads(report.RESULTS.read_text())), (
        "run `python -m benchmarks figures`"
    )


def test_the_results_are_of_benchmarks_that_there_are() -> None:
    assert set(json.loads(report.RESULTS.read_text())) <= set(__main__.benchmarks(quick=True))


def test_a_run_names_the_version_of_everything() -> None:
    versions = report.header(quick=True)["versions"]
    assert {"runagent", "httpx2", "openai", "aiohttp", "websockets"} <= set(versions)


def test_a_candidate_that_takes_long_has_few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(measure, "time", SimpleNamespace(perf_counter=lambda: now))

    def work(seconds: float) -> float:
        nonlocal now
        now += seconds
        return seconds

    candidates = {"quick": partial(work, 1.0), "slow": partial(work, 9.0)}
    samples = interleave(candidates, 4, most=8.0)
    assert samples == {"quick": [1.0] * 4, "slow": [9.0]}


def test_what_would_take_minutes_is_left_out_of_larger_numbers() -> None:
    costs = {"runagent": 9e9, "httpx2": 9e9, "fair": 1_000.0, "slow": 2_000.0}
    table = Table("calls", "µs", {name: [cost] for name, cost in costs.items()}, "httpx2")
    assert calls._too_slow(table, 1_000, 5_000) == ["slow"]
    assert calls._too_slow(table, 5_000, 0) == []
