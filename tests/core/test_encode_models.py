"""pydantic models are sent as the values they hold, whatever type their fields declare."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import math
from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar

import numpy as np
import pandas as pd
import pydantic
import pytest
from pydantic import (
    AnyUrl,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    computed_field,
    field_serializer,
    model_serializer,
)

from runagent import RunAgentClient, ValidationError
from runagent.encode import to_json


class Animal(BaseModel):
    name: str


class Dog(Animal):
    tricks: list[str] = ["sit"]


class Puppy(Dog):
    weeks: int = 8


class Renamed(Animal):
    model_config = ConfigDict(serialize_by_alias=True)
    size: int = Field(default=3, serialization_alias="Size")


class Open(Animal):
    model_config = ConfigDict(extra="allow")


class Odd(Animal):
    weight: float = math.nan


@dataclasses.dataclass
class Shape:
    sides: int


@dataclasses.dataclass
class Coloured(Shape):
    colour: str


@pydantic.dataclasses.dataclass
class Sized(Shape):
    size: dt.date


class Everything(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    it: Any


T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    it: T


class Animals(RootModel[list[Animal]]):
    pass


def holder(declared: Any) -> Any:
    return pydantic.create_model(
        "Holder", __config__=ConfigDict(arbitrary_types_allowed=True), it=(declared, ...)
    )


DOG = Dog(name="Rex")
REX = {"name": "Rex", "tricks": ["sit"]}
PUPPY = Puppy(name="Bo")
BO = {"name": "Bo", "tricks": ["sit"], "weeks": 8}


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [
        (Animal, DOG, REX),
        (Animal, PUPPY, BO),
        (Dog, PUPPY, BO),
        (BaseModel, DOG, REX),
        (object, DOG, REX),
        (Any, DOG, REX),
        (Animal | None, DOG, REX),
        (Animal | int, DOG, REX),
        (list[Animal], [DOG, Animal(name="x"), PUPPY], [REX, {"name": "x"}, BO]),
        (Sequence[Animal], (DOG,), [REX]),
        (tuple[Animal, int], (DOG, 1), [REX, 1]),
        (dict[str, Animal], {"k": DOG}, {"k": REX}),
        (dict[int, list[Animal]], {1: [DOG]}, {"1": [REX]}),
        (Animal, Renamed(name="x"), {"name": "x", "Size": 3}),
        (Animal, Open.model_validate({"name": "x", "more": 1}), {"name": "x", "more": 1}),
        (Shape, Coloured(4, "red"), {"sides": 4, "colour": "red"}),
        (list[Shape], [Coloured(4, "red")], [{"sides": 4, "colour": "red"}]),
        (Shape, Sized(4, dt.date(2026, 1, 1)), {"sides": 4, "size": "2026-01-01"}),
        (BaseModel, Everything(it=DOG), {"it": REX}),
        (BaseModel, Box[Animal](it=DOG), {"it": REX}),
        (Box[Animal], Box[Animal](it=DOG), {"it": REX}),
        (Animals, Animals([DOG]), [REX]),
        (Animal, Animal(name="x"), {"name": "x"}),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_field_is_sent_as_the_value_it_holds(declared: Any, value: Any, expected: Any) -> None:
    model = holder(declared)(it=value)
    sent = json.loads(to_json({"x": model, "deeper": {"y": [holder(type(model))(it=model)]}}))
    assert sent == {"x": {"it": expected}, "deeper": {"y": [{"it": {"it": expected}}]}}


def test_a_root_is_sent_as_the_value_it_holds() -> None:
    assert json.loads(to_json({"x": Animals([DOG])})) == {"x": [REX]}


class Reduced(BaseModel):
    """Serializers of every kind, each of which leaves something out on purpose."""

    model_config = ConfigDict(ser_json_timedelta="float", ser_json_bytes="hex")
    annotated: Annotated[Animal, PlainSerializer(lambda it: {"n": it.name})]
    renamed: Annotated[Animal, PlainSerializer(lambda it: {"name": it.name.upper()})]
    by_method: Animal
    secret: Annotated[
        SecretStr, PlainSerializer(lambda it: it.get_secret_value(), when_used="json")
    ]
    secrets: list[SecretStr]
    took: dt.timedelta = dt.timedelta(seconds=1.5)
    data: bytes = b"\xff"
    hidden: Animal = Field(default=DOG, exclude=True)
    url: AnyUrl = AnyUrl("https://example.org/x")

    @field_serializer("by_method")
    def reduce(self, it: Animal) -> str:
        return it.name

    @field_serializer("secrets")
    def shorten(self, secrets: list[SecretStr]) -> list[str]:
        return [secret.get_secret_value()[:2] for secret in secrets]

    @computed_field  # type: ignore[prop-decorator] # as pydantic's documentation says
    @property
    def friend(self) -> Animal:
        return DOG


class Whole(Animal):
    age: int = 1

    @model_serializer
    def shorten(self) -> dict[str, Any]:
        return {"called": self.name}


def test_serializers_of_the_users_own_decide() -> None:
    model = Reduced(
        annotated=DOG,
        renamed=DOG,
        by_method=DOG,
        secret=SecretStr("planted"),
        secrets=[SecretStr("planted")],
    )
    expected = {
        "annotated": {"n": "Rex"},
        "renamed": {"name": "REX"},
        "by_method": "Rex",
        "secret": "planted",
        "secrets": ["pl"],
        "took": 1.5,
        "data": "ff",
        "url": "https://example.org/x",
        "friend": REX,
    }
    sent = json.loads(to_json({"x": model, "whole": holder(Animal)(it=Whole(name="w"))}))
    assert sent["x"] == expected
    assert sent["whole"] == {"it": {"called": "w"}}


class Masked(Secret[str]):
    def _display(self) -> str:
        return "hidden"


@dataclasses.dataclass
class Login:
    password: SecretStr


SECRETS: list[tuple[Any, str]] = [
    (SecretStr("planted"), '["x"]'),
    (SecretBytes(b"planted"), '["x"]'),
    (Masked("planted"), '["x"]'),
    (Login(SecretStr("planted")), '["x"]["password"]'),
    (holder(SecretStr)(it="planted"), '["x"]["it"]'),
    (holder(SecretBytes)(it=b"planted"), '["x"]["it"]'),
    (holder(Masked)(it=Masked("planted")), '["x"]["it"]'),
    (holder(Secret[int])(it=7), '["x"]["it"]'),
    (holder(SecretStr | None)(it="planted"), '["x"]["it"]'),
    (holder(list[SecretStr])(it=["planted"]), '["x"]["it"][0]'),
    (holder(dict[str, SecretStr])(it={"k": "planted"}), '["x"]["it"]["k"]'),
    (holder(Any)(it={"k": [SecretStr("planted")]}), '["x"]["it"]["k"][0]'),
    (holder(BaseModel)(it=holder(SecretStr)(it="planted")), '["x"]["it"]["it"]'),
    (holder(Login)(it=Login(SecretStr("planted"))), '["x"]["it"]["password"]'),
]


@pytest.mark.parametrize(("value", "path"), SECRETS, ids=lambda value: repr(value)[:50])
def test_a_secret_is_refused_with_its_path_rather_than_sent_as_stars(value: Any, path: str) -> None:
    client = RunAgentClient("a", base_url="http://127.0.0.1:9")
    with pytest.raises(ValidationError, match="get_secret_value") as caught:
        client.run_generic({"x": value})
    assert str(caught.value).startswith(f"input_data{path}: ")
    assert "planted" not in str(caught.value)


def test_a_secret_as_a_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="JSON keys are strings"):
        to_json({"x": holder(dict[SecretStr, int])(it={SecretStr("planted"): 1})})


def test_an_empty_secret_hides_nothing() -> None:
    assert json.loads(to_json({"x": holder(SecretStr)(it="")})) == {"x": {"it": ""}}


@pytest.mark.parametrize("declared", [float, Any, list[float], dict[str, Any]])
@pytest.mark.parametrize("number", [math.inf, -math.inf])
def test_an_infinity_is_refused_with_its_path(number: float, declared: Any) -> None:
    value = {list[float]: [number], dict[str, Any]: {"k": number}}.get(declared, number)
    with pytest.raises(ValidationError, match=r'^x\["it"\].*inf cannot be sent'):
        to_json(holder(declared)(it=value), "x")


@pytest.mark.parametrize(
    ("declared", "value"), [(float, math.nan), (Any, math.nan), (Animal, Odd(name="o"))]
)
def test_nan_is_warned_of(declared: Any, value: Any) -> None:
    with pytest.warns(UserWarning, match="NaN"):
        sent = json.loads(to_json(holder(declared)(it=value)))["it"]
    assert sent in (None, {"name": "o", "weight": None})


class Colour(enum.Enum):
    RED = "red"


def test_values_that_pydantic_does_not_know_are_sent_as_anywhere_else() -> None:
    frame = pd.DataFrame({"a": [1, 2]})
    model = Everything(it={"frame": frame, "array": [np.array([1, 2])], "colour": Colour.RED})
    expected = {"frame": [{"a": 1}, {"a": 2}], "array": [[1, 2]], "colour": "red"}
    assert json.loads(to_json({"x": model})) == {"x": {"it": expected}}
    declared = holder(pd.DataFrame)(it=frame)
    assert json.loads(to_json({"x": declared})) == {"x": {"it": [{"a": 1}, {"a": 2}]}}


class Figure:
    pass


def test_a_value_that_cannot_be_sent_is_named_with_its_path() -> None:
    for model in (Everything(it=[1, Figure()]), holder(list[Figure])(it=[Figure(), Figure()])):
        with pytest.raises(ValidationError, match=r'^input_data\["x"\]\["it"\]\[[01]\]: Figure'):
            to_json({"x": model})


class Strict(Animal):
    def model_dump(self, **options: Any) -> dict[str, Any]:
        return {**super().model_dump(**options), "by": "hand"}


class Narrow(Animal):
    def model_dump(self, mode: str = "python") -> dict[str, Any]:  # type: ignore[override]
        return {**super().model_dump(mode=mode), "by": "hand"}


@pytest.mark.parametrize("kind", [Strict, Narrow])
def test_a_model_dump_of_the_users_own_is_called(kind: type[Animal]) -> None:
    assert json.loads(to_json({"x": kind(name="n")})) == {"x": {"name": "n", "by": "hand"}}
