"""The pace of a batch, against simulated limits, in virtual time."""

from __future__ import annotations

import math
from typing import Any

import pytest

from benchmarks.simulated import (
    Both,
    Bucket,
    Changing,
    Concurrency,
    FixedWindow,
    Limit,
    SlidingWindow,
    run,
)
from runagent.many.pace import Pace
from runagent.many.quota import Quota

VIRTUAL = 40
"""Virtual seconds of a run at the full rate."""


def share_and_waste(
    limit: Limit, ideal: float, length: float, **options: Any
) -> tuple[float, float]:
    """Return the share of the ideal time, and the share of requests that were refused.

    Args:
        limit: The limit.
        ideal: Requests per second that it allows.
        length: Virtual seconds that the batch takes at best.
        options: Arguments of `run`.
    """
    rows = int(ideal * length)
    outcome = run(limit, rows, **options)
    return (length + options.get("latency", 0.1)) / outcome.ended, outcome.wasted / rows


@pytest.mark.parametrize("phase", [0.0, 0.37, 0.8])
@pytest.mark.parametrize("style", ["policy", "x"])
def test_stated_windows_are_used(style: str, phase: float) -> None:
    share, waste = share_and_waste(FixedWindow(50, 1.0, phase, style), 50, VIRTUAL)
    assert share >= 0.95
    assert waste < 0.01


def test_a_reset_in_whole_seconds_makes_no_small_bucket_slow() -> None:
    share, waste = share_and_waste(Bucket(50, 5, "whole"), 50, 10 * VIRTUAL)
    assert share >= 0.85
    assert waste < 0.015


@pytest.mark.parametrize(
    ("rate", "size", "latency"),
    [(50, 50, 0.1), (50, 5, 0.1), (50, 500, 0.1), (50, 50, 1.0), (7, 7, 0.3), (13, 26, 0.1)],
)
@pytest.mark.parametrize("style", ["policy", "x"])
def test_stated_buckets_are_used(style: str, rate: int, size: int, latency: float) -> None:
    bucket = Bucket(rate, size, style)
    share, waste = share_and_waste(bucket, rate, VIRTUAL, latency=latency)
    assert share >= 0.95
    assert waste < 0.01


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rate", [50, 200])
def test_a_window_is_found_from_its_resets_however_far_the_server_is_away(
    rate: int, seed: int
) -> None:
    limit = FixedWindow(rate, 1.0, seed / 3, "x")
    options = {"latency": 1.0, "seed": seed, "max_concurrency": 4 * rate}
    share, waste = share_and_waste(limit, rate, VIRTUAL, **options)
    assert share >= 0.88
    assert waste < 0.015


@pytest.mark.parametrize("style", ["policy", "x", "whole"])
def test_a_stated_limit_that_changes_is_followed(style: str) -> None:
    first, second = FixedWindow(20, 1.0, 0.37, style), FixedWindow(60, 1.0, 0.37, style)
    share, waste = share_and_waste(Changing(first, second, VIRTUAL / 2), 40, VIRTUAL)
    assert share >= 0.95
    assert waste < 0.01


@pytest.mark.parametrize(("before", "after"), [(20, 60), (60, 20)])
def test_a_bucket_that_is_filled_at_another_rate_is_followed(before: int, after: int) -> None:
    limit = Changing(Bucket(before, 40, "x"), Bucket(after, 40, "x"), VIRTUAL / 2)
    share, waste = share_and_waste(limit, 40, VIRTUAL)
    assert share >= 0.9
    assert waste < 0.015


@pytest.mark.parametrize(
    "limit",
    [
        FixedWindow(50, 1.0, 0.0),
        FixedWindow(50, 1.0, 0.8),
        FixedWindow(3000, 60.0),
        Bucket(50, 50),
        Bucket(50, 5),
        SlidingWindow(50, 1.0),
    ],
    ids=repr,
)
def test_a_rate_that_the_user_states_is_used(limit: Limit) -> None:
    share, waste = share_and_waste(limit, 50, VIRTUAL, rate=50)
    assert share >= 0.95
    assert waste < 0.01


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("rate", "latency"), [(50, 0.02), (50, 0.1), (200, 0.1)])
def test_silent_windows_are_found(rate: int, latency: float, seed: int) -> None:
    limit = FixedWindow(rate, 1.0, seed / 3)
    share, waste = share_and_waste(limit, rate, VIRTUAL, latency=latency, seed=seed)
    assert share >= 0.85
    assert waste < 0.015


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rate", [10, 33, 50, 200])
def test_hints_in_whole_seconds_cost_few_pauses(rate: int, seed: int) -> None:
    limit = FixedWindow(rate, 1.0, seed / 3, "retry whole")
    share, waste = share_and_waste(limit, rate, 10 * VIRTUAL, seed=seed)
    assert share >= 0.92
    assert waste < 0.01


