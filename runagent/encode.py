"""Python values as JSON, without silent loss."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence, ValuesView
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from functools import cache
from itertools import chain
from types import ModuleType
from typing import Any

from runagent.conversions import conversion
from runagent.errors import ValidationError
from runagent.warn import warn_user

_SCALARS = frozenset({str, int, float, bool, type(None)})

# The search gives up beyond these: the value may contain itself, and only json finds out.
_LEVELS = 100
_CONTAINERS = 1_000_000

_LONG = 10**600
"""Python turns every shorter integer into text; it may refuse to do so for a longer one."""

_PATH_SHOWN = 80
"""Characters of the path to a value that is nested too deeply."""


def to_json(value: object, name: str = "input_data") -> bytes:
    """Return `value` as JSON text in UTF-8.

    Values that JSON has are sent unchanged. Others become:

    | Python | JSON |
    |---|---|
    | `datetime`, `date`, `time`, pandas `Timestamp`, numpy `datetime64` | ISO 8601 string |
    | `timedelta` | seconds |
    | `UUID`, `Path`, `Decimal`, `UserString`, pandas `Period` and `Interval` | string |
    | `bytes`, `bytearray`, `memoryview` | base64 string |
    | enum member | its value |
    | dataclass, attrs and pydantic instances, any mapping | object |
    | tuple, set (sorted where possible), range, deque | array |
    | numpy array or scalar, torch tensor, polars `Series`, pandas `Index` | array or number |
    | table of pandas, polars or pyarrow, structured numpy array | array of one object per row |
    | dataset or array of xarray | array of one object per point; a value without dimensions |
    | collection of dask | its result, as above |
    | matplotlib figure, PIL image | `{"mime": ..., "data": base64}`, as of `runagent.attachment` |
    | geometry with `__geo_interface__` | GeoJSON object |
    | any other table with `__arrow_c_stream__` or `__dataframe__` | array of one object per row |
    | anything else with `to_pandas` or `__array__` | as of pandas or numpy |
    | pandas `Series` | array; object, if labelled with unique strings; else as a frame |
    | missing value of pandas (`NaN`, `NaT`, `NA`), numpy `NaT` | null |
    | NaN elsewhere | null, with a `UserWarning` |

    The index of a pandas frame or series is sent too if it has a name, several levels, or labels
    other than integers. A field of a pydantic model is sent as the value it holds, also if that is
    an instance of a subclass of the field's type. A `SecretStr` and the like are refused: the
    value of one is sent if its `get_secret_value()` is passed.

    Args:
        value: The value.
        name: The value's name in messages.

    Raises:
        ValidationError: A value has no faithful JSON form (an infinity, a function, a key that is
            not a string); the message has the path to it.
    """
    data, has_nan = encode(value, name)
    if has_nan:
        warn_user(
            "JSON has no NaN, so null is sent in its place. Replace NaN by a value of your choice, "
            "or by None to send null without this warning."
        )
    return data


def encode(value: object, name: str) -> tuple[bytes, bool]:
    """Return `value` as `to_json` does, and whether null stands for a NaN in it.

    Raises:
        ValidationError: As `to_json` does.
    """
    try:
        is_plain = _has_string_keys(value, _LEVELS, _CONTAINERS)
        if is_plain is not False:
            # A value that was searched to its end does not contain itself; json need not check it.
            data = _dump(value, check_circular=is_plain is None)
            if is_plain or _has_string_keys(value):
                return data, False
    except (TypeError, ValueError, RecursionError):
        pass  # the converter handles it, or says what is wrong and where
    converter = _Converter()
    try:
        data = _dump(converter.convert(value, name))
    except RecursionError:
        raise _cannot(
            converter.deepest or name, "the value is nested too deeply to be sent as JSON"
        ) from None
    return data, converter.has_nan


def _dump(value: object, *, check_circular: bool = True) -> bytes:
    try:
        return _encoder(check_circular, False).encode(value).encode()
    except UnicodeEncodeError:  # a lone surrogate: only an escape carries it
        return _encoder(check_circular, True).encode(value).encode()


@cache
def _encoder(check_circular: bool, ensure_ascii: bool) -> json.JSONEncoder:
    """Return an encoder; making one takes longer than its work on a short value."""
    return json.JSONEncoder(
        check_circular=check_circular,
        ensure_ascii=ensure_ascii,
        allow_nan=False,
        separators=(",", ":"),
    )


def _has_string_keys(
    value: object, levels: float = math.inf, containers: float = math.inf
) -> bool | None:
    """Return whether all keys in `value` are strings; json would turn others into strings.

    Returns `None` if the answer is not known after `levels` levels or `containers` containers: the
    value may contain itself.
    """
    level: list[Any] = [value]
    while level:  # level by level, because each pass over a level is a loop in C
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
    """Converts one value to types that `json.dumps` takes, and knows the path to each part.

    Attributes:
        has_nan: Whether the value has a NaN in it.
        deepest: The path, cut off, at which the recursion became too deep; empty if it did not.
    """

    def __init__(self) -> None:
        self.has_nan = False
        self.deepest = ""
        self._open: set[int] = set()

    def convert(self, value: Any, path: str) -> Any:
        kind = type(value)
        if kind in (str, int, bool, type(None)):
            return value if kind is not int or -_LONG < value < _LONG else self._long(value, path)
        if isinstance(value, float):
            return self._float(float(value), path)
        simplify = conversion(value.__class__)
        if simplify is not None:
            with self._inside(value, path):
                try:
                    simpler = simplify(value)
                except Exception as exc:
                    reason = str(exc).removesuffix(".")
                    raise _cannot(
                        path, f"{kind.__name__} cannot be sent as JSON: {reason}"
                    ) from exc
                return self.convert(simpler, path)
        if isinstance(value, str):
            return str.__str__(value)  # as json does, whatever a subclass makes of `str`
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
        raise _cannot(path, f"{kind.__name__} cannot be sent as JSON", _hint_for(value))

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
        if math.isnan(value):
            self.has_nan = True
            return None
        return value

    @contextmanager
    def _inside(self, value: object, path: str) -> Iterator[None]:
        if id(value) in self._open:
            raise _cannot(path, f"this {type(value).__name__} contains itself")
        self._open.add(id(value))
        try:
            yield
        except RecursionError:
            self.deepest = self.deepest or _cut(path)
            raise
        finally:
            self._open.discard(id(value))


def _cannot(path: str, problem: str, hint: str | None = None) -> ValidationError:
    return ValidationError(f"{path}: {problem}.", code="INVALID_INPUT", hint=hint)


def _hint_for(value: object) -> str:
    if isinstance(value, ModuleType):
        return "It is a module; the figure that pyplot draws in is plt.gcf()."
    if callable(value):
        return "Call it, and send its result."
    if isinstance(value, (Iterator, ValuesView)):
        return "Pass list() of it."
    return (
        "Send its data as a table, a dictionary or a list; a picture as a matplotlib figure or a "
        "PIL image; a file as runagent.attachment(path)."
    )


def _cut(path: str) -> str:
    return path if len(path) <= _PATH_SHOWN else f"{path[:_PATH_SHOWN]}…"


def _ordered(values: AbstractSet[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        return list(values)
