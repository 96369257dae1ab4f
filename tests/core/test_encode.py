"""Anything a notebook holds becomes JSON without silent loss, or an error with the path to it."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import os
import pathlib
import types
import uuid
import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.faults import FaultServer, good

from runagent import RunAgentClient, ValidationError
from runagent.encode import to_json


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Flag(enum.Flag):
    A = 1


class Name(str, enum.Enum):
    ADA = "ada"


@dataclasses.dataclass
class Point:
    x: int
    when: dt.date


@dataclasses.dataclass
class Slotted:
    __slots__ = ("y",)
    y: Any


@dataclasses.dataclass
class Derived:
    x: int
    seed: dataclasses.InitVar[int]
    count: ClassVar[int] = 3


class Model(pydantic.BaseModel):
    name: str
    born: dt.date
    tags: set[str] = set()


class Measured(pydantic.BaseModel):
    mean: float


class Text(str):
    __slots__ = ()


class UserText(collections.UserString):
    pass


class Pair(tuple[int, int]):
    __slots__ = ()


Row = collections.namedtuple("Row", "a b")  # noqa: PYI024
UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")
NOON = dt.datetime(2026, 11, 23, 12, 0, 1, 5, tzinfo=dt.timezone.utc)

VALUES: list[Any] = [
    # what JSON has
    (None, None),
    (True, True),
    (0, 0),
    (-0.0, -0.0),
    (10**30, 10**30),
    (1e300, 1e300),
    ("", ""),
    ("ü 🎉 \u2028 \0", "ü 🎉 \u2028 \0"),
    ("\ud800", "\ud800"),
    ([1, [2, {"a": (3,)}]], [1, [2, {"a": [3]}]]),
    # the standard library
    (dt.date(2026, 11, 23), "2026-11-23"),
    (NOON, "2026-11-23T12:00:01.000005+00:00"),
    (dt.time(12, 30), "12:30:00"),
    (dt.timedelta(minutes=1, milliseconds=500), 60.5),
    (UUID, str(UUID)),
    (pathlib.PurePosixPath("/a/b"), "/a/b"),
    (decimal.Decimal("1.10"), "1.10"),
    (b"\x00\xff", "AP8="),
    (bytearray(b"hi"), "aGk="),
    pytest.param(memoryview(b"hi"), "aGk=", id="memoryview"),  # its repr is its address
    (Colour.RED, "red"),
    (Level.HIGH, 3),
    (Name.ADA, "ada"),
    (Flag.A, 1),
    (Point(1, dt.date(2026, 1, 1)), {"x": 1, "when": "2026-01-01"}),
    (Slotted({UUID}), {"y": [str(UUID)]}),
    (Row(1, 2), [1, 2]),
    (Pair((1, 2)), [1, 2]),
    ({3, 1, 2}, [1, 2, 3]),
    (frozenset("a"), ["a"]),
    (range(3), [0, 1, 2]),
    (collections.deque([1]), [1]),
    (collections.OrderedDict(a=1), {"a": 1}),
    (collections.defaultdict(int, a=1), {"a": 1}),
    (collections.Counter("aab"), {"a": 2, "b": 1}),
    (types.MappingProxyType({"a": UUID}), {"a": str(UUID)}),
    ({"a": 1}.keys(), ["a"]),
    (Text("x"), "x"),
    (collections.UserString("x"), "x"),
    (collections.UserString(""), ""),
    (UserText("xy"), "xy"),
    (collections.UserList([UUID]), [str(UUID)]),
    (collections.UserDict({"a": UUID}), {"a": str(UUID)}),
    (array.array("h", [1, 2]), [1, 2]),
    # pydantic
    (
        Model(name="x", born=dt.date(2000, 1, 1), tags={"t"}),
        {"name": "x", "born": "2000-01-01", "tags": ["t"]},
    ),
    # numpy
    (np.int64(7), 7),
    (np.uint8(7), 7),
    (np.float32(0.5), 0.5),
    (np.longdouble(0.5), 0.5),
    (np.bool_(True), True),
    (np.str_("s"), "s"),
    (np.bytes_(b"hi"), "aGk="),
    (np.datetime64("2026-11-23"), "2026-11-23"),
    (np.datetime64("NaT", "D"), None),
    (np.timedelta64(1500, "ms"), 1.5),
    (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    (np.array(5), 5),
    (np.array([], dtype=float), []),
    (np.array(["a", "b"]), ["a", "b"]),
    (np.array([UUID, None], dtype=object), [str(UUID), None]),
    (np.array(["2026-01-01", "NaT"], dtype="datetime64[D]"), ["2026-01-01", None]),
    (np.array([90, "NaT"], dtype="timedelta64[s]"), [90.0, None]),
    (np.timedelta64("NaT", "s"), None),
    pytest.param(memoryview(b"a.b.")[::2], "YWI=", id="memoryview with gaps"),
    (Derived(1, 2), {"x": 1}),
    # pandas
    (pd.Timestamp("2026-11-23 12:00", tz="UTC"), "2026-11-23T12:00:00+00:00"),
    (pd.Timedelta(seconds=90), 90.0),
    (pd.NaT, None),
    (pd.NA, None),
    (pd.Period("2026-11", "M"), "2026-11"),
    (pd.Series([1, 2]), [1, 2]),
    (pd.Series([1.5, None]), [1.5, None]),
    (pd.Series(["a", None], dtype="string"), ["a", None]),
    (pd.Series([1, None], dtype="Int64"), [1, None]),
    (pd.Series(["x", "y"], dtype="category"), ["x", "y"]),
    (pd.Index([1, 2]), [1, 2]),
    (pd.to_datetime(pd.Series(["2026-01-01"])), ["2026-01-01T00:00:00"]),
    (pd.DataFrame({"a": [1, 2], "b": ["x", None]}), [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
    (
        pd.DataFrame({"a": [1], "t": [pd.Timestamp("2026-01-01")], "n": [np.nan]}),
        [{"a": 1, "t": "2026-01-01T00:00:00", "n": None}],
    ),
    (pd.DataFrame({1: [2]}), [{"1": 2}]),
    (pd.DataFrame({"a": [1, 2, 3]}).iloc[[2, 0]], [{"a": 3}, {"a": 1}]),
    (pd.DataFrame({"a": [1.5]}, index=["mean"]), [{"index": "mean", "a": 1.5}]),
    (pd.DataFrame({"a": [1]}, index=pd.Index([7], name="id")), [{"id": 7, "a": 1}]),
    (pd.DataFrame({"a": [1], "id": [7]}).set_index("id", drop=False), [{"a": 1, "id": 7}]),
    (
        pd.DataFrame({"a": [1], "b": [2], "n": [3]}).groupby(["a", "b"]).sum(),
        [{"a": 1, "b": 2, "n": 3}],
    ),
    (pd.Series([3, 4], index=["x", "y"]), {"x": 3, "y": 4}),
    (pd.Series([3, 4], index=["x", "x"]), [{"index": "x", "value": 3}, {"index": "x", "value": 4}]),
    (pd.Series([3], index=pd.Index([7], name="id"), name="n"), [{"id": 7, "n": 3}]),
    (pd.Series([3, 4]).iloc[[1]], [4]),
    (pd.DataFrame({"a": []}), []),
    (pd.array([1, None], dtype="Int64"), [1, None]),
]


@pytest.mark.parametrize(("value", "expected"), VALUES, ids=lambda value: repr(value)[:40])
def test_values(value: Any, expected: Any) -> None:
    sent = json.loads(to_json({"x": value, "nested": [{"y": value}]}))
    assert sent == {"x": expected, "nested": [{"y": expected}]}
    assert repr(sent["x"]) == repr(expected)  # 1 is not 1.0, nor True


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, None),
        (np.float64("nan"), None),
        (np.array([0.5, np.nan], dtype=np.longdouble), [0.5, None]),
        (np.array([0.5, np.nan]), [0.5, None]),
        (Slotted([math.nan]), {"y": [None]}),
        (Measured(mean=math.nan), {"mean": None}),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_nan_becomes_null_with_a_warning(value: Any, expected: Any) -> None:
    with pytest.warns(UserWarning, match="JSON has no NaN") as caught:
        sent = json.loads(to_json({"x": value, "nested": [{"y": value}]}))
    assert sent == {"x": expected, "nested": [{"y": expected}]}
    assert [warning.filename for warning in caught] == [__file__]


def test_nan_is_warned_of_once_a_line(serve: Callable[..., FaultServer]) -> None:
    server = serve(*[good("invoke")] * 6)
    client = RunAgentClient("a", base_url=server.url)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for name in ("x", "y", "x"):
            client.run_generic({name: [1.0, math.nan]})
        client.batch_run([{"x": math.nan}, {"z": math.nan}])
        client.run_generic({"x": None})
    lines = [warning.lineno for warning in caught]
    assert lines == [lines[0], lines[0] + 1]
    assert {warning.filename for warning in caught} == {__file__}
    sent = [json.loads(exchange.body) for exchange in server.exchanges]
    assert sent[:3] == [{name: [1.0, None]} for name in ("x", "y", "x")]


class Figure:
    pass


class Letters(Sequence[Any]):
    """Like a string: each of its items is of its own kind."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __len__(self) -> int:
        return len(self.text)

    def __getitem__(self, index: Any) -> Any:
        return Letters(self.text[index])