def test_the_gate_opens_by_itself_until_a_time_to_wait_was_wrong() -> None:
    pace = Pace(0.0, remembered=100.0)
    pace.answered(pace.sent(0.0), 0.1, "limited", retry_after=1.0)
    pace.answered(pace.sent(1.1), 1.2, "accepted")  # so the server is believed
    pace.answered(pace.sent(1.3), 1.4, "limited", retry_after=1.0)
    tickets = [pace.sent(2.4 + i / 20) for i in range(3) if pace.wait(2.4 + i / 20) == 0]
    assert len(tickets) == 3
    pace.answered(tickets[0], 2.6, "limited", retry_after=1.0)
    pace.sent(3.7)
    assert pace.wait(3.7) > 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rate", [10, 50, 200])
def test_no_reset_in_whole_seconds_makes_a_window_look_shorter_than_it_is(
    rate: int, seed: int
) -> None:
    limit = FixedWindow(rate, 1.0, seed / 3, "whole")
    share, waste = share_and_waste(limit, rate, VIRTUAL, latency=0.3, seed=seed)
    assert share >= 0.85
    assert waste < 0.015


@pytest.mark.parametrize("latency", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("size", [20, 50, 200])
def test_a_bucket_of_any_size_is_found_from_resets_in_whole_seconds(
    size: int, latency: float
) -> None:
    limit = Bucket(200, size, "whole")
    share, waste = share_and_waste(limit, 200, VIRTUAL, latency=latency, max_concurrency=800)
    assert share >= 0.85
    assert waste < 0.025


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rate", [50, 200])
def test_resets_in_whole_seconds_of_a_server_far_away_are_understood(rate: int, seed: int) -> None:
    limit = FixedWindow(rate, 1.0, seed / 3, "whole")
    options = {"latency": 1.0, "seed": seed, "max_concurrency": 4 * rate}
    share, waste = share_and_waste(limit, rate, VIRTUAL, **options)
    assert share >= 0.85
    assert waste < 0.01


@pytest.mark.parametrize("style", ["policy", "x", "whole"])
def test_two_limits_at_once_are_respected(style: str) -> None:
    limit = Both(FixedWindow(100, 1.0), FixedWindow(1500, 60.0, 0.37, style))
    share, waste = share_and_waste(limit, 25, 10 * VIRTUAL)
    assert share >= 0.95
    assert waste < 0.01


@pytest.mark.parametrize(
    ("short", "long"),
    [
        (FixedWindow(60, 1.0), FixedWindow(3000, 60.0)),
        (FixedWindow(100, 1.0), FixedWindow(1500, 60.0)),
        (FixedWindow(60, 1.0), FixedWindow(500, 10.0)),
    ],
    ids=repr,
)
def test_two_limits_at_once_are_found(short: FixedWindow, long: FixedWindow) -> None:
    share, waste = share_and_waste(Both(short, long), long.limit / long.window, 10 * VIRTUAL)
    assert share >= 0.9
    assert waste < 0.015


@pytest.mark.parametrize("style", ["", "retry whole", "policy"])
def test_a_latency_that_varies_much_makes_no_batch_slow(style: str) -> None:
    limit = FixedWindow(50, 1.0, 0.37, style)
    share, waste = share_and_waste(limit, 50, 10 * VIRTUAL, latency=0.275, jitter=0.82)
    assert share >= 0.85
    assert waste < 0.01


@pytest.mark.parametrize("limit", [FixedWindow(50, 1.0), Bucket(50, 50)], ids=repr)
def test_long_runs_come_close_to_the_ideal(limit: Limit) -> None:
    share, waste = share_and_waste(limit, 50, 10 * VIRTUAL)
    assert share >= 0.95
    assert waste < 0.015


@pytest.mark.parametrize("rate", [1, 3, 7, 30, 500])
@pytest.mark.parametrize("kind", ["window", "bucket", "sliding", "minute"])
def test_no_limit_stops_a_batch(kind: str, rate: int) -> None:
    limits: dict[str, Limit] = {
        "window": FixedWindow(rate, 1.0),
        "bucket": Bucket(rate, max(1, rate / 4)),
        "sliding": SlidingWindow(rate, 1.0),
        "minute": FixedWindow(60 * rate, 60.0),
    }
    outcome = run(limits[kind], 60 * rate, latency=0.1)
    assert 60 / outcome.ended > 0.5


def test_a_limit_of_concurrency_is_respected() -> None:
    outcome = run(Concurrency(10), 2000, latency=0.1, agent=0.2)
    assert 2000 / (10 / 0.3) / outcome.ended > 0.8
    assert outcome.wasted / 2000 < 0.015


def test_a_limit_that_rises_is_found() -> None:
    limit = Changing(FixedWindow(50, 1.0), FixedWindow(200, 1.0), 60.0)
    outcome = run(limit, 50 * 60 + 200 * 140, latency=0.1)
    assert 200 / outcome.ended > 0.7


def test_a_limit_that_falls_is_found() -> None:
    limit = Changing(FixedWindow(200, 1.0), FixedWindow(20, 1.0), 20.0)
    outcome = run(limit, 200 * 20 + 20 * 100, latency=0.1)
    assert 120 / outcome.ended > 0.7


def test_without_a_limit_the_concurrency_is_the_limit() -> None:
    outcome = run(Concurrency(10**9), 5000, latency=0.1, max_concurrency=50)
    assert outcome.wasted == 0
    assert outcome.ended < 2 * 5000 / (50 / 0.1)


def test_one_refusal_of_many_requests_lowers_the_pace_once() -> None:
    pace = Pace(0.0, remembered=100.0)
    asked = 1.1
    tickets = [pace.sent(i / 100) for i in range(50)]
    for ticket in tickets:
        pace.answered(ticket, 0.6, "limited", retry_after=asked)
    assert pace.closed_for == "limited"
    assert pace.wait(0.6) == pytest.approx(asked)
    probe = pace.sent(1.7)
    assert pace.wait(1.7) > 0, "one request finds out whether the limit is open"
    pace.answered(probe, 1.8, "accepted")
    assert pace.closed_for is None
    assert pace.pace(1.8) > 50


@pytest.mark.parametrize(("asked", "wait"), [(2.0, 1.25), (1.0, 0.25), (0.5, 0.5), (0.1, 0.1)])
def test_a_wait_in_whole_seconds_begins_when_the_request_was_sent(
    asked: float, wait: float
) -> None:
    pace = Pace(0.0, remembered=100.0)
    pace.answered(pace.sent(0.0), 0.75, "limited", retry_after=asked)
    assert pace.wait(0.75) == pytest.approx(wait)


def test_the_time_behind_a_closed_gate_is_not_made_up_for() -> None:
    pace = Pace(0.0, remembered=100.0)
    pace.answered(pace.sent(0.0), 0.1, "accepted")
    pace.answered(pace.sent(0.1), 0.2, "limited", retry_after=1.0)
    pace.answered(pace.sent(1.2), 1.3, "accepted")
    burst = 0
    while pace.wait(1.3) == 0:
        pace.sent(1.3)
        burst += 1
    assert burst <= 1


def test_one_refusal_of_a_stated_limit_is_soon_forgotten() -> None:
    pace = Pace(0.0, rate=100.0)
    pace.answered(pace.sent(0.0), 0.1, "limited", retry_after=0.1)
    pace.answered(pace.sent(0.2), 0.3, "accepted")
    assert pace.pace(0.3) == pytest.approx(96)
    for i in range(400):
        now = 0.3 + i / 100
        pace.answered(pace.sent(now), now + 0.1, "accepted")
    assert pace.pace(5.0) == pytest.approx(98)


def test_a_window_that_is_used_up_is_waited_for() -> None:
    pace = Pace(0.0)
    pace.answered(pace.sent(0.0), 0.1, "accepted", (Quota(100, 0, 60.0, 45.0),))
    assert pace.wait(0.1) == pytest.approx(45.0)


@pytest.mark.parametrize("length", [86_400.0, None])
def test_a_quota_for_a_day_is_used_up_at_the_pace_of_the_other_limits(
    length: float | None,
) -> None:
    pace = Pace(0.0)
    second = Quota(50, 49, 1.0, 0.9, "second")
    pace.answered(pace.sent(0.0), 0.1, "accepted", (second, Quota(300, 200, length, 40_000.0)))
    assert pace.pace(0.1) == pytest.approx(49)
    pace.answered(pace.sent(1.0), 1.1, "accepted", (second, Quota(300, 0, length, 39_999.0)))
    assert pace.waits_for(1.1) == "limited"
    assert pace.opens_at(1.1) == pytest.approx(40_000.1)


def test_a_limit_that_is_not_stated_any_more_no_longer_holds() -> None:
    pace = Pace(0.0)
    low, high = Quota(5, 4, 1.0, 0.5, "low"), Quota(80, 79, 1.0, 0.5, "high")
    pace.answered(pace.sent(0.0), 0.1, "accepted", (low, high))
    assert pace.pace(0.1) == pytest.approx(4.9)
    for now in (5.0, 12.0):
        pace.answered(pace.sent(now), now, "accepted", (high,))
    assert pace.pace(12.0) == pytest.approx(78.4)


def test_an_outage_closes_the_gate_and_one_request_looks_again() -> None:
    pace = Pace(0.0, remembered=100.0)
    now = 0.0
    for _ in range(3):
        now += 1
        pace.answered(pace.sent(now), now, "unavailable")
    assert pace.closed_for == "unavailable"
    waits = []
    for _ in range(12):
        waits.append(pace.wait(now))
        now += waits[-1]
        ticket = pace.sent(now)
        assert pace.wait(now) > 0
        pace.answered(ticket, now, "unavailable")
    assert waits == sorted(waits)
    assert max(waits) <= 30
    now += pace.wait(now)
    pace.answered(pace.sent(now), now, "accepted")
    assert pace.closed_for is None


def test_concurrency_bounds_what_is_under_way() -> None:
    pace = Pace(0.0, rate=1e6, max_concurrency=2)
    now = 0.0
    tickets = []
    while pace.wait(now) < math.inf:
        now += pace.wait(now)
        tickets.append(pace.sent(now))
    assert len(tickets) == 2
    pace.dropped()
    assert pace.wait(now + 1) == 0
