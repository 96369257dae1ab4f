"""Decides by type which data a template may reach, and which methods it may call."""

from __future__ import annotations

import enum
import inspect
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from types import MappingProxyType, ModuleType
from typing import Any, NoReturn

from runagent_jupyter.templates.reachable import (
    ATTRIBUTES,
    DATA_MODULES,
    DATA_TYPES,
    HIDDEN_NAMES,
    HOSTS,
    KEYWORDS,
    METHODS,
    POSITIONS,
    TRUSTED,
)

_BUILTIN_DATA: tuple[type, ...] = (
    str,
    bytes,
    bytearray,
    memoryview,
    int,
    float,
    complex,
    type(None),
    list,
    tuple,
    dict,
    set,
    frozenset,
    range,
    slice,
    BaseException,
    type({}.keys()),
    type({}.values()),
    type({}.items()),
    MappingProxyType,
)

_MISSING = object()


class NotDataError(Exception):
    """An expression asks for something else than data; the message says for what."""


def variable(name: str, variables: Mapping[str, Any], default: Any) -> Any:
    """Return the value of a variable of the notebook.

    Args:
        name: The variable's name.
        variables: The notebook's variables.
        default: Returned if there is no such variable.

    Raises:
        NotDataError: The name belongs to IPython or Python itself.
    """
    if HIDDEN_NAMES.fullmatch(name):
        raise NotDataError(f"{name} belongs to IPython or Python and is not a value of yours")
    return variables.get(name, default)


def check_data(value: Any, shown: str) -> None:
    """Check that a value is data.

    Args:
        value: The value.
        shown: The expression for it, for messages.

    Raises:
        NotDataError: It is a module, a class, something that can be called, an iterator, or an
            object of IPython or of a part of Python that does not hold data.
    """
    kind = type(value)
    if issubclass(kind, _BUILTIN_DATA):
        return
    problem = _problem(kind)
    if problem:
        raise NotDataError(f"{shown} is {problem}")


def _problem(kind: type) -> str:
    """Return the words for a type that is not data; empty if it is data."""
    module = str(kind.__module__)
    root = module.partition(".")[0]
    name = f"{root}.{kind.__name__}"
    problem = ""
    if issubclass(kind, type):
        problem = "a class"
    elif name in DATA_TYPES:
        pass
    elif issubclass(kind, ModuleType):
        problem = "a module"
    elif _has(kind, "__call__"):
        problem = "a function or can be called"
    elif _has(kind, "__next__"):
        problem = "an iterator, which filling it in would use up; make a list of it"
    elif root in HOSTS:
        problem = "a part of IPython"
    elif root in sys.stdlib_module_names and module not in DATA_MODULES:
        problem = f"a {kind.__name__} of Python's module {root}, and not data"
    return problem


def attribute(value: Any, name: str, shown: str) -> Any:
    """Return the attribute of a value.

    Args:
        value: The value; a class of the user's may be one, too, for its constants.
        name: The attribute's name.
        shown: The expression for the value, for messages.

    Raises:
        AttributeError: There is no such attribute.
        NotDataError: The attribute is private, a method or no data.
    """
    whole = f"{shown}.{name}"
    if name.startswith("_"):
        raise NotDataError(f"{whole} is private")
    if isinstance(value, type):
        found = _constant(value, name, whole)
    else:
        check_data(value, shown)
        found = _attribute(value, name, whole)
    check_data(found, whole)
    return found


def _attribute(value: Any, name: str, whole: str) -> Any:
    kind = type(value)
    static = inspect.getattr_static(kind, name, _MISSING)
    listed = _listed(kind, ATTRIBUTES)
    if listed is not None and static is not _MISSING and _root(_definer(kind, name)) in TRUSTED:
        if name not in listed:
            _refuse_method(kind, name, whole)
        return getattr(value, name)
    if static is not _MISSING and callable(static) and not isinstance(static, type):
        _refuse_method(kind, name, whole)
    return getattr(value, name)


