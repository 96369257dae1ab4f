"""Tells facts about the IPython shell: the cell that runs, and whether the user can be asked."""

from __future__ import annotations

import getpass
import sys
from contextlib import suppress
from typing import Any

from IPython.core.error import StdinNotImplementedError


def has_kernel(shell: Any) -> bool:
    """Whether the shell runs in a kernel, and not in a terminal."""
    return hasattr(shell, "kernel")


def is_whole_cell(shell: Any) -> bool:
    """Whether the magic is all of the running cell, and not called from other code."""
    return _code(shell).startswith("%%runagent")


def is_last_line(shell: Any) -> bool:
    """Whether the magic is the last line of its cell and its value is not assigned."""
    return _code(shell).rpartition("\n")[2].lstrip().startswith("%")


def request_id(shell: Any) -> str:
    """Return the id of the request that the caller's code runs for; in a terminal, of its cell.

    In a subshell it is another one than in the main shell, whatever cells are counted meanwhile.
    """
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return f"cell {getattr(shell, 'execution_count', '')}"
    return str((kernel.get_parent("shell") or {}).get("header", {}).get("msg_id", ""))


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
