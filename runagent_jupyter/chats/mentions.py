"""The variables of the notebook that a question names, such as `@df`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from IPython.core.getipython import get_ipython

from runagent import ValidationError
from runagent_jupyter.chats.attached import Attached, variable_of
from runagent_jupyter.control_characters import strip_controls
from runagent_jupyter.templates.kinds import kind_of
from runagent_jupyter.templates.reach import NotDataError, variable

_MOST = 8
"""Names that are offered at a time."""

_MANY = 20
"""Names in a question that are looked up."""

_LONGEST = 100_000
"""Characters of a text in which names are looked for."""

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
# The @ of a mail address has a letter before it, and one of code a call or an attribute behind it.
_NAMED = re.compile(r"(?<![^\s(\[\"'])@([^\W\d]\w*)(?!\w|\(|\.\w)")
_TYPED = re.compile(r"(?<![^\s(\[\"'])@((?:[^\W\d]\w*)?)\Z")

_MISSING = object()


def found(text: str, before: str) -> dict[str, Any]:
    """Return what a page shows of variables while a question is typed.

    Args:
        text: The text so far.
        before: The part before the cursor.

    Returns:
        `known` has the variables that the text names, each with its label. `offered` has those that
        the reader may mean at the cursor, and `first` is the one that Enter takes.
    """
    first, pairs = offered(before)
    return {"first": first, "offered": pairs, "known": known(text)}


def offered(before: str) -> tuple[str, list[list[str]]]:
    """Return variables that a reader may mean.

    Args:
        before: The text before the cursor.

    Returns:
        The variable that Enter takes, empty for none, and a few pairs of a name and a label, if
        the text ends with `@` and letters of a name, in either case, or none. Names of modules,
        functions and classes are not among them, and none that begins with an underscore unless
        the text has one.
    """
    typed = _TYPED.search(_CODE.sub("", before[-_LONGEST:]))
    if typed is None:
        return "", []
    prefix, names = typed[1], _namespace()
    begin = prefix.lower()
    fitting = sorted(
        (name for name in list(names) if name.lower().startswith(begin) and name != prefix),
        key=lambda name: (not name.startswith(prefix), name.lower()),
    )
    shown = (name for name in fitting if prefix.startswith("_") or not name.startswith("_"))
    pairs = ([name, f"{name} · {kind}"] for name in shown if (kind := _kind(name, names)))
    few = list(islice(pairs, _MOST))
    if not few or not prefix or _kind(prefix, names):
        return "", few
    few[0][1] += " \N{RETURN SYMBOL}"
    return few[0][0], few


def known(text: str) -> list[list[str]]:
    """Return the variables that a text names with `@`, each with its label."""
    names = _namespace()
    return [[name, f"@{name} · {kind}"] for name in _named(text) if (kind := _kind(name, names))]


def attached_variables(text: str, promised: Iterable[str] = ()) -> list[Attached]:
    """Return the variables that a text names with `@`, as they are now.

    Names that stand for no data are text.

    Args:
        text: A question.
        promised: The names of variables that the page says will go along, if the text names them.

    Raises:
        ValidationError: A value cannot be sent, or is too large, or one that was promised is gone.
    """
    names = _namespace()
    named = {name: _kind(name, names) for name in _named(text)}
    for name in promised:
        if name in named and not named[name]:
            raise ValidationError(
                f"@{name} is no variable with data any more.",
                code="INVALID_INPUT",
                hint=f"Make it again, or write {name} without @.",
            )
    return [variable_of(name, names[name]) for name, kind in named.items() if kind]


def _named(text: str) -> list[str]:
    """Return the names behind an `@` in a text, but not in code."""
    if len(text) >= _LONGEST:
        return []
    return list(dict.fromkeys(_NAMED.findall(_CODE.sub("", text))))[:_MANY]


def _kind(name: str, names: Mapping[str, Any]) -> str | None:
    try:
        value = variable(name, names, _MISSING)
    except NotDataError:
        return None
    hidden = getattr(get_ipython(), "user_ns_hidden", {})
    if value is _MISSING or hidden.get(name, _MISSING) is value:
        return None
    kind = kind_of(value)
    return None if kind is None else strip_controls(kind)


def _namespace() -> Mapping[str, Any]:
    """Return the variables of the notebook; without IPython, as in marimo, those of its module."""
    shell = get_ipython()
    return vars(sys.modules["__main__"]) if shell is None else shell.user_ns
