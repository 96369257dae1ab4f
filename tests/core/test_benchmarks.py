"""Every comparison that needs no other package runs, and measures this package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from benchmarks import batch, calls, engines, large, peers, report, streams
from benchmarks.limited import counts, running
from benchmarks.measure import Bound, Limit, Sheet, Table

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
        partial(calls.concurrent, rounds=1, sizes=(2, 4)),
        partial(calls.threads, rounds=1, workers=2, calls=1),
        partial(streams.chunks, rounds=1, count=50),
        partial(streams.first, rounds=1),
        partial(large.nested_input, rounds=1, levels=1),
        partial(batch.unlimited, rounds=1, rows=3),
        partial(batch.journal, rounds=1, rows=3),
        partial(engines.tables, rounds=1, rows=20),
    ],
)
def test_it_measures_every_candidate(benchmark: Callable[[], Iterator[Table]]) -> None:
    tables = list(benchmark())
    assert tables
    for table in tables:
        assert {"runagent", table.baseline} <= set(table.samples)
        assert all(len(values) == 1 and values[0] > 0 for values in table.samples.values())


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


def test_a_batch_is_counted_at_the_server() -> None:
    with running("window", 5.0, latency=0.0) as url:
        found = batch.run("gather httpx2", url, "30", "5")
        seen = counts(url)
    assert seen.asked == 30
    assert found["lost"] == seen.limited > 0
    assert found["took"] > 0
