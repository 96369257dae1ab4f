"""Answers as instances of the user's classes: pydantic models, dataclasses, lists of them."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import decimal
import enum
import json
import sys
import types
import typing
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Union, cast, get_args, get_origin

from runagent.errors import ValidationError
from runagent.json_blocks import json_in, obvious_text

_SHOWN = 600
"""Characters of an answer that a message shows."""

_LISTS: Mapping[Any, Callable[[list[Any]], Any]] = {list: list, set: set, frozenset: frozenset}
_ABSTRACT_LISTS = frozenset({"Sequence", "Iterable", "Collection", "MutableSequence"})
_ABSTRACT_DICTS = frozenset({"Mapping", "MutableMapping"})


class _MismatchError(Exception):
    """A part of an answer does not fit."""

    def __init__(self, path: str, problem: str, cause: Exception | None = None) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem
        self.__cause__ = cause


def check_model(model: Any) -> None:
    """Check that answers can be read into a class or a type.

    Raises:
        ValidationError: It is not a type, such as an instance or a name, or no answer can be read
            into it or into a part of it.
    """
    is_type = isinstance(model, (type, types.UnionType)) or model is Any
    if not (is_type or get_origin(model) is not None or _alias(model) is not None):
        raise ValidationError(
            f"response_model is of type {type(model).__name__}, and has to be a type itself.",
            code="INVALID_INPUT",
            hint="Pass a pydantic model, a dataclass, or a list of them: list[Model].",
        )
    for part in _unreadable(model, set()):
        where = "is" if part is model else f"{_name(model)} has a part of type"
        raise ValidationError(
            f"response_model {where} {_name(part)}, which no answer can be read into.",
            code="INVALID_INPUT",
            hint="Use pydantic models, dataclasses, TypedDicts, lists and dictionaries of them, "
            "and the types that JSON has.",
        )


def _unreadable(kind: Any, seen: set[Any]) -> Iterator[Any]:
    """Yield the parts of a type that no answer can be read into, of classes their required fields.

    Raises:
        ValidationError: The annotations of a class cannot be read.
    """
    if get_origin(kind) is None:  # a class or a name for a type, which may contain itself
        if kind in seen:
            return
        seen.add(kind)
    kind = _plain(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    container = origin or kind
    if _is_pydantics(kind) or _is_scalar(kind) or container is Literal:
        return
    if _is_container(container) or container in (Union, types.UnionType):
        for argument in arguments:
            if argument is not ...:
                yield from _unreadable(argument, seen)
    elif isinstance(kind, type) and (dataclasses.is_dataclass(kind) or _is_typed_dict(kind)):
        hints = _hints(kind)
        for name in _required_names(kind):
            yield from _unreadable(_required(hints[name]), seen)
    else:
        yield kind


def _required_names(kind: Any) -> Iterable[str]:
    if _is_typed_dict(kind):
        return sorted(kind.__required_keys__)
    return [field.name for field in dataclasses.fields(kind) if _is_required(field)]


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.init and field.default is field.default_factory is dataclasses.MISSING


def as_model(answer: Any, model: Any) -> Any:
    """Read an answer into a model.

    Args:
        answer: The agent's answer. Its object is read; or, where it is text, the one JSON block in
            it; or, where it is an object with one field, that field.
        model: A pydantic model, a dataclass, a TypedDict, or a type made of them and of others that
            JSON has: `list[Model]`, `dict[str, Model]`, `Model | None`.

    Returns:
        The instance, or the list of them.

    Raises:
        ValidationError: The answer does not fit. The message has the path to the part that does
            not and the answer, cut; `details` has both in full, as `"path"` and `"answer"`.
    """
    check_model(model)
    try:
        return _fitted(answer, model)
    except _MismatchError as exc:
        mismatch = exc
    text = answer if isinstance(answer, str) else obvious_text(answer)
    if text is None:
        text = json.dumps(answer, ensure_ascii=False, default=repr)
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    raise ValidationError(
        f"The answer does not fit {_name(model)}: {mismatch.path}: {mismatch.problem}. "
        f"The answer: {shown}",
        code="UNEXPECTED_ANSWER",
        details={"path": mismatch.path, "answer": text},
        hint="Ask the agent for JSON of that shape, or make the model take this one.",
    ) from mismatch.__cause__


def _fitted(answer: Any, model: Any) -> Any:
    if isinstance(answer, str):
        return _from_text(answer, model)
    try:
        return _convert(answer, model, "answer")
    except _MismatchError as exc:
        mismatch = exc
    # Agents wrap their answers, as in {"result": ...}.
    if isinstance(answer, dict) and len(answer) == 1:
        ((name, inner),) = answer.items()
        if isinstance(inner, (dict, list)):
            with contextlib.suppress(_MismatchError):
                return _convert(inner, model, f"answer[{json.dumps(name)}]")
    text = obvious_text(answer)
    if text is not None:
        if len(answer) == 1:
            return _from_text(text, model)
        with contextlib.suppress(_MismatchError):
            return _from_text(text, model)
    raise mismatch


def _from_text(text: str, model: Any) -> Any:
    if model is str:
        return text
    try:
        value = json_in(text)
        return _convert(value, model, "answer") if isinstance(value, str) else _fitted(value, model)
    except _MismatchError as exc:
        mismatch = exc
    except ValueError as exc:
        mismatch = _MismatchError("answer", str(exc))
    # A type that text fits, such as a date or a label, also one that looks like a number.
    with contextlib.suppress(_MismatchError):
        return _convert(text, model, "answer")
    try:
        return _convert(text.strip(), model, "answer")
    except _MismatchError as exc:
        raise exc if _is_scalar(_plain(model)) else mismatch  # noqa: B904 - one takes the other's place


def _convert(value: Any, kind: Any, path: str) -> Any:
    """Return a part of an answer as an instance of a type."""
    try:
        return _converted(value, kind, path)
    except RecursionError:
        raise _MismatchError(path[:_SHOWN], "it is nested too deeply") from None


def _converted(value: Any, kind: Any, path: str) -> Any:
    kind = _plain(kind)
    if kind is Any or kind is object:
        return value
    if _is_pydantics(kind):
        return _pydantic(value, kind, path)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        if not any(value == choice and type(value) is type(choice) for choice in arguments):
            raise _MismatchError(path, f"{_brief(value)} is none of {_listed(arguments)}")
        return value
    if origin in (Union, types.UnionType):
        return _one_of(value, arguments, path)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _dataclass(value, kind, path)
    container = origin or kind
    if _is_typed_dict(container):
        return _typed_dict(value, container, path)
    if container is tuple:
        return _tuple(value, arguments, path)
    name = getattr(container, "__name__", "")
    if container in _LISTS or name in _ABSTRACT_LISTS:
        items = _items(value, path)
        item = arguments[0] if arguments else Any
        found = [_converted(part, item, f"{path}[{i}]") for i, part in enumerate(items)]
        return _made(_LISTS.get(container, list), found, path)
    if container is dict or name in _ABSTRACT_DICTS:
        if not isinstance(value, dict):
            raise _MismatchError(path, f"{_brief(value)} is not an object")
        keys, values = arguments or (Any, Any)
        return {
            _key(key, keys, path): _converted(part, values, f"{path}[{json.dumps(key)}]")
            for key, part in value.items()
        }
    return _scalar(value, kind, path)


def _key(key: str, kind: Any, path: str) -> Any:
    """Return the name of a field as a key of a dictionary; JSON writes numbers as text there."""
    path = f"{path}'s key {json.dumps(key)}"
    try:
        return _converted(key, kind, path)
    except _MismatchError:
        with contextlib.suppress(_MismatchError, ValueError, RecursionError):
            return _converted(json.loads(key), kind, path)
        raise


def _is_container(kind: Any) -> bool:
    name = getattr(kind, "__name__", "")
    return kind in (tuple, dict, *_LISTS) or name in _ABSTRACT_LISTS or name in _ABSTRACT_DICTS


def _plain(kind: Any) -> Any:
    """Return the type behind aliases; one with constraints of pydantic keeps them."""
    while not _is_pydantics(kind) and (alias := _alias(kind)) is not None:
        kind = alias
    return kind


def _is_pydantics(kind: Any) -> bool:
    """Whether pydantic knows how to read a type, better than this module does."""
    if get_origin(kind) is typing.Annotated:
        modules = {type(note).__module__.partition(".")[0] for note in get_args(kind)[1:]}
        return not modules.isdisjoint({"pydantic", "annotated_types"}) or _is_pydantics(
            get_args(kind)[0]
        )
    names = ("model_validate", "__is_pydantic_dataclass__", "__get_pydantic_core_schema__")
    return any(hasattr(kind, name) for name in names)


def _alias(kind: Any) -> Any:
    """Return the type that another one stands for: of `Annotated`, `NewType`, a type alias."""
    if get_origin(kind) is typing.Annotated:
        return get_args(kind)[0]
    if isinstance(kind, type):
        return None
    return getattr(kind, "__supertype__", None) or getattr(kind, "__value__", None)


def _one_of(value: Any, kinds: tuple[Any, ...], path: str) -> Any:
    problems = []
    # A type that the value has already comes before one that it can be turned into, and a class
    # that has more of its fields before one that would drop them.
    for kind in sorted(kinds, key=lambda kind: (type(value) is not kind, -_common(value, kind))):
        if kind is type(None):
            if value is None:
                return None
            continue
        try:
            return _converted(value, kind, path)
        except _MismatchError as exc:
            problems.append(exc)
    raise (
        problems[0]
        if len(problems) == 1
        else _MismatchError(path, f"{_brief(value)} is none of {', '.join(map(_name, kinds))}")
    )


def _common(value: Any, kind: Any) -> int:
    """Return how many names of an object's fields are names of fields of a class."""
    if not isinstance(value, dict):
        return 0
    for attribute in ("model_fields", "__dataclass_fields__", "__annotations__"):
        if isinstance(found := getattr(kind, attribute, None), dict):
            aliases = {getattr(info, "alias", None) for info in found.values()}
            return len(value.keys() & (found.keys() | aliases))
    return 0


