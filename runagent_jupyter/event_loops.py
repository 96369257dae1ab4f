"""Event loops: lets `asyncio.run` work in a kernel, and runs loops of its own beside it."""

from __future__ import annotations

import _asyncio
import asyncio
import contextlib
import functools
import os
import sys
import threading
import warnings
from typing import Any, Literal

from runagent import RunAgentError

_MISSING = object()

_changes: list[tuple[Any, str, object, object]] = []
"""Patched names: the holder, the name, the value before and the value after."""


def make_reentrant() -> bool:
    """Let `asyncio.run` work where an event loop already runs, as it does in a kernel.

    Where no event loop runs, this does nothing. If an older `nest_asyncio` was applied before, its
    patches are replaced: with current kernels, it loses the cells that are queued behind an
    `asyncio.run`. A loop that cannot be patched, such as uvloop's, is left as it is, with a
    warning; `await` works in cells anyway.

    Returns:
        Whether an event loop runs.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return False
    if not isinstance(loop, asyncio.BaseEventLoop):
        kind = f"{type(loop).__module__}.{type(loop).__qualname__}"
        warnings.warn(
            f"asyncio.run() will not work in cells: the kernel's event loop is a {kind}, which "
            "cannot be patched. Use await instead; everything else works.",
            RuntimeWarning,
            stacklevel=2,
        )
        return True
    import nest_asyncio2  # noqa: PLC0415 - patches nothing before it is needed

    patched: list[Any] = [asyncio, asyncio.tasks, asyncio.futures, asyncio.events, type(loop)]
    if sys.version_info < (3, 14):  # later, the policy is not patched, and its use is deprecated
        patched.append(asyncio.get_event_loop_policy().__class__)
    if "tornado.concurrent" in sys.modules:
        patched.append(sys.modules["tornado.concurrent"])
    before = [dict(vars(holder)) for holder in patched]
    if hasattr(asyncio, "_nest_patched") and not hasattr(asyncio, "_nest_asyncio2"):
        _make_way(type(loop))
    nest_asyncio2.apply(loop)
    for holder, names in zip(patched, before, strict=True):
        for name, new in vars(holder).items():
            old = names.get(name, _MISSING)
            if new is not old:
                _changes.append((holder, name, old, new))
    return True


def _make_way(loop_class: type) -> None:
    """Undo what the older `nest_asyncio` did as far as it hinders the maintained fork."""
    # With these marks, the fork would take everything for patched and do nothing.
    for holder in (asyncio, loop_class):
        if hasattr(holder, "_nest_patched"):
            delattr(holder, "_nest_patched")
    if sys.version_info >= (3, 14):
        # Both put Python's own tasks in the place of those in C, the fork up to Python 3.13 only:
        # since then, the two kinds keep separate accounts of the current task.
        originals = {
            "Task": _asyncio.Task,
            "_CTask": _asyncio.Task,
            "Future": _asyncio.Future,
            "_CFuture": _asyncio.Future,
            "get_event_loop": _asyncio.get_event_loop,
        }
        for holder in (asyncio, asyncio.tasks, asyncio.futures, asyncio.events):
            for name in originals.keys() & vars(holder).keys():
                setattr(holder, name, originals[name])


def restore() -> None:
    """Undo the patches of `make_reentrant`, except names that other code has changed since."""
    while _changes:
        holder, name, old, new = _changes.pop()
        if vars(holder).get(name, _MISSING) is not new:
            continue
        if old is _MISSING:
            delattr(holder, name)
        else:
            setattr(holder, name, old)
    with contextlib.suppress(RuntimeError):
        state = vars(asyncio.get_running_loop())
        if state.get("_nest_deferred") is None:  # otherwise an `asyncio.run` is still running
            state.pop("_nest_deferred", None)
            state.pop("_num_runs_pending", None)


def check_threads() -> None:
    """Refuse to work where there are no threads.

    Raises:
        RunAgentError: Python runs in a browser.
    """
    if sys.platform == "emscripten":
        raise RunAgentError(
            "The magics and the chat cannot work here: they wait for agents in threads, and Python "
            "in a browser (Pyodide, JupyterLite) has none.",
            code="NOT_IN_BROWSER",
            hint="Use runagent.AsyncRunAgentClient, and await its methods.",
        )


@functools.cache
def background(purpose: Literal["cells", "chats"]) -> asyncio.AbstractEventLoop:
    """Return an event loop that runs in a daemon thread, beside the kernel's own loop.

    Cells have another loop than chats: code of the user that observes a chat runs on the chats'
    loop and may call the magic, which waits for the cells' loop.

    Raises:
        RunAgentError: There are no threads, in a browser.
    """
    check_threads()
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name=f"runagent-{purpose}", daemon=True).start()
    return loop


def is_background(purpose: Literal["cells", "chats"]) -> bool:
    """Whether the caller runs on that event loop."""
    try:
        return asyncio.get_running_loop() is background(purpose)
    except RuntimeError:
        return False


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=background.cache_clear)  # threads do not survive a fork
