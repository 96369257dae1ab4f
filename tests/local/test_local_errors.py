"""An agent's refusal reaches its client, whatever the agent put into it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from support.callers import Caller

from runagent import RateLimitError, ValidationError

Start = Callable[..., Caller]


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Thing:
    def __str__(self) -> str:
        return "a thing"


LOOP: dict[str, Any] = {}
LOOP["self"] = LOOP

DETAILS: list[tuple[Any, Any]] = [
    ({"x": Thing()}, {"x": "a thing"}),
    ({"x": Broken()}, {"x": ""}),
    ({"x": math.inf, "y": 1}, {"x": "inf", "y": 1}),
    ({"x": math.nan}, {"x": None}),
    ({"x": 1j}, {"x": "1j"}),
    ({"x": {1: 2}}, {"x": "{1: 2}"}),
    ({1: "one"}, {"1": "one"}),
    ({"x": np.array([1, 2])}, {"x": [1, 2]}),
    ({"x": LOOP}, {"x": str(LOOP)}),
    ({"x": {1, 2}}, {"x": [1, 2]}),
    (["a", "b"], {"details": ["a", "b"]}),
    ("text", {"details": "text"}),
    (Thing(), {"details": "a thing"}),
    ({}, {}),
]


@pytest.mark.parametrize("kind", [ValidationError, RateLimitError])
@pytest.mark.parametrize(("details", "expected"), DETAILS, ids=lambda value: type(value).__name__)
def test_details_of_any_kind_are_sent(kind: Any, details: Any, expected: Any, start: Start) -> None:
    def refuses() -> None:
        raise kind("not today", details=details)

    def breaks_off() -> Iterator[str]:
        yield "a"
        raise kind("not today", details=details)

    caller = start({"a": refuses, "b": breaks_off})
    error = caller.error()
    assert (error["message"], error["details"]) == ("not today", expected)
    events = caller.events("b")
    assert [name for name, _ in events] == ["start", "chunk", "error"]
    assert (events[-1][1]["error"], events[-1][1]["details"]) == ("not today", expected)


class Odd(ValidationError):
    """Subclasses may do this to their fields."""

    def __init__(self, **fields: Any) -> None:
        super().__init__("odd")
        vars(self).update(fields)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"message": 7}, {"message": "7"}),
        ({"message": Broken()}, {"message": "Odd"}),
        ({"message": "\ud800"}, {"message": r"\ud800"}),
        ({"code": 7}, {"code": "7"}),
        ({"code": Thing()}, {"code": "a thing"}),
        ({"status_code": "x"}, {"status": 400}),
        ({"status_code": 200}, {"status": 400}),
        ({"retry_after": "3"}, {"retry_after": 3.0}),
        ({"retry_after": -1}, {"retry_after": 0.0}),
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_fields_of_any_kind_are_sent(
    fields: dict[str, Any], expected: dict[str, Any], start: Start
) -> None:
    def refuses() -> None:
        raise Odd(**fields)

    def breaks_off() -> Iterator[str]:
        yield "a"
        raise Odd(**fields)

    caller = start({"a": refuses, "b": breaks_off})
    error = caller.error()
    assert {name: error[name] for name in expected} == expected
    kind, data = caller.events("b")[-1]
    data["message"] = data.pop("error")
    assert kind == "error"
    assert {name: data[name] for name in expected} == expected


@pytest.mark.parametrize("hint", ["soon", math.nan, math.inf, [], Thing()])
def test_a_hint_that_is_no_time_is_left_out(hint: Any, start: Start) -> None:
    def refuses() -> None:
        raise RateLimitError("later", retry_after=hint)

    caller = start(refuses)
    answer = caller.invoke()
    assert answer.status_code == 429
    assert "retry_after" not in answer.json()["error"]
    assert "retry-after" not in answer.headers


def test_nan_of_an_agent_becomes_null_and_is_logged(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    def chunks() -> Iterator[Any]:
        yield math.nan

    caller = start({"a": lambda: {"x": math.nan}, "b": chunks})
    assert caller.result() == {"x": None}
    assert caller.chunks("b") == [None]
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "An agent's result has NaN, which JSON does not have: null is sent.",
        "An agent's chunk 0 has NaN, which JSON does not have: null is sent.",
    ]
