"""Answers as instances of the user's classes, and the errors for those that do not fit."""

from __future__ import annotations

import datetime as dt
import enum
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType, Optional, TypedDict

import pydantic
import pytest

from runagent import AsyncRunAgentClient, RunAgentClient, RunAgentError, ValidationError
from runagent.local import serve
from runagent.response_models import as_model, check_model


class City(pydantic.BaseModel):
    name: str
    population: int


class Strict(pydantic.BaseModel, strict=True):
    day: dt.date


class Picky(pydantic.BaseModel):
    name: str

    @pydantic.field_validator("name")
    @classmethod
    def check(cls, name: str) -> str:
        if name == "Atlantis":
            raise ValueError("there is no such city")
        if name == "Broken":
            raise KeyError(name)
        return name


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


Metres = NewType("Metres", float)


class Place(TypedDict, total=False):
    lat: float


@dataclass
class Street:
    name: str
    length: Metres = Metres(0.0)
    sizes: set[Size] = field(default_factory=set)
    city: City | None = None
    built: Optional[dt.date] = None  # noqa: UP045 - users write it
    kind: Literal["road", "lane"] = "road"
    pairs: list[tuple[int, str]] = field(default_factory=list)
    cost: Decimal = Decimal(0)
    place: Place | None = None
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    id: uuid.UUID | None = None
    seen: dt.datetime | None = None
    anything: Any = None
    shown: str = field(default="", init=False)

    def __post_init__(self) -> None:
        if self.name == "Nowhere":
            raise ValueError("a street is somewhere")


@dataclass
class Named:
    name: str


@dataclass
class Region:
    name: str
    area: int


@pydantic.dataclasses.dataclass
class Counted:
    count: pydantic.PositiveInt


class TaggedA(pydantic.BaseModel):
    kind: Literal["a"]


class TaggedB(pydantic.BaseModel):
    kind: Literal["b"]
    n: int


Positive = Annotated[int, pydantic.Field(gt=0)]
Tagged = Annotated[TaggedA | TaggedB, pydantic.Field(discriminator="kind")]


@dataclass
class Rated:
    stars: Positive


class Plain:
    pass


@dataclass
class Holding:
    plain: Plain


class Linked(TypedDict):
    following: list[Linked]


ROME: dict[str, Any] = {"name": "Rome", "population": 2_800_000}
FENCED = f"Here it is:\n\n```json\n{json.dumps(ROME, indent=2)}\n```\nAnything else?"


@pytest.mark.parametrize(
    "answer",
    [
        ROME,
        {"result": ROME},
        {"answer": json.dumps(ROME), "confidence": 0.9},
        {"result": FENCED},
        json.dumps(ROME),
        f"\n {json.dumps(ROME)}\n",
        FENCED,
        FENCED.replace("```json", "~~~"),
        FENCED.replace("```json", "````JSON").replace("\n```\n", "\n````\n"),
        FENCED.rpartition("\n```")[0],  # cut off behind the object
        f"```python\nx = 1\n```\n{FENCED}",
        f"```\n{json.dumps(ROME)}\n```\n```python\n{json.dumps(ROME)}\n```",
        "\n".join(f"> {line}" for line in FENCED.split("\n")),
        "\n".join(f"  {line}" for line in FENCED.split("\n")),
        f"It is {json.dumps(ROME)}, as [1] says {{in short}}.",
        {**ROME, "mayor": "more than asked for"},
    ],
)
def test_one_object_wherever_it_stands(answer: Any) -> None:
    assert as_model(answer, City) == City(name="Rome", population=2_800_000)


@pytest.mark.parametrize(
    "answer",
    [
        [ROME, ROME],
        {"cities": [ROME, ROME]},
        json.dumps([ROME, ROME]),
        f"Two:\n```\n{json.dumps([ROME, ROME])}\n```",
        f"Two: {json.dumps([ROME, ROME])}.",
    ],
)
def test_lists_of_models(answer: Any) -> None:
    assert as_model(answer, list[City]) == [City(**ROME), City(**ROME)]