def _pydantic(value: Any, kind: Any, path: str) -> Any:
    try:
        # As JSON, because then a date may be text also in a strict model.
        return _validator(kind)(json.dumps(value))
    except Exception as exc:  # noqa: BLE001 - pydantic is not imported, and validators raise anything
        errors = getattr(exc, "errors", None)
        if not callable(errors):
            raise _MismatchError(path, f"{type(exc).__name__}: {exc}", exc) from None
        first = errors()[0]
        steps = (f"[{json.dumps(step)}]" for step in first["loc"])
        problem = first["msg"]
        if first["type"] != "missing":
            problem = f"{problem}, and not {_brief(first.get('input'))}"
        raise _MismatchError(path + "".join(steps), problem, exc) from None


def _validator(kind: Any) -> Callable[[str], Any]:
    """Return the function that reads a type of pydantic from JSON."""
    if hasattr(kind, "model_validate_json"):
        return cast("Callable[[str], Any]", kind.model_validate_json)
    try:
        return _adapted(kind)
    except TypeError:  # it has a part that cannot be hashed
        return _adapted.__wrapped__(kind)


@lru_cache(maxsize=256)
def _adapted(kind: Any) -> Callable[[str], Any]:
    adapter = import_module("pydantic").TypeAdapter(kind)
    return cast("Callable[[str], Any]", adapter.validate_json)