def _constant(kind: type, name: str, whole: str) -> Any:
    """Return an attribute of a class that holds data, such as `Config.RATE` or `Color.RED`."""
    if issubclass(kind, enum.Enum) and name in kind.__members__:
        return kind.__members__[name]
    static = inspect.getattr_static(kind, name)
    if hasattr(type(static), "__get__"):
        raise NotDataError(f"{whole} is not a constant of a class")
    return static


def _refuse_method(kind: type, name: str, whole: str) -> NoReturn:
    if name in (_listed(kind, METHODS) or ()):
        raise NotDataError(f"{whole} is a method; call it: {whole}()")
    raise NotDataError(f"{whole} is not among the attributes and methods that a template may use")


def method(value: Any, name: str, shown: str) -> Callable[..., Any]:
    """Return the method of a value.

    Args:
        value: The value.
        name: The method's name.
        shown: The expression for the value, for messages.

    Raises:
        AttributeError: There is no such method.
        NotDataError: The method is not on the list for its type, or the type has its own version.
    """
    whole = f"{shown}.{name}"
    check_data(value, shown)
    kind = type(value)
    if name not in (_listed(kind, METHODS) or ()):
        if inspect.getattr_static(value, name, _MISSING) is _MISSING:
            raise AttributeError(name)
        raise NotDataError(f"{whole}() is not among the methods that a template may call")
    if issubclass(kind, str):
        return getattr(str.__str__(value), name)  # type: ignore[no-any-return]
    if _root(_definer(kind, name)) not in TRUSTED or name in getattr(value, "__dict__", {}):
        raise NotDataError(f"{whole}() is a method of your own, which a template may not call")
    return getattr(value, name)  # type: ignore[no-any-return]


def check_arguments(
    name: str, value: Any, positional: list[Any], named: Mapping[str, Any], shown: str
) -> None:
    """Check the arguments of a listed method of a table or an array.

    Raises:
        NotDataError: An argument is not on the list, or is no data.
    """
    for argument in (*positional, *named.values()):
        check_data(argument, f"an argument of {shown}()")
        if isinstance(argument, (list, tuple)):
            for element in argument[:1_000]:
                check_data(element, f"an argument of {shown}()")
    if _root(type(value)) not in ("numpy", "pandas", "polars", "pyarrow"):
        return
    unknown = [keyword for keyword in named if keyword not in KEYWORDS]
    if unknown:
        raise NotDataError(f"a template may not pass the argument {unknown[0]}= to {shown}()")
    most = POSITIONS.get(name, 1)
    if len(positional) > most:
        problem = f"at most {most} argument{'' if most == 1 else 's'} without a name"
        raise NotDataError(f"a template may pass {problem} to {shown}()")


def item(value: Any, key: Any, shown: str) -> Any:
    """Return the item of a value.

    Raises:
        LookupError: There is no such item.
        TypeError: The value has no items.
        NotDataError: The value, the key or the item is no data.
    """
    whole = f"{shown}[...]"
    check_data(value, shown)
    check_data(key, f"the key of {whole}")
    for part in key if isinstance(key, (tuple, list)) else ():
        check_data(part, f"the key of {whole}")
    if isinstance(value, defaultdict) and key not in value:
        raise KeyError(key)  # looking it up would add it
    found = value[key]
    check_data(found, whole)
    return found


def _listed(kind: type, table: Mapping[str, frozenset[str]]) -> frozenset[str] | None:
    """Return the names that a table lists for a type and its bases, `None` if for none of them."""
    found = [
        table[name] for base in kind.__mro__ if (name := f"{_root(base)}.{base.__name__}") in table
    ]
    return frozenset().union(*found) if found else None


def _has(kind: type, name: str) -> bool:
    """Whether a type or a base of it, and not only its metaclass, defines a name."""
    return any(name in vars(base) for base in kind.__mro__)


def _definer(kind: type, name: str) -> type:
    """Return the class that defines a name which a type or one of its bases has."""
    return next((base for base in kind.__mro__ if name in vars(base)), kind)


def _root(kind: type) -> str:
    return str(kind.__module__).partition(".")[0]
