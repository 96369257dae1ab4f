"""Tells whether anything but the magic has written into the output of the running cell."""

from __future__ import annotations

import sys
from typing import Any

from runagent_jupyter.shell import request_id

_OUTPUTS = {b"display_data", b"error", b"execute_result"}
"""The last parts of the topics of outputs. Updates and clearing have that of `display_data`."""

_begun: tuple[str, list[None]] = ("", [])
"""The request that runs, and an item for each output that the kernel has sent since."""


def watch(shell: Any) -> None:
    """Count the outputs that the kernel sends from now on, in each cell anew.

    A cell begins before all other callbacks, because they may write into it: `%autoreload`
    reports there that an edited file is broken.
    """
    unwatch(shell)
    shell.events.callbacks["pre_execute"].insert(0, _note)
    thread = _sender(shell)
    if thread is not None:
        thread.send_multipart = _Counting(thread.send_multipart)


def unwatch(shell: Any) -> None:
    """Stop counting."""
    callbacks = shell.events.callbacks["pre_execute"]
    callbacks[:] = [callback for callback in callbacks if callback is not _note]
    if _is_counting(shell):
        del _sender(shell).send_multipart


def is_alone(shell: Any, own: int) -> bool:
    """Check whether all outputs since the cell began are those of the caller.

    Those of all threads, forked processes and other cells count, so none escapes this.

    Args:
        shell: The IPython shell.
        own: The number of outputs, updates among them, that the caller has sent.

    Returns:
        Whether there are no others. If the kernel cannot be watched, there may be others.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # printed text is kept for a moment before it is sent
    request, outputs = _begun
    return _is_counting(shell) and request == request_id(shell) != "" and len(outputs) == own


def _note() -> None:
    global _begun  # noqa: PLW0603 - one cell runs at a time, but for subshells, which are not alone
    from IPython.core.getipython import get_ipython  # noqa: PLC0415 - only in a shell

    request = request_id(get_ipython())
    if request != _begun[0]:  # it may be a cell within the cell
        _begun = (request, [])


class _Counting:
    """Counts outputs on their way to `send`, from any thread."""

    def __init__(self, send: Any) -> None:
        self._send = send

    def __call__(self, message: Any, *args: Any, **options: Any) -> Any:
        topic = bytes(message[0])
        if topic.startswith(b"stream.") or topic.rpartition(b".")[2] in _OUTPUTS:
            _begun[1].append(None)
        return self._send(message, *args, **options)


def _is_counting(shell: Any) -> bool:
    return isinstance(vars(_sender(shell) or object).get("send_multipart"), _Counting)


def _sender(shell: Any) -> Any:
    """Return the thread of ipykernel that sends outputs; `None` in a shell without one."""
    return getattr(getattr(shell, "kernel", None), "iopub_thread", None)
