"""Rate limits in headers, as servers write them, and rates as users write them."""

from __future__ import annotations

import pytest

from runagent import ValidationError
from runagent.many.limits import Limits
from runagent.many.quota import MOST, Quota, read
from runagent.many.rates import check_rate

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "quotas"),
    [
        ({}, ()),
        ({"x-request-id": "5", "content-length": "3"}, ()),
        # draft-ietf-httpapi-ratelimit-headers, present form
        (
            {"ratelimit-policy": '"default";q=100;w=10', "ratelimit": '"default";r=50;t=30'},
            (Quota(100, 50, 10, 30, "default;w=10"),),
        ),
        (
            {
                "ratelimit-policy": '"burst";q=100;w=60,"daily";q=1000;w=86400',
                "ratelimit": '"burst";r=50;t=30, "daily";r=999;t=86000',
            },
            (
                Quota(100, 50, 60, 30, "burst;w=60"),
                Quota(1000, 999, 86_400, 86_000, "daily;w=86400"),
            ),
        ),
        (
            {
                "ratelimit-policy": '"burst";q=100;w=60,"daily";q=1000;w=86400',
                "ratelimit": '"daily";r=999;t=86000',
            },
            (
                Quota(100, None, 60, None, "burst;w=60"),
                Quota(1000, 999, 86_400, 86_000, "daily;w=86400"),
            ),
        ),
        ({"ratelimit": '"default";r=50;t=30'}, (Quota(None, 50, None, 30, "default"),)),
        (
            {
                "ratelimit-policy": '"in";q=9000;qu="content-bytes";w=1, "n";q=10;qu="requests";w=1',
                "ratelimit": '"in";r=5;t=1, "n";r=9;t=1',
            },
            (Quota(10, 9, 1, 1, "n;w=1"),),
        ),
        # its seventh version
        (
            {"ratelimit": "limit=100, remaining=50, reset=5", "ratelimit-policy": "100;w=10"},
            (Quota(100, 50, 10, 5, ";w=10"),),
        ),
        (
            {
                "ratelimit": "limit=100, remaining=50, reset=5",
                "ratelimit-policy": '20;w=1, 100;w=10;burst=1000;comment="leaky"',
            },
            (Quota(20, None, 1, None, ";w=1"), Quota(100, 50, 10, 5, ";w=10")),
        ),
        # its first versions
        (
            {
                "ratelimit-limit": "100, 100;w=10",
                "ratelimit-remaining": "50",
                "ratelimit-reset": "5",
            },
            (Quota(100, 50, 10, 5, ";w=10"),),
        ),
        (
            {
                "ratelimit-limit": "100, 100;w=10, 5000;w=3600",
                "ratelimit-remaining": "50",
                "ratelimit-reset": "5",
            },
            (Quota(100, 50, 10, 5, ";w=10"), Quota(5000, None, 3600, None, ";w=3600")),
        ),
        # the documented headers of the cloud API
        (
            {
                "x-ratelimit-limit": "50",
                "x-ratelimit-remaining": "49",
                "x-ratelimit-reset": str(int(NOW) + 2),
                "x-ratelimit-reset-after": "1.5",
            },
            (Quota(50, 49, None, 1.5),),
        ),
        (
            {
                "x-ratelimit-limit": "50",
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": str(int(NOW) + 2),
            },
            (Quota(50, 0, None, 2.0),),
        ),
        ({"x-ratelimit-limit": "50", "x-ratelimit-reset": "3"}, (Quota(50, None, None, 3.0),)),
        (
            {
                "x-ratelimit-limit": "50",
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": "Fri, 15 Jan 2027 08:00:05 GMT",
            },
            (Quota(50, 0, None, 5.0),),
        ),
        # those of providers of models
        (
            {
                "x-ratelimit-limit-requests": "60",
                "x-ratelimit-remaining-requests": "59",
                "x-ratelimit-reset-requests": "1m2.5s",
            },
            (Quota(60, 59, None, 62.5),),
        ),
        (
            {
                "anthropic-ratelimit-requests-limit": "60",
                "anthropic-ratelimit-requests-remaining": "59",
                "anthropic-ratelimit-requests-reset": "2027-01-15T08:00:05Z",
            },
            (Quota(60, 59, None, 5.0),),
        ),
    ],
)
def test_headers_are_read(headers: dict[str, str], quotas: tuple[Quota, ...]) -> None:
    assert read(headers, lambda: NOW) == quotas


@pytest.mark.parametrize(
    "value", ["", "x", "-1", "nan", "inf", "1e400", ";;;", "a=b=c", '"', "0", "9" * 400]
)
def test_nonsense_is_passed_over(value: str) -> None:
    names = ("ratelimit", "ratelimit-policy", "x-ratelimit-limit", "x-ratelimit-remaining")
    quotas = read(dict.fromkeys((*names, "x-ratelimit-reset"), value), lambda: NOW)
    for quota in quotas:
        assert quota.limit is None or quota.limit > 0
        assert quota.window is None
        assert quota.reset_after is None or quota.reset_after > 0
    limits = Limits()
    limits.answered(quotas, 0.0, 0, 0.0)
    assert limits.pace(0.0) > 0


@pytest.mark.parametrize(
    ("rate", "value"),
    [
        (None, None),
        (50, 50.0),
        (0.5, 0.5),
        ("50/s", 50.0),
        ("3000/min", 50.0),
        ("3,600 / hour", 1.0),
        ("1_000/sec", 1000.0),
        ("2.5/s", 2.5),
        ("10 per second", 10.0),
        ("500/10s", 50.0),
        ("86400/day", 1.0),
    ],
)
def test_rates_are_read(rate: object, value: float | None) -> None:
    assert check_rate(rate) == value


@pytest.mark.parametrize(
    "rate", ["", "50", "50/x", "/s", "-5/s", "0/s", "5/0s", 0, -1, float("nan"), True, [5]]
)
def test_other_rates_are_refused(rate: object) -> None:
    with pytest.raises(ValidationError, match="rate="):
        check_rate(rate)


def test_very_many_limits_cost_little() -> None:
    many = ", ".join(f'"limit {i}";q={i + 1};w=1' for i in range(10_000))
    found = read({"ratelimit-policy": many}, lambda: NOW)
    assert len(found) == MOST
    limits = Limits()
    for i in range(100):
        names = [Quota(i + 1, 1, 1, 1, f"{i} {n}") for n in range(MOST)]
        limits.answered(names, 0.0, 0, 0.0)
    assert len(limits._windows) == MOST
    assert limits.pace(0.0) == 100  # that of those that were stated last