def _dataclass(value: Any, kind: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise _MismatchError(path, f"{_brief(value)} is not an object")
    hints = _hints(kind)
    given = {}
    for field in dataclasses.fields(kind):
        if not field.init:
            continue
        if field.name in value:
            place = f"{path}[{json.dumps(field.name)}]"
            given[field.name] = _converted(value[field.name], hints[field.name], place)
        elif _is_required(field):
            raise _MismatchError(f"{path}[{json.dumps(field.name)}]", "the field is missing")
    return _made(lambda fields: kind(**fields), given, path)


def _typed_dict(value: Any, kind: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise _MismatchError(path, f"{_brief(value)} is not an object")
    for name in sorted(kind.__required_keys__ - value.keys()):
        raise _MismatchError(f"{path}[{json.dumps(name)}]", "the field is missing")
    return {
        name: _converted(value[name], _required(hint), f"{path}[{json.dumps(name)}]")
        for name, hint in _hints(kind).items()
        if name in value
    }


def _is_typed_dict(kind: Any) -> bool:
    return isinstance(kind, type) and hasattr(kind, "__required_keys__")


def _required(hint: Any) -> Any:
    """Return the type of a field that is marked as required or not."""
    is_marked = getattr(get_origin(hint), "_name", "") in ("Required", "NotRequired", "ReadOnly")
    return get_args(hint)[0] if is_marked else hint


@lru_cache(maxsize=256)
def _hints(kind: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except Exception as exc:
        raise ValidationError(
            f"The annotations of {kind.__name__} cannot be read: {exc}.", code="INVALID_INPUT"
        ) from exc


def _tuple(value: Any, kinds: tuple[Any, ...], path: str) -> Any:
    items = _items(value, path)
    if len(kinds) == 2 and kinds[1] is ...:  # noqa: PLR2004 - tuple[X, ...]
        kinds = (kinds[0],) * len(items)
    kinds = kinds or (Any,) * len(items)
    if len(items) != len(kinds):
        raise _MismatchError(path, f"it has {len(items)} items, and {len(kinds)} are expected")
    pairs = enumerate(zip(items, kinds, strict=True))
    return tuple(_converted(item, kind, f"{path}[{i}]") for i, (item, kind) in pairs)


def _items(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise _MismatchError(path, f"{_brief(value)} is not a list")
    return value


def _made(make: Callable[[Any], Any], parts: Any, path: str) -> Any:
    try:
        return make(parts)
    except Exception as exc:  # noqa: BLE001 - the user's class may check its fields
        raise _MismatchError(path, f"{type(exc).__name__}: {exc}", exc) from None


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _moment(kind: Any) -> Callable[[Any], Any]:
    def read(text: str) -> Any:
        # Before 3.11, fromisoformat knows no Z.
        zone = text.endswith("Z") and sys.version_info < (3, 11)
        return kind.fromisoformat(f"{text[:-1]}+00:00" if zone else text)

    return read


_TEXTUAL: Mapping[Any, Callable[[Any], Any]] = {
    dt.datetime: _moment(dt.datetime),
    dt.date: _moment(dt.date),
    dt.time: _moment(dt.time),
    uuid.UUID: uuid.UUID,
    Path: Path,
}


def _scalar(value: Any, kind: Any, path: str) -> Any:
    if kind in (None, type(None)) and value is None:
        return None
    if kind is float and _number(value):
        return _made(float, value, path)
    if kind is int and _number(value) and value == value // 1:
        return _made(int, value, path)
    if kind is decimal.Decimal and (_number(value) or isinstance(value, str)):
        return _made(lambda number: decimal.Decimal(str(number)), value, path)
    if kind in (str, bool) and isinstance(value, kind):
        return value
    if kind is dt.timedelta and _number(value):
        return _made(lambda seconds: dt.timedelta(seconds=seconds), value, path)
    if kind in _TEXTUAL and isinstance(value, str):
        return _made(_TEXTUAL[kind], value, path)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _made(kind, value, path)
    raise _MismatchError(path, f"{_brief(value)} is not of type {_name(kind)}")


def _is_scalar(kind: Any) -> bool:
    """Whether a type is made of one value without parts, or of any value."""
    if get_origin(kind) is typing.Annotated:
        return _is_scalar(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return all(_is_scalar(_plain(part)) for part in get_args(kind))
    is_enum = isinstance(kind, type) and issubclass(kind, enum.Enum)
    return is_enum or get_origin(kind) is Literal or kind in _SCALARS or kind in _TEXTUAL


_SCALARS = (
    *(None, type(None), Any, object, str, int, float, bool),
    *(decimal.Decimal, dt.timedelta),
)


def _name(kind: Any) -> str:
    if get_origin(kind) is typing.Annotated:
        return _name(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return " | ".join(map(_name, get_args(kind)))
    if kind is type(None):
        return "None"
    if isinstance(kind, str):  # a name in quotes, which nothing has looked up
        return repr(kind)
    if isinstance(kind, type) and get_origin(kind) is None:
        return kind.__name__
    if isinstance(get_origin(kind), type) and get_args(kind):
        parts = ["..." if part is ... else _name(part) for part in get_args(kind)]
        return f"{get_origin(kind).__name__}[{', '.join(parts)}]"
    return str(kind).replace("typing.", "").replace("__main__.", "")


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 80 else f"{text[:80]}…"  # noqa: PLR2004 - of a message


def _listed(values: tuple[Any, ...]) -> str:
    return ", ".join(map(_brief, values))
