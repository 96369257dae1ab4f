"""Finding the agents of a file or module."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

from runagent.local.embedded import decorated


class LoadError(Exception):
    """A file, module or function cannot be served; the message says why and what to do."""


def load(target: str) -> dict[str, Callable[..., Any]]:
    """Return the agents of a file or module, by id.

    The agents are the functions that are decorated with `@agent` during the import. If there are
    none, they are all public functions that the module defines, each under its name. A function
    that `target` names is the only agent.

    Args:
        target: `my_agents.py`, `package.module`, or either followed by `:function`.

    Raises:
        LoadError: There is no such file, module or function, or nothing in it to serve.
        Exception: The file's own code raised it.
    """
    place, function = _split(target)
    module = _import_file(Path(place)) if _is_file(place) else _import_module(place)
    chosen = decorated()
    if function is not None:
        return {_id_of(function, value, chosen): value for value in [_find(module, function)]}
    if not chosen:
        chosen = _public(module)
    if not chosen:
        raise LoadError(
            f"{place} has no agents: decorate a function with @runagent.local.agent, "
            "or define a public one."
        )
    return chosen


def _split(target: str) -> tuple[str, str | None]:
    place, colon, function = target.rpartition(":")
    if colon and all(part.isidentifier() for part in function.split(".")):
        return place, function
    return target, None  # any other colon is part of a Windows path


def _is_file(place: str) -> bool:
    return place.endswith((".py", ".ipynb")) or "/" in place or "\\" in place


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise LoadError(f"There is no file {path}.")
    # A file called json.py can be served, and `import json` must still find the library.
    name = path.stem if path.stem not in sys.modules else f"runagent_local_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise LoadError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _import_module(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise LoadError(f"{name!r} is neither a Python file nor the name of a module.")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not f"{name}.".startswith(f"{exc.name}."):
            raise  # the module exists, but one that it imports does not
        hint = f" Did you mean {name}.py?" if Path(f"{name}.py").is_file() else ""
        raise LoadError(f"There is no module {exc.name!r}.{hint}") from exc


def _find(module: ModuleType, path: str) -> Any:
    try:
        return attrgetter(path)(module)
    except AttributeError:
        there = ", ".join(_public(module)) or "no public function"
        raise LoadError(f"{module.__name__} has no {path!r}; it has {there}.") from None


def _id_of(path: str, value: Any, chosen: dict[str, Callable[..., Any]]) -> str:
    for agent_id, function in chosen.items():
        if function is value:
            return agent_id
    return path.rpartition(".")[2]


def _public(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """Return the public functions that a module defines itself, by name."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and callable(value)
        and inspect.isfunction(inspect.unwrap(value))
        and getattr(value, "__module__", None) == module.__name__
    }
