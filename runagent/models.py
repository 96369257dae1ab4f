"""pydantic models as JSON, without the losses of `model_dump`."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

_PLAIN = frozenset({str, int, bool, type(None)})

_UNKNOWN = "\0runagent: unknown to pydantic: "


def model_values(model: Any) -> Any:
    """Return a pydantic model as `model_dump(mode="json")` does, but with nothing lost.

    pydantic serializes a value by the type that its field declares. Where the dump would lose
    something, the value itself takes its place, for the caller to convert or refuse: an instance
    of a subclass, a secret that pydantic masks, NaN or an infinity that pydantic turns into null,
    an object of a class that pydantic does not know. Serializers that the user wrote are obeyed.

    Raises:
        Exception: The model cannot be serialized; pydantic or a serializer raised it.
    """
    unknown: dict[str, Any] = {}

    def remember(value: Any) -> str:
        unknown[_placeholder(value)] = value
        return _placeholder(value)

    kind: Any = type(model)
    if _accepts_fallback(kind):
        dumped = model.model_dump(mode="json", fallback=remember)
    else:
        dumped = model.model_dump(mode="json")
    restored = _restore_fields(dumped, model)
    return _put_back(restored, unknown) if unknown else restored


@lru_cache(maxsize=256)
def _accepts_fallback(kind: Any) -> bool:
    methods = [vars(base)["model_dump"] for base in kind.__mro__ if "model_dump" in vars(base)]
    return all(
        any(p.name == "fallback" or p.kind is p.VAR_KEYWORD for p in parameters.values())
        for parameters in (inspect.signature(method).parameters for method in methods)
    )


def _placeholder(value: Any) -> str:
    return f"{_UNKNOWN}{id(value)}"


def _put_back(part: Any, unknown: Mapping[str, Any]) -> Any:
    if isinstance(part, dict):
        return {key: _put_back(item, unknown) for key, item in part.items()}
    if isinstance(part, list):
        return [_put_back(item, unknown) for item in part]
    return unknown.get(part, part) if isinstance(part, str) else part


def _restore(part: Any, value: Any) -> Any:
    """Return `part`, which pydantic made of `value`, with values in place of what it lost."""
    if type(value) in _PLAIN:
        return part
    if isinstance(value, float):
        lost = not math.isfinite(value) and (part is None or isinstance(part, float))
        return value if lost else part
    if hasattr(type(value), "get_secret_value"):
        return value if _is_masked(part, value) else part
    if hasattr(type(value), "model_dump"):
        return _restore_model(part, value)
    if hasattr(type(value), "__dataclass_fields__"):
        return _restore_dataclass(part, value)
    if isinstance(part, dict) and isinstance(value, Mapping) and len(part) == len(value):
        return {
            _restore(name, key): _restore(item, original)
            for (name, item), (key, original) in zip(part.items(), value.items(), strict=True)
        }
    is_array = isinstance(value, (list, tuple, set, frozenset, deque))
    if isinstance(part, list) and is_array and len(part) == len(value):
        if _PLAIN.issuperset(map(type, value)):
            return part
        return [_restore(item, original) for item, original in zip(part, value, strict=True)]
    return part


def _is_masked(part: Any, secret: Any) -> bool:
    """Return whether `part` is a secret's mask, and not made by a serializer of the user's."""
    mask = secret._display() if hasattr(secret, "_display") else str(secret)  # noqa: SLF001 - documented
    if isinstance(mask, bytes):
        mask = mask.decode()
    return bool(part == mask != secret.get_secret_value())


def _restore_model(part: Any, model: Any) -> Any:
    kind = type(model)
    if not isinstance(part, dict):
        is_root = isinstance(part, list) and getattr(kind, "__pydantic_root_model__", False)
        return _restore(part, model.root) if is_root else part
    has_more = model.__pydantic_extra__ or kind.model_computed_fields
    # The first condition is often true and quick; the second takes a dump.
    if (part.keys() == kind.model_fields.keys() and not has_more) or any(
        list(part) == list(dumped) for dumped in _dumps(kind, model)
    ):
        return _restore_fields(part, model)
    # Equal to the dump of a base: the field declares that base, and no serializer had a hand in it.
    is_base = any(
        repr(part) == repr(dumped) for base in kind.__mro__[1:] for dumped in _dumps(base, model)
    )
    return model if is_base else part


def _dumps(kind: Any, model: Any) -> Iterator[Any]:
    """Yield a model as a field of type `kind` serializes it, without and with aliases."""
    if "__pydantic_serializer__" not in vars(kind):
        return
    if kind.__name__ == "BaseModel":  # it has no serializer, because it has no fields
        yield {}
        return
    for by_alias in (False, True):
        with suppress(Exception):  # a class that is not complete
            yield kind.__pydantic_serializer__.to_python(
                model, mode="json", by_alias=by_alias, warnings=False, fallback=_placeholder
            )


def _restore_fields(part: Any, model: Any) -> Any:
    """Return `part`, the dump of a model by its own class, with values in place of what it lost."""
    kind = type(model)
    if not isinstance(part, dict):
        return _restore_model(part, model)
    values = [(name, None, value) for name, value in (model.__pydantic_extra__ or {}).items()]
    for name, info in kind.model_fields.items():
        values.append((name, info.serialization_alias, getattr(model, name, None)))
    for name, info in kind.model_computed_fields.items():
        values.append((name, info.alias, getattr(model, name)))
    restored = dict(part)
    for name, alias, value in values:
        key = name if name in part else alias
        if key in part:
            restored[key] = _restore(part[key], value)
    return restored


def _restore_dataclass(part: Any, value: Any) -> Any:
    if not isinstance(part, dict):
        return part
    names, *bases = (
        [field.name for field in dataclasses.fields(base)]
        for base in type(value).__mro__
        if hasattr(base, "__dataclass_fields__")
    )
    if list(part) == names:
        return {name: _restore(item, getattr(value, name)) for name, item in part.items()}
    return value if list(part) in bases else part
