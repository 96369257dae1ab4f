"""Failures in a cell: a short readable message instead of a traceback through our code."""

from __future__ import annotations

import difflib
import re
from typing import Any, TypeVar

from IPython.core.getipython import get_ipython

from runagent import RunAgentError
from runagent.registry import agent_ids
from runagent_jupyter.control_characters import strip_controls

E = TypeVar("E", bound=BaseException)

_MANY = 12
"""The number of agents that a message lists."""


def shortly(error: E, text: str | None = None) -> E:
    """Make IPython show an exception in a few lines, and with its traceback in a later `%tb`.

    It is still the same exception: the cell fails, `except` works, and its cause is kept.

    Args:
        error: The exception.
        text: The line to show; by default the facts about the exception.

    Returns:
        The exception, to be raised.
    """
    lines = facts_of(error) if text is None else [text]
    error._render_traceback_ = _ShortTraceback(error, lines)  # type: ignore[attr-defined]
    return error


class _ShortTraceback:
    """Shows an exception when IPython calls it. It is no closure, because exceptions pickle."""

    def __init__(self, error: BaseException, lines: list[str]) -> None:
        self._error = error
        self._lines = lines
        self._cell: int | None = None  # the number of the cell that failed

    def __call__(self) -> list[str]:
        shell: Any = get_ipython()
        if shell is not None:
            cell: int = shell.execution_count
            # IPython also renders it for its history, in the same cell. The whole traceback would
            # take a fifth of a second there, and nobody would see it.
            if self._cell not in (None, cell):
                whole: list[str] = shell.InteractiveTB.structured_traceback(
                    type(self._error), self._error, self._error.__traceback__
                )
                return whole
            self._cell = cell
            # IPython's own renderer notes it, for %debug.
            shell.InteractiveTB.tb = self._error.__traceback__
        first, *more = self._lines
        return [f"\x1b[31m{type(self._error).__name__}\x1b[39m: {first}", *more]


def with_cells(note: str) -> str:
    """Name the cells in the places of the files of which IPython pretends that they hold them."""
    compiler = getattr(get_ipython(), "compile", None)
    name_of = getattr(compiler, "format_code_name", lambda _: None)

    def place(match: re.Match[str]) -> str:
        found = name_of(match[1])
        return match[0] if found is None else " ".join(found)

    return re.sub(r'File "([^"\n]+)"', place, note)


def facts_of(error: BaseException) -> list[str]:
    """Return the facts about an error in a few lines, without terminal sequences."""
    if not isinstance(error, RunAgentError):
        return [strip_controls(str(error))]
    facts = ", ".join(
        fact
        for fact in (
            error.code,
            None if error.status_code is None else f"HTTP {error.status_code}",
            None if error.request_id is None else f"request {error.request_id}",
            f"{error.attempts} attempts" if (error.attempts or 0) > 1 else None,
        )
        if fact
    )
    lines = [strip_controls(error.message)]
    for note in getattr(error, "__notes__", []):
        lines += strip_controls(with_cells(note)).splitlines()
    if error.hint:
        lines.append(strip_controls(error.hint))
    if facts:
        lines.append(strip_controls(f"[{facts}]"))
    return lines


def as_agent_error(error: BaseException) -> RunAgentError:
    """Return a failure as a `RunAgentError`; an unexpected exception is its cause."""
    if isinstance(error, RunAgentError):
        return error
    wrapped = RunAgentError(f"{type(error).__name__}: {error}", code="INTERNAL_ERROR")
    wrapped.__cause__ = error
    return wrapped


def summary(error: BaseException) -> str:
    """Return an error's type and the facts about it as text, without terminal sequences."""
    return f"{type(error).__name__}: " + "\n".join(facts_of(error))


def say_what_is_served(error: RunAgentError, agent_id: str) -> None:
    """Say in the hint of an error which agents this process serves, and which is nearest.

    Args:
        error: The error about an id that no agent has; its hint is changed.
        agent_id: The id.
    """
    served = agent_ids()
    shown = [*served[:_MANY], "..."] if len(served) > _MANY else served
    near = difflib.get_close_matches(agent_id, served)
    words = [f"This process does not serve {agent_id!r}; it serves {', '.join(shown)}."]
    if near:
        words.append(f"Did you mean {' or '.join(near)}?")
    error.hint = " ".join([*words, *([error.hint] if error.hint else [])])
