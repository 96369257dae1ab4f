"""Callables as agents: which can be served, and how an input becomes arguments."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Annotated, Any, Union, get_args, get_origin

from runagent.checks import check_agent_id
from runagent.errors import ValidationError

_KEYWORD = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_MAPPING_TEXT = re.compile(r"(\w+\.)*(dict|Dict|Mapping|MutableMapping)\b")


class Agent:
    """A Python callable under an agent id.

    Its input arrives as keyword arguments: `{"query": "hi"}` calls `function(query="hi")`. A
    callable gets the whole input as one dict instead if its only parameter is annotated as a
    dictionary (`dict`, `Mapping`, a `TypedDict`, with or without arguments) or named `input_data`.

    Args:
        agent_id: The id that clients ask for.
        function: A function or generator function, async or not, a method, a partial or any other
            callable object; see `runagent.local.serve`.

    Raises:
        TypeError: `function` is a class or cannot be called.
        ValueError: The id is not valid, or the parameters cannot be passed by keyword.
    """

    def __init__(self, agent_id: str, function: Callable[..., Any]) -> None:
        check_agent_id(agent_id)
        if inspect.isclass(function):
            raise TypeError(
                f"Agent {agent_id!r} cannot be served: {function.__qualname__} is a class; "
                "serve a function, or an instance that can be called."
            )
        if not callable(function):
            raise TypeError(
                f"Agent {agent_id!r} cannot be served: {type(function).__name__} cannot be called."
            )
        self.id = agent_id
        self.function = function
        self.signature = _signature(agent_id, function)
        self._parameters = list(self.signature.parameters.values())
        self._takes_whole = _takes_whole(self._parameters)
        self._takes_any = any(p.kind is p.VAR_KEYWORD for p in self._parameters)
        self._names = [p.name for p in self._parameters if p.kind in _KEYWORD]
        self._required = [
            p.name for p in self._parameters if p.kind in _KEYWORD and p.default is p.empty
        ]
        if not self._takes_whole:
            for parameter in self._parameters:
                if parameter.kind is parameter.POSITIONAL_ONLY and parameter.default is (
                    parameter.empty
                ):
                    raise ValueError(
                        f"Agent {agent_id!r} cannot be served: its parameter {parameter.name!r} "
                        "is positional-only, but input arrives as keyword arguments."
                    )

    def arguments(self, input_data: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the positional and the keyword arguments for `input_data`.

        Raises:
            ValidationError: The input lacks a required parameter, or has a key that is not a
                parameter; `details` names them.
        """
        if self._takes_whole:
            parameter = self._parameters[0]
            if parameter.kind is parameter.KEYWORD_ONLY:
                return (), {parameter.name: input_data}
            return (input_data,), {}
        missing = [name for name in self._required if name not in input_data]
        unknown = [] if self._takes_any else [key for key in input_data if key not in self._names]
        if not missing and not unknown:
            return (), input_data
        problems = []
        details: dict[str, Any] = {"accepted": self._names}
        if missing:
            problems.append(f"needs {_quoted(missing)}")
            details["missing"] = missing
        if unknown:
            problems.append(f"takes no {_quoted(unknown)}")
            details["unknown"] = unknown
        accepted = _quoted(self._names) if self._names else "no input"
        raise ValidationError(
            f"Agent {self.id!r} {' and '.join(problems)}; it takes {accepted}.",
            code="MISSING_REQUIRED_FIELD" if missing else "INVALID_INPUT",
            details=details,
            status_code=422,
        )


def default_id(function: object) -> str:
    """Return the name of `function`, which is its agent id unless another is given.

    Raises:
        TypeError: It cannot be called.
        ValueError: It has no name of its own; a lambda or a partial has none.
    """
    if not callable(function):
        raise TypeError(f"{function!r} cannot be served: it is not a function.")
    name = getattr(function, "__name__", None)
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"{function!r} has no name that could be its agent id; pass an id.")
    return name


def _signature(agent_id: str, function: Callable[..., Any]) -> inspect.Signature:
    with suppress(Exception):  # an annotation can be any code, and so can raise anything
        return inspect.signature(function, eval_str=True)
    try:
        return inspect.signature(function)
    except (TypeError, ValueError) as exc:
        raise ValueError(
            f"Agent {agent_id!r} cannot be served: its parameters are unknown ({exc})."
        ) from exc


def _takes_whole(parameters: list[inspect.Parameter]) -> bool:
    if len(parameters) != 1:
        return False
    [parameter] = parameters
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        return False
    return parameter.name == "input_data" or _is_dictionary(parameter.annotation)


def _is_dictionary(annotation: Any) -> bool:
    """Return whether an annotation accepts a plain dict."""
    if isinstance(annotation, str):  # it names something that only type checkers import
        return _MAPPING_TEXT.match(annotation) is not None
    annotation = getattr(annotation, "__value__", annotation)  # of `type Name = ...`
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_dictionary(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return any(_is_dictionary(arm) for arm in get_args(annotation))
    kind = origin or annotation
    return kind in (Mapping, MutableMapping) or dict in getattr(kind, "__mro__", ())


def _quoted(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)
