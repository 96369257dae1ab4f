"""Rate limits in headers, as servers write them, and rates as users write them."""

from __future__ import annotations

import pytest

from runagent import ValidationError
from runagent.many.quota import NO_QUOTA, Quota, read
from runagent.many.rates import check_rate
from runagent.many.windows import Windows

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "quota"),
    [
        ({}, NO_QUOTA),
        ({"x-request-id": "5", "content-length": "3"}, NO_QUOTA),
        # draft-ietf-httpapi-ratelimit-headers, present form
        (
            {"ratelimit-policy": '"default";q=100;w=10', "ratelimit": '"default";r=50;t=30'},
            Quota(100, 50, 10, 30),
        ),
        (
            {
                "ratelimit-policy": '"burst";q=100;w=60,"daily";q=1000;w=86400',
                "ratelimit": '"burst";r=50;t=30, "daily";r=999;t=86000',
            },
            Quota(1000, 999, 86_400, 86_000),
        ),
        ({"ratelimit": '"default";r=50;t=30'}, Quota(None, 50, None, 30)),
        # its seventh version
        (
            {"ratelimit": "limit=100, remaining=50, reset=5", "ratelimit-policy": "100;w=10"},
            Quota(100, 50, 10, 5),
        ),
        # its first versions
        (
            {
                "ratelimit-limit": "100, 100;w=10",
                "ratelimit-remaining": "50",
                "ratelimit-reset": "5",
            },
            Quota(100, 50, 10, 5),
        ),
        # the documented headers of the cloud API
        (
            {
                "x-ratelimit-limit": "50",
                "x-ratelimit-remaining": "49",
                "x-ratelimit-reset": str(int(NOW) + 2),
                "x-ratelimit-reset-after": "1.5",
            },
            Quota(50, 49, None, 1.5),
        ),
        (
            {
                "x-ratelimit-limit": "50",
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": str(int(NOW) + 2),
            },
            Quota(50, 0, None, 2.0),
        ),
        ({"x-ratelimit-limit": "50", "x-ratelimit-reset": "3"}, Quota(50, None, None, 3.0)),
        # those of providers of models
        (
            {
                "x-ratelimit-limit-requests": "60",
                "x-ratelimit-remaining-requests": "59",
                "x-ratelimit-reset-requests": "1m2.5s",
            },
            Quota(60, 59, None, 62.5),
        ),
        (
            {
                "anthropic-ratelimit-requests-limit": "60",
                "anthropic-ratelimit-requests-remaining": "59",
                "anthropic-ratelimit-requests-reset": "2027-01-15T08:00:05Z",
            },
            Quota(60, 59, None, 5.0),
        ),
    ],
)
def test_headers_are_read(headers: dict[str, str], quota: Quota) -> None:
    assert read(headers, lambda: NOW) == quota


@pytest.mark.parametrize(
    "value", ["", "x", "-1", "nan", "inf", "1e400", ";;;", "a=b=c", '"', "0", "9" * 400]
)
def test_nonsense_is_passed_over(value: str) -> None:
    names = ("ratelimit", "ratelimit-policy", "x-ratelimit-limit", "x-ratelimit-remaining")
    quota = read(dict.fromkeys((*names, "x-ratelimit-reset"), value), lambda: NOW)
    assert quota.limit is None or quota.limit > 0
    assert quota.window is None
    assert quota.reset_after is None or quota.reset_after > 0
    windows = Windows()
    windows.answered(quota, 0.0, 0, 0.0)
    assert windows.pace(0.0) > 0


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