class Refuses:
    def __fspath__(self) -> str:
        raise OSError("no")


LOOP: dict[str, Any] = {}
LOOP["self"] = [LOOP]
DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]

REFUSED: list[tuple[Any, str]] = [
    (
        {"rows": [1, 2, 3, {"fig": Figure()}]},
        'input_data["rows"][3]["fig"]: Figure cannot be sent as JSON',
    ),
    ({"x": math.inf}, 'input_data["x"]: inf cannot be sent as JSON'),
    ({"x": np.array([1, -np.inf])}, 'input_data["x"][1]: -inf'),
    ({"x": [10**5000]}, 'input_data["x"][0]: int cannot be sent as JSON: Exceeds the limit'),
    ({"x": np.longdouble("inf")}, 'input_data["x"]: inf cannot be sent as JSON'),
    ({"x": {1: 2}}, 'input_data["x"]: the key 1 is of type int'),
    ({"x": {None: 2}}, "the key None is of type NoneType"),
    ({"x": {True: 2}}, "the key True is of type bool"),
    ({"x": {(1, 2): 2}}, "the key (1, 2) is of type tuple"),
    ({1: 2}, "input_data: the key 1"),
    ({"x": 1j}, 'input_data["x"]: complex'),
    ({"x": np.complex128(1)}, 'input_data["x"]: complex'),
    ({"x": np.clongdouble(1)}, 'input_data["x"]: complex'),
    ({"x": object()}, 'input_data["x"]: object'),
    ({"x": len}, 'input_data["x"]: builtin_function_or_method'),
    ({"x": Figure}, 'input_data["x"]: type'),
    ({"x": (i for i in "a")}, 'input_data["x"]: generator'),
    ({"x": [Letters("ab")]}, 'input_data["x"][0][0][0]'),
    ({"x": Colour}, 'input_data["x"]'),
    ({"x": Point}, 'input_data["x"]'),
    ({"x": Model}, 'input_data["x"]'),
    ({"x": pd.DataFrame([[1, 2]], columns=["a", "a"])}, "two columns have the same name"),
    ({"x": pd.DataFrame({"a": [1]}, index=pd.Index([2], name="a"))}, "cannot insert a"),
    ({"x": pd.DataFrame({"a": [Figure()]})}, 'input_data["x"][0]["a"]: Figure'),
    ({"x": pd.Series([Figure()])}, 'input_data["x"][0]: Figure'),
    ({"x": Refuses()}, "Refuses cannot be sent as JSON: no"),
    ({'q"\n': Figure()}, r'input_data["q\"\n"]: Figure'),
    (LOOP, "contains itself"),
    ({"x": DEEP}, "nested too deeply"),
    ({"x": Slotted(DEEP)}, "nested too deeply"),
]