def test_a_dataclass_and_all_that_it_may_hold() -> None:
    number = uuid.uuid4()
    street = as_model(
        {
            "name": "Main",
            "length": 12,
            "sizes": ["large", "small"],
            "city": ROME,
            "built": "1901-02-03",
            "kind": "lane",
            "pairs": [[1, "a"], [2.0, "b"]],
            "cost": "1.10",
            "place": {"lat": 3, "more": 1},
            "notes": {"a": ["b"]},
            "id": str(number),
            "seen": "2026-01-02T03:04:05Z",
            "anything": {"x": [1]},
            "unknown": 1,
        },
        Street,
    )
    assert street == Street(
        name="Main",
        length=Metres(12.0),
        sizes={Size.LARGE, Size.SMALL},
        city=City(**ROME),
        built=dt.date(1901, 2, 3),
        kind="lane",
        pairs=[(1, "a"), (2, "b")],
        cost=Decimal("1.10"),
        place={"lat": 3.0},
        notes={"a": ["b"]},
        id=number,
        seen=dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc),
        anything={"x": [1]},
    )
    assert type(street.length) is float
    assert as_model({"name": "Short"}, Street) == Street("Short")


@pytest.mark.parametrize(
    ("answer", "model", "value"),
    [
        ("plain words", str, "plain words"),
        ("42", int, 42),
        ({"a": 1}, dict[str, int], {"a": 1}),
        (None, City | None, None),
        (ROME, City | str, City(**ROME)),
        ("Rome", City | str, "Rome"),
        ({"day": "2026-01-02"}, Strict, Strict(day=dt.date(2026, 1, 2))),
        ([1, 2], tuple[int, ...], (1, 2)),
        ({"x": 1}, Any, {"x": 1}),
        # a text that looks like a number, and labels with space around them
        ("42", str | None, "42"),
        ("1", Literal["1", "2"], "1"),
        (" small\n", Size, Size.SMALL),
        ("lane\n", Literal["road", "lane"], "lane"),
        # names of fields are text in JSON, also of numbers
        ({"2026": 1.5}, dict[int, float], {2026: 1.5}),
        ({"small": 1}, dict[Size, int], {Size.SMALL: 1}),
        # of several classes that fit, the one that takes more of the fields
        ({"name": "Rome", "population": 3}, Named | City, City(name="Rome", population=3)),
        ({"name": "Rome", "area": 3}, Named | Region, Region("Rome", 3)),
        # what pydantic alone understands
        ({"count": "3"}, Counted, Counted(3)),
        (["3", 4], list[Positive], [3, 4]),
        ({"kind": "b", "n": 1}, Tagged, TaggedB(kind="b", n=1)),
        ("https://a.example/", pydantic.HttpUrl, pydantic.HttpUrl("https://a.example/")),
    ],
)
def test_other_types(answer: Any, model: Any, value: Any) -> None:
    assert as_model(answer, model) == value


