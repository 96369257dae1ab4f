"""Keeps a reply that its cell has shown from being shown again as the value of the last line."""

from __future__ import annotations

import sys
from typing import Any

from runagent_jupyter.reply import Reply
from runagent_jupyter.shell import request_id


def pass_over_shown(shell: Any) -> None:
    """Let the display hook of the running cell pass over replies that this cell has shown.

    IPython puts its own hook back when the cell ends, and so does `%%capture`.
    """
    if not isinstance(sys.displayhook, _DisplayHook):
        sys.displayhook = _DisplayHook(sys.displayhook, shell)


class _DisplayHook:
    """A display hook before another one.

    Args:
        hook: The other one.
        shell: The IPython shell.
    """

    def __init__(self, hook: Any, shell: Any) -> None:
        self._hook = hook
        self._shell = shell

    def __call__(self, value: object = None) -> None:
        if not (isinstance(value, Reply) and value.is_shown_in(request_id(self._shell))):
            self._hook(value)
            return
        own = self._shell.displayhook
        own.check_for_underscore()
        own.update_user_ns(value)
        own.fill_exec_result(value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hook, name)