@pytest.mark.parametrize(("value", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_refused_with_the_path_before_anything_is_sent(value: Any, message: str) -> None:
    client = RunAgentClient("a", base_url="http://127.0.0.1:9")
    for send in (client.run_generic, client.run_generic_stream, client.stream_events):
        with pytest.raises(ValidationError) as caught:
            send(value)
        assert message in str(caught.value)
        assert caught.value.code == "INVALID_INPUT"
        assert caught.value.attempts is None


@pytest.mark.parametrize(
    "value", [None, "x", 1, [1], [("a", 1)], {1}, pd.DataFrame({"a": [1]}), Point(1, NOON)]
)
def test_an_input_is_a_dictionary(value: Any) -> None:
    client = RunAgentClient("a", base_url="http://127.0.0.1:9")
    with pytest.raises(ValidationError, match="an agent's input is a dictionary"):
        client.run_generic(value)


def test_any_mapping_is_a_dictionary() -> None:
    assert to_json(types.MappingProxyType({"a": 1})) == b'{"a":1}'


def test_an_entry_of_a_directory_is_its_path(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "books" / "bücher"
    path.mkdir(parents=True)
    entries = [*os.scandir(path.parent), *os.scandir(os.fsencode(path.parent))]
    assert json.loads(to_json({"x": entries})) == {"x": [str(path)] * 2}


@pytest.mark.parametrize("more", [1, UUID], ids=["as it is", "converted"])
def test_keys_that_are_strings_of_a_kind_are_what_they_hold(more: Any) -> None:
    sent = json.loads(to_json({Name.ADA: 1, "in": [{Text("t"): more}]}))
    assert sent["ada"] == 1
    assert list(sent["in"][0]) == ["t"]


def nest(value: Any, levels: int) -> dict[str, Any]:
    for _ in range(levels):
        value = {"in": value}
    return {"top": value}


def test_what_is_nested_deeply_is_looked_at_to_its_end() -> None:
    assert json.loads(to_json(nest([1], 300))) == nest([1], 300)
    with pytest.raises(ValidationError, match="the key 1 is of type int"):
        to_json(nest({1: 2}, 300))


def test_what_contains_itself_many_times_is_refused_at_once() -> None:
    value: dict[str, Any] = {}
    value.update({str(i): value for i in range(10)})  # ten times as many on each level
    with pytest.raises(ValidationError, match="contains itself"):
        to_json(value)


def test_the_same_value_twice_is_no_loop() -> None:
    shared = {"a": UUID}
    assert json.loads(to_json({"x": shared, "y": [shared, shared]}))["y"][1] == {"a": str(UUID)}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300)
@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_what_json_has_comes_back_as_it_was(value: dict[str, Any]) -> None:
    assert repr(json.loads(to_json(value))) == repr(value)


@settings(max_examples=200)
@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_both_roads_give_the_same(value: dict[str, Any]) -> None:
    slow = json.loads(to_json({**value, "\0forces conversion": UUID}))
    del slow["\0forces conversion"]
    assert repr(slow) == repr({k: v for k, v in value.items() if k != "\0forces conversion"})
