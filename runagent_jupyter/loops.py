"""Event loops: `asyncio.run` inside a running kernel, and the one that streams run on."""

from __future__ import annotations

import asyncio
import functools
import threading
import warnings


def make_reentrant() -> None:
    """Let `asyncio.run` work where an event loop already runs, as it does in a kernel.

    Does nothing where none runs. An older `nest_asyncio` that was applied before is taken over: on
    today's kernels it loses the cells that wait behind an `asyncio.run`. A loop that cannot be
    patched, such as uvloop's, is left as it is, with a warning; `await` works in cells anyway.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    import nest_asyncio2  # noqa: PLC0415 - patches nothing before it is needed

    if hasattr(asyncio, "_nest_patched") and not hasattr(asyncio, "_nest_asyncio2"):
        # Its marks keep the maintained fork from patching what is patched already.
        for patched in (asyncio, type(loop)):
            if hasattr(patched, "_nest_patched"):
                delattr(patched, "_nest_patched")
    try:
        nest_asyncio2.apply(loop)
    except ValueError as exc:
        warnings.warn(
            f"asyncio.run() will not work in cells: {exc}. Use await instead.",
            RuntimeWarning,
            stacklevel=2,
        )


@functools.cache
def background() -> asyncio.AbstractEventLoop:
    """Return the event loop that streams run on, in a daemon thread, beside the kernel's own."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="runagent-streams", daemon=True).start()
    return loop
