"""Python values to JSON, without ceremony and without silent loss."""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import chain
from typing import Any

from runagent.errors import ValidationError

_SCALARS = frozenset({str, int, float, bool, type(None)})

# What is looked at before json has seen that a value does not contain itself.
_LEVELS = 100
_CONTAINERS = 1_000_000

_LONG = 10**600
"""Integers below it have a text in any case; of longer ones, Python may refuse to make one."""


def to_json(value: object, name: str = "input_data") -> bytes:
    """Return `value` as JSON text in UTF-8.

    What JSON has is sent as it is. Besides:

    | Python | JSON |
    |---|---|
    | `datetime`, `date`, `time`, pandas `Timestamp`, numpy `datetime64` | ISO 8601 string |
    | `timedelta` | seconds |
    | `UUID`, `Path`, `Decimal`, pandas `Period` and `Interval` | string |
    | `bytes`, `bytearray`, `memoryview` | base64 string |
    | enum member | its value |
    | dataclass, attrs and pydantic instances, any mapping | object |
    | tuple, set (sorted where possible), range, deque | array |
    | numpy array or scalar, torch tensor, polars `Series`, pandas `Index` | array or number |
    | pandas or polars `DataFrame` | array of one object per row |
    | pandas `Series` | array; object, if labelled with unique strings; else as a frame |
    | NaN, pandas `NaT` and `NA` | null |

    The index of a pandas frame or series goes along if it has a name, several levels, or labels
    other than integers.

    Args:
        value: The value.
        name: What messages call the value.

    Raises:
        ValidationError: A value has no faithful JSON form (an infinity, a figure, a key that is
            not a string); the message has the path to it.
    """
    try:
        is_plain = _has_string_keys(value, _LEVELS, _CONTAINERS)
        if is_plain is not False:
            # What was seen to its ends does not contain itself; to have json look too takes time.
            data = _dump(value, check_circular=is_plain is None)
            if is_plain or _has_string_keys(value):
                return data
    except (TypeError, ValueError, RecursionError):
        pass  # the slow road converts, or says what is wrong and where
    try:
        return _dump(_Converter().convert(value, name))
    except RecursionError:
        raise ValidationError(
            f"{name} is nested too deeply to be sent as JSON.", code="INVALID_INPUT"
        ) from None


def _dump(value: object, *, check_circular: bool = True) -> bytes:
    dumps = partial(
        json.dumps, allow_nan=False, separators=(",", ":"), check_circular=check_circular
    )
    try:
        return dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a lone surrogate: only an escape carries it
        return dumps(value).encode()


def _has_string_keys(
    value: object, levels: float = math.inf, containers: float = math.inf
) -> bool | None:
    """Whether no dictionary in `value` has a key that json would turn into a string by itself.

    Returns `None` if that is not known after so many levels, or so many containers: the value may
    contain itself.
    """
    level: list[Any] = [value]
    while level:  # level by level: each pass over one is a loop in C
        levels -= 1
        containers -= len(level)
        if min(levels, containers) < 0:
            return None
        kinds = set(map(type, level))
        objects: list[Any] = level if kinds == {dict} else []
        arrays: list[Any] = level if kinds == {list} else []
        if not objects and not arrays:
            objects = [item for item in level if isinstance(item, dict)]
            arrays = [item for item in level if isinstance(item, (list, tuple))]
        try:
            "".join(set().union(*objects))
        except TypeError:
            return False
        children = chain(
            chain.from_iterable(map(dict.values, objects)), chain.from_iterable(arrays)
        )
        level = [child for child in children if type(child) not in _SCALARS]
    return True


class _Converter:
    """Turns one value into what `json.dumps` takes, knowing the path to where it is."""

    def __init__(self) -> None:
        self._open: set[int] = set()

    def convert(self, value: Any, path: str) -> Any:
        kind = type(value)
        if kind in (str, int, bool, type(None)):
            return value if kind is not int or -_LONG < value < _LONG else self._long(value, path)
        if isinstance(value, float):
            return self._float(float(value), path)
        simplify = _conversion(value.__class__)
        if simplify is not None:
            with self._inside(value, path):
                try:
                    simpler = simplify(value)
                except Exception as exc:
                    raise _cannot(path, f"{kind.__name__} cannot be sent as JSON: {exc}") from exc
                return self.convert(simpler, path)
        if isinstance(value, str):
            return str.__str__(value)  # as json does, whatever a subclass says
        if isinstance(value, int):
            return self._long(int(value), path)
        if isinstance(value, Mapping):
            with self._inside(value, path):
                return self._object(value, path)
        if isinstance(value, AbstractSet):
            value = _ordered(value)
        if isinstance(value, Sequence):
            with self._inside(value, path):
                return [self.convert(item, f"{path}[{i}]") for i, item in enumerate(value)]
        raise _cannot(path, f"{kind.__name__} cannot be sent as JSON")

    def _object(self, value: Mapping[Any, Any], path: str) -> dict[str, Any]:
        converted = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise _cannot(
                    path,
                    f"the key {key!r} is of type {type(key).__name__}; JSON keys are strings",
                )
            converted[str.__str__(key)] = self.convert(item, f"{path}[{json.dumps(key)}]")
        return converted

    def _long(self, value: int, path: str) -> int:
        try:
            str(value)
        except ValueError as exc:
            raise _cannot(path, f"int cannot be sent as JSON: {exc}") from None
        return value

    def _float(self, value: float, path: str) -> float | None:
        if math.isinf(value):
            raise _cannot(path, f"{value} cannot be sent as JSON")
        return None if math.isnan(value) else value

    @contextmanager
    def _inside(self, value: object, path: str) -> Iterator[None]:
        if id(value) in self._open:
            raise _cannot(path, f"this {type(value).__name__} contains itself")
        self._open.add(id(value))
        try:
            yield
        finally:
            self._open.discard(id(value))


