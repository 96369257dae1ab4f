"""The recipes for Ray and Spark, on the real engines: each row is executed once, however often asked."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from support.engines import KEY
from support.page import examples

from runagent.local import serve

pytestmark = pytest.mark.filterwarnings("default")  # of the engines


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Serve the agent of the page to whoever has the key; count how often each input is executed."""
    seen: Counter[str] = Counter()

    def agent(query: str) -> str:
        seen[query] += 1
        return query.upper()

    with serve({"agent-123": agent}, api_key=KEY) as server:
        monkeypatch.setenv("RUNAGENT_API_URL", server.url)
        monkeypatch.setenv("RUNAGENT_API_KEY", KEY)
        monkeypatch.setenv("RATE_SHARE", "1000")
        monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
        yield seen


def once() -> Counter[str]:
    return Counter(f"Review {i}" for i in range(100))


def test_ray(executed: Counter[str]) -> None:
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    try:
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(examples("how-to/clusters.md", "ray"), names)
        frame = names["answered"].to_pandas().sort_values("review_id")
        assert list(frame["answer"]) == [f"REVIEW {i}" for i in range(100)]
        assert executed == once()
        again = names["table"].map_batches(names["answer"], batch_format="pandas", batch_size=None)
        assert again.count() == 100
        assert executed == once(), "a plan that runs again is answered by its keys"
    finally:
        ray.shutdown()


def test_spark(executed: Counter[str]) -> None:
    sql = pytest.importorskip("pyspark.sql")
    spark = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = spark.getOrCreate()
    try:
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(examples("how-to/clusters.md", "spark"), names)
        rows = names["answered"].orderBy("review_id").collect()
        assert [row["answer"] for row in rows] == [f"REVIEW {i}" for i in range(100)]
        assert executed == once()
        names["answered"].unpersist()
        assert names["answered"].filter("status = 'ok'").count() == 100
        assert executed == once(), "a plan that runs again is answered by its keys"
    finally:
        session.stop()
