"""The functions that can be served, and how input becomes arguments."""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Optional, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runagent import errors
from runagent.local.agents import Agent, default_id

if TYPE_CHECKING:
    from unknown_package import Whatever  # type: ignore[import-not-found]

Alias = dict[str, Any]


class Question(TypedDict):
    query: str


def call(function: Callable[..., Any], input_data: dict[str, Any]) -> Any:
    args, kwargs = Agent("a", function).arguments(input_data)
    return function(*args, **kwargs)


def test_input_arrives_as_keyword_arguments() -> None:
    def function(query: str, lang: str = "en", *, loud: bool = False) -> tuple[object, ...]:
        return query, lang, loud

    assert call(function, {"query": "hi", "loud": True}) == ("hi", "en", True)


def plain(x: dict) -> None: ...  # type: ignore[type-arg]
def with_arguments(x: dict[str, Any]) -> None: ...
def typing_dict(x: typing.Dict[str, Any]) -> None: ...  # noqa: UP006
def mapping(x: Mapping[str, Any]) -> None: ...
def optional(x: Optional[dict[str, Any]] = None) -> None: ...  # noqa: UP045
def union(x: dict[str, Any] | None = None) -> None: ...
def annotated(x: Annotated[dict[str, Any], "all of it"]) -> None: ...
def typed_dict(x: Question) -> None: ...
def alias(x: Alias) -> None: ...
def text(x: "dict[str, Any]") -> None: ...  # noqa: UP037
def only_result_unknown(x: dict[str, Any]) -> Whatever: ...
def by_name(input_data: Any) -> None: ...
def keyword_only(*, x: dict[str, Any]) -> None: ...
def positional_only(x: dict[str, Any], /) -> None: ...


WHOLE = [
    plain,
    with_arguments,
    typing_dict,
    mapping,
    optional,
    union,
    annotated,
    typed_dict,
    alias,
    text,
    only_result_unknown,
    by_name,
    keyword_only,
    positional_only,
]


@pytest.mark.parametrize("function", WHOLE)
def test_a_lone_dictionary_parameter_gets_the_whole_input(function: Callable[..., Any]) -> None:
    args, kwargs = Agent("a", function).arguments({"query": "hi", "n": 1})
    assert [*args, *kwargs.values()] == [{"query": "hi", "n": 1}]


def test_an_annotation_that_cannot_be_evaluated_is_read_as_text() -> None:
    def function(x: Mapping[str, Whatever]) -> Any:
        return x

    assert call(function, {"query": "hi"}) == {"query": "hi"}


def test_other_lone_parameters_get_their_keyword() -> None:
    def data(data: list[dict[str, Any]]) -> Any:
        return data

    def anything(x: Any) -> Any:
        return x

    def unknown(x: Whatever) -> Any:
        return x

    def dictator(x: "dictionary") -> Any:  # type: ignore[name-defined]  # noqa: F821, UP037
        return x

    assert call(data, {"data": [{}]}) == [{}]
    for function in (anything, unknown, dictator):
        assert call(function, {"x": {"y": 1}}) == {"y": 1}


def test_a_second_parameter_makes_a_dictionary_an_ordinary_one() -> None:
    def function(state: dict[str, Any], verbose: bool = False) -> Any:
        return state

    assert call(function, {"state": {"x": 1}}) == {"x": 1}


def test_every_key_reaches_a_function_with_keyword_arguments() -> None:
    def function(query: str, **rest: Any) -> Any:
        return query, rest

    assert call(function, {"query": 1, "self": 2, "not a name": 3}) == (
        1,
        {"self": 2, "not a name": 3},
    )


def test_methods_partials_and_callable_objects_have_the_parameters_that_are_left() -> None:
    class Tool:
        def answer(self, query: str) -> str:
            return query.upper()

        def __call__(self, input_data: dict[str, Any]) -> int:
            return len(input_data)

    def two(x: int, y: int) -> int:
        return x - y

    assert call(Tool().answer, {"query": "hi"}) == "HI"
    assert call(Tool(), {"x": 1, "y": 2}) == 2
    assert call(functools.partial(two, 5), {"y": 2}) == 3
    assert call(functools.partial(two, x=5), {"y": 2}) == 3
    assert call(lambda query: query, {"query": 1}) == 1


def test_input_that_does_not_fit_names_every_parameter_at_once() -> None:
    def function(query: str, lang: str, n: int = 1) -> None: ...

    with pytest.raises(errors.ValidationError) as caught:
        Agent("greeter", function).arguments({"qeury": "hi", "n": 2})
    assert caught.value.message == (
        "Agent 'greeter' needs 'query', 'lang' and takes no 'qeury'; it takes 'query', 'lang', 'n'."
    )
    assert caught.value.code == "MISSING_REQUIRED_FIELD"
    assert caught.value.status_code == 422
    assert caught.value.details == {
        "accepted": ["query", "lang", "n"],
        "missing": ["query", "lang"],
        "unknown": ["qeury"],
    }

    with pytest.raises(errors.ValidationError) as caught:
        Agent("idle", lambda: None).arguments({"query": "hi"})
    assert caught.value.message == "Agent 'idle' takes no 'query'; it takes no input."
    assert caught.value.code == "INVALID_INPUT"


NAMES = st.sampled_from(["query", "lang", "n", "self", "args", "a b", ""])


@given(st.dictionaries(NAMES, st.integers()))
def test_arguments_are_accepted_exactly_where_python_accepts_them(
    input_data: dict[str, int],
) -> None:
    def function(query: int, lang: int = 0, *args: int, n: int) -> dict[str, int]:
        return {"query": query, "lang": lang, "n": n}

    try:
        expected = function(**input_data)
    except TypeError:
        with pytest.raises(errors.ValidationError):
            call(function, input_data)
    else:
        assert call(function, input_data) == expected


class Thing:
    """Not an agent: a class."""


def needs_position(x: int, /) -> None: ...


@pytest.mark.parametrize(
    ("function", "kind", "reason"),
    [
        (Thing, TypeError, "Thing is a class"),
        (3, TypeError, "int cannot be called"),
        (None, TypeError, "NoneType cannot be called"),
        (needs_position, ValueError, "'x' is positional-only"),
        (max, ValueError, "parameters are unknown"),
    ],
)
def test_what_cannot_be_served_is_refused_at_once(
    function: Any, kind: type[Exception], reason: str
) -> None:
    with pytest.raises(kind, match=reason) as caught:
        Agent("agent-7", function)
    assert "'agent-7'" in str(caught.value)


@pytest.mark.parametrize("agent_id", ["", " ", ".", "../x", "a\nb", "\x00", 3])
def test_ids_that_no_client_can_ask_for_are_refused(agent_id: Any) -> None:
    with pytest.raises(ValueError, match="agent_id="):
        Agent(agent_id, print)


def test_the_default_id_is_the_functions_name() -> None:
    assert default_id(needs_position) == "needs_position"
    for nameless in (lambda: None, functools.partial(print)):
        with pytest.raises(ValueError, match="has no name"):
            default_id(nameless)
    with pytest.raises(TypeError, match="not a function"):
        default_id(3)