def _cannot(path: str, problem: str) -> ValidationError:
    return ValidationError(f"{path}: {problem}.", code="INVALID_INPUT")


def _ordered(values: AbstractSet[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        return list(values)


def _tells(index: Any) -> bool:
    """Whether the index of a pandas object says something: more than where a row once stood."""
    named = any(name is not None for name in index.names)
    return named or index.nlevels > 1 or index.dtype.kind not in "iu"


def _levels_of_their_own(frame: Any) -> list[int]:
    """Return the levels of a frame's index that are not a column of it as well."""
    index, columns = frame.index, set(frame.columns)
    return [
        level
        for level, name in enumerate(index.names)
        if name not in columns or index.get_level_values(level).tolist() != frame[name].tolist()
    ]


def _frame_records(frame: Any) -> list[dict[str, Any]]:
    if _tells(frame.index):
        frame = frame.reset_index(level=_levels_of_their_own(frame))
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        raise ValueError("two columns have the same name, and one row cannot hold both")
    columns = [frame.iloc[:, i].tolist() for i in range(len(names))]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _series(series: Any) -> Any:
    index = series.index
    if not _tells(index):
        return series.tolist()
    if index.nlevels == 1 and index.is_unique and all(isinstance(label, str) for label in index):
        return dict(zip(index, series.tolist(), strict=True))
    return _frame_records(series.rename("value" if series.name is None else series.name).to_frame())


def _array(array: Any) -> Any:
    if array.dtype.kind == "M":  # as text: `tolist()` gives integers where datetime is too coarse
        return _without_nat(array.astype(str).tolist())
    if array.dtype.kind == "m":
        return (array / array.dtype.type(1, "s")).tolist()
    return array.tolist()


def _without_nat(texts: Any) -> Any:
    if isinstance(texts, list):
        return [_without_nat(text) for text in texts]
    return None if texts == "NaT" else texts


def _dataclass_fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def _attrs_fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in value.__attrs_attrs__}


# Classes by the module and name of one of their bases, so that no package is imported for a look.
# In this order: an enum member may be a str, a Timestamp is a datetime.
_BY_NAME: tuple[tuple[str, frozenset[str], Callable[[Any], Any]], ...] = (
    ("enum", frozenset({"Enum"}), lambda value: value.value),
    ("pandas", frozenset({"NaTType", "NAType"}), lambda _: None),
    ("pandas", frozenset({"Period", "Interval"}), str),
    ("pandas", frozenset({"DataFrame"}), _frame_records),
    ("pandas", frozenset({"Series"}), _series),
    ("pandas", frozenset({"Index", "ExtensionArray"}), lambda value: value.tolist()),
    ("polars", frozenset({"DataFrame"}), lambda value: value.to_dicts()),
    ("polars", frozenset({"Series"}), lambda value: value.to_list()),
    ("numpy", frozenset({"ndarray", "datetime64", "timedelta64"}), _array),
    # `item()` makes one of the same class of a number that is longer than Python's.
    ("numpy", frozenset({"floating"}), float),
    ("numpy", frozenset({"complexfloating"}), complex),
    ("numpy", frozenset({"generic"}), lambda value: value.item()),
    ("torch", frozenset({"Tensor"}), lambda value: value.tolist()),
    ("datetime", frozenset({"date", "time"}), lambda value: value.isoformat()),
    ("datetime", frozenset({"timedelta"}), lambda value: value.total_seconds()),
    ("uuid", frozenset({"UUID"}), str),
    ("decimal", frozenset({"Decimal"}), str),
    ("collections", frozenset({"deque"}), list),
)

_BY_ATTRIBUTE: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("__fspath__", os.fsdecode),
    ("model_dump", lambda value: value.model_dump(mode="json")),
    ("__dataclass_fields__", _dataclass_fields),
    ("__attrs_attrs__", _attrs_fields),
)


@lru_cache(maxsize=256)
def _conversion(kind: Any) -> Callable[[Any], Any] | None:
    """Return what turns an instance of `kind` into something closer to JSON, if anything does."""
    for package, names, convert in _BY_NAME:
        for base in kind.__mro__:
            if base.__name__ in names and base.__module__.partition(".")[0] == package:
                return convert
    for attribute, convert in _BY_ATTRIBUTE:
        if hasattr(kind, attribute):
            return convert
    if issubclass(kind, (bytes, bytearray, memoryview)):
        return lambda value: base64.b64encode(value).decode()
    return None
