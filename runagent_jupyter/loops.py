"""Event loops: `asyncio.run` inside a running kernel, and the one that streams run on."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
import threading
import warnings
from typing import Any

_MISSING = object()

_changes: list[tuple[Any, str, object, object]] = []
"""What was patched: where, which name, what it was, and what it became."""


def make_reentrant() -> bool:
    """Let `asyncio.run` work where an event loop already runs, as it does in a kernel.

    Does nothing where none runs. An older `nest_asyncio` that was applied before is taken over: on
    today's kernels it loses the cells that wait behind an `asyncio.run`. A loop that cannot be
    patched, such as uvloop's, is left as it is, with a warning; `await` works in cells anyway.

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

    patched: list[Any] = [asyncio, asyncio.tasks, asyncio.futures, asyncio.events]
    patched += [asyncio.get_event_loop_policy().__class__, type(loop)]
    if "tornado.concurrent" in sys.modules:
        patched.append(sys.modules["tornado.concurrent"])
    before = [dict(vars(holder)) for holder in patched]
    if hasattr(asyncio, "_nest_patched") and not hasattr(asyncio, "_nest_asyncio2"):
        # Its marks keep the maintained fork from patching what is patched already.
        for holder in (asyncio, type(loop)):
            if hasattr(holder, "_nest_patched"):
                delattr(holder, "_nest_patched")
    nest_asyncio2.apply(loop)
    for holder, names in zip(patched, before, strict=True):
        for name, new in vars(holder).items():
            old = names.get(name, _MISSING)
            if new is not old:
                _changes.append((holder, name, old, new))
    return True


def restore() -> None:
    """Undo what `make_reentrant` did, but for what others have changed since."""
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
        if state.get("_nest_deferred") is None:  # else an `asyncio.run` is under way
            state.pop("_nest_deferred", None)
            state.pop("_num_runs_pending", None)


@functools.cache
def background() -> asyncio.AbstractEventLoop:
    """Return the event loop that streams run on, in a daemon thread, beside the kernel's own."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="runagent-streams", daemon=True).start()
    return loop