@pytest.mark.parametrize(
    ("answer", "model", "path", "words"),
    [
        ({"name": "Rome"}, City, 'answer["population"]', "Field required"),
        ({"name": "Rome", "population": "many"}, City, 'answer["population"]', 'not "many"'),
        ([ROME, {"name": 1}], list[City], 'answer[1]["name"]', "not 1"),
        ({"cities": [ROME, 3]}, list[City], "answer", "is not a list"),
        ({"name": "Atlantis"}, Picky, 'answer["name"]', "there is no such city"),
        ({"name": "Broken"}, Picky, "answer", "KeyError"),
        ({}, Street, 'answer["name"]', "the field is missing"),
        ({"name": 3}, Street, 'answer["name"]', "3 is not of type str"),
        ({"name": "Nowhere"}, Street, "answer", "a street is somewhere"),
        ({"name": "x", "length": True}, Street, 'answer["length"]', "true is not of type float"),
        ({"name": "x", "sizes": ["huge"]}, Street, 'answer["sizes"][0]', "'huge' is not a valid"),
        ({"name": "x", "kind": "alley"}, Street, 'answer["kind"]', '"road", "lane"'),
        ({"name": "x", "pairs": [[1]]}, Street, 'answer["pairs"][0]', "1 items, and 2"),
        ({"name": "x", "city": {}}, Street, 'answer["city"]["name"]', "Field required"),
        (
            {"name": "x", "place": {"lat": "?"}},
            Street,
            'answer["place"]["lat"]',
            "not of type float",
        ),
        ({"name": "x", "built": "soon"}, Street, 'answer["built"]', "isoformat"),
        ([ROME], City, "answer", "Input should be an object"),
        ("I do not know.", City, "answer", "its text has no JSON"),
        (f"{FENCED}\n{FENCED}", City, "answer", "its text has 2 blocks of JSON"),
        (f"{json.dumps(ROME)} or {json.dumps(ROME)}", City, "answer", "2 blocks of JSON"),
        ('```json\n{"name": }\n```', City, "answer", "not valid: Expecting value"),
        ("[" * 100_000, City, "answer", "no JSON"),
        ('```json\n{"name": 1}\n```', City, 'answer["name"]', "valid string"),
        (None, City, "answer", "Input should be an object"),
        ([1, -1], list[Positive], "answer[1]", "greater than 0"),
        ({"stars": 0}, Rated, 'answer["stars"]', "greater than 0"),
        ({"kind": "b"}, Tagged, 'answer["b"]["n"]', "Field required"),
        ("blue", Size, "answer", "'blue' is not a valid Size"),
        ("It is 42.", int, "answer", '"It is 42." is not of type int'),
    ],
)
def test_an_answer_that_does_not_fit(answer: Any, model: Any, path: str, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        as_model(answer, model)
    error = caught.value
    assert error.code == "UNEXPECTED_ANSWER"
    assert isinstance(error, RunAgentError)
    assert f"{path}: " in error.message
    assert words in error.message
    text = answer if isinstance(answer, str) else json.dumps(answer)
    assert error.details is not None
    assert error.details["path"] == path
    assert error.details["answer"] == text
    assert text[:500] in error.message


@pytest.mark.parametrize("model", ["City", City(**ROME), 3, ROME])
def test_an_instance_is_no_model(model: Any) -> None:
    with pytest.raises(ValidationError, match="has to be a type itself"):
        as_model(ROME, model)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (Plain, "Plain"),
        (list[Plain], "Plain"),
        (dict[str, Plain | None], "Plain"),
        (Holding, "Plain"),
        (bytes, "bytes"),
        (list["City"], "'City'"),
        (Sequence[range], "range"),
    ],
)
def test_a_type_that_no_answer_fits_is_refused_before_anything_is_sent(
    model: Any, name: str
) -> None:
    with pytest.raises(ValidationError, match="no answer can be read into") as caught:
        check_model(model)
    assert f" {name}, which" in caught.value.message


def test_a_type_that_contains_itself_is_none_of_them() -> None:
    check_model(Linked)
    assert as_model({"following": [{"following": []}]}, Linked)["following"]


# Through the clients


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    def answers(kind: str) -> Any:
        return {"object": ROME, "text": FENCED, "list": [ROME], "other": "no", "key": "a secret"}[
            kind
        ]

    with serve({"answers": answers}) as server:
        yield server.url


def blocking(url: str, method: str, kind: str, model: Any, **options: Any) -> Any:
    with RunAgentClient("answers", base_url=url, **options) as client:
        return getattr(client, method)({"kind": kind}, response_model=model)


def asynchronous(url: str, method: str, kind: str, model: Any, **options: Any) -> Any:
    import asyncio

    async def call() -> Any:
        async with AsyncRunAgentClient("answers", base_url=url, **options) as client:
            return await getattr(client, method)({"kind": kind}, response_model=model)

    return asyncio.run(call())


BOTH = pytest.mark.parametrize("call", [blocking, asynchronous])


@BOTH
@pytest.mark.parametrize("method", ["run", "run_generic"])
def test_both_clients_have_it(url: str, call: Any, method: str) -> None:
    rome = City(**ROME)
    assert call(url, method, "object", City) == rome
    assert call(url, method, "text", City) == rome
    assert call(url, method, "list", list[City]) == [rome]
    with pytest.raises(ValidationError, match="The answer does not fit City") as caught:
        call(url, method, "other", City)
    assert caught.value.request_id
    with pytest.raises(ValidationError, match="has to be a type itself"):
        call("http://127.0.0.1:9", method, "object", rome)  # before anything is sent


@BOTH
def test_an_echoed_key_is_not_in_the_error(url: str, call: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        call(url, "run", "key", City, api_key="a secret")
    assert "a secret" not in f"{caught.value}{caught.value.details}{caught.value.__cause__}"


def test_pydantic_is_optional() -> None:
    code = """
import sys
sys.modules["pydantic"] = None
from dataclasses import dataclass
from runagent.response_models import as_model
@dataclass
class City:
    name: str
assert as_model('[{"name": "Rome"}]', list[City]) == [City("Rome")]
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_package_does_not_import_it() -> None:
    code = "import runagent, sys; assert 'runagent.response_models' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
