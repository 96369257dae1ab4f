"""Tells facts about the IPython shell: the cell that runs, and whether the user can be asked."""

from __future__ import annotations

import contextvars
import getpass
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from textwrap import dedent
from typing import Any, TypeVar

from IPython.core.error import StdinNotImplementedError

T = TypeVar("T")

_MAGIC = re.compile(r"%|runagent\s+\w")  # IPython also reads a lone line without %


def has_kernel(shell: Any) -> bool:
    """Whether the shell runs in a kernel, and not in a terminal."""
    return hasattr(shell, "kernel")


def is_whole_cell(shell: Any) -> bool:
    """Whether the magic is all of the running cell, and not called from other code."""
    return _code(shell).startswith("%%runagent")


def is_last_line(shell: Any) -> bool:
    """Whether the magic is the last line of its cell, so that IPython displays its value.

    It is not where its value is assigned, and in a loop or function, which is indented.
    """
    code = _code(shell)
    if not code:  # in a terminal
        history = getattr(getattr(shell, "history_manager", None), "input_hist_raw", [""])
        code = str(history[-1])
    lines = dedent(code).strip().replace("\\\n", " ").split("\n")
    return bool(_MAGIC.match(lines[-1]))


def request_id(shell: Any) -> str:
    """Return the id of the request that the caller's code runs for; in a terminal, of its cell.

    In a subshell it is another one than in the main shell, whatever cells are counted meanwhile.
    """
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return f"cell {getattr(shell, 'execution_count', '')}"
    return str((kernel.get_parent("shell") or {}).get("header", {}).get("msg_id", ""))


def in_running_cell(call: Callable[[], T]) -> T:
    """Call a function whose outputs belong to the cell that runs, or to the one that ran last.

    The outputs of a thread or a callback can belong to the cell that began it. Programs that
    execute notebooks ignore them when that cell has ended, but they know outputs by their ids, so
    that a later cell can update them.

    Args:
        call: A function that displays something.

    Returns:
        What the function returns.
    """
    # A kernel keeps the cell in a context variable; where that is not set, it takes the last cell.
    return contextvars.Context().run(call)


def ask_secretly(shell: Any, prompt: str) -> str:
    """Ask the user for a text that is not shown.

    Args:
        shell: The IPython shell.
        prompt: The question.

    Returns:
        The answer without spaces around it; empty if nobody can or wants to answer.
    """
    kernel = getattr(shell, "kernel", None)
    can_ask = sys.stdin.isatty() if kernel is None else getattr(kernel, "_allow_stdin", False)
    if can_ask:
        with suppress(StdinNotImplementedError, EOFError, KeyboardInterrupt):
            return getpass.getpass(prompt).strip()
    return ""


def _code(shell: Any) -> str:
    """Return the code of the running cell; empty if it is not known."""
    kernel = getattr(shell, "kernel", None)
    request = {} if kernel is None else kernel.get_parent("shell") or {}
    return str(request.get("content", {}).get("code", "")).strip()
