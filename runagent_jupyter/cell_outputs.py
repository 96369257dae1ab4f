"""Tells whether anything but the magic has written into the output of the running cell."""

from __future__ import annotations

import sys
from typing import Any

from runagent_jupyter.shell import request_id

_begun: tuple[str, int] = ("", 0)
"""The request that runs, and the number of messages that the kernel had sent before it."""


def watch(shell: Any) -> None:
    """Take note of the kernel's messages from now on, whenever a cell begins.

    This is the first of all callbacks, because other ones write into the cell: `%autoreload`
    reports there that an edited file is broken.
    """
    unwatch(shell)
    shell.events.callbacks["pre_execute"].insert(0, _note)


def unwatch(shell: Any) -> None:
    """Stop taking note."""
    callbacks = shell.events.callbacks["pre_execute"]
    callbacks[:] = [callback for callback in callbacks if callback is not _note]


def is_alone(shell: Any, own: int) -> bool:
    """Check whether all messages since the cell began are those of the caller.

    The kernel numbers its messages, those of all threads, so none escapes this. It also counts
    messages that write nothing, and those for other cells; then the caller is not alone either.

    Args:
        shell: The IPython shell.
        own: The number of messages that the caller has sent.

    Returns:
        Whether there are no others. If the kernel does not say, there may be others.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # printed text is kept for a moment before it is sent
    request, before = _begun
    count = _messages(shell)
    return count is not None and request == request_id(shell) != "" and count - before == own


def _note() -> None:
    global _begun  # noqa: PLW0603 - one cell runs at a time, but for subshells, which are not alone
    from IPython.core.getipython import get_ipython  # noqa: PLC0415 - only in a shell

    shell = get_ipython()
    request, count = request_id(shell), _messages(shell)
    if count is not None and request != _begun[0]:  # it may be a cell within the cell
        _begun = (request, count)


def _messages(shell: Any) -> int | None:
    """Return how many messages the kernel has sent; `None` if it does not say."""
    session = getattr(getattr(shell, "kernel", None), "session", None)
    count = getattr(session, "message_count", None)
    return count if isinstance(count, int) else None
