"""The exceptions that agents of this process raise, for the calls of this process to find."""

from __future__ import annotations

import linecache
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType

from runagent.errors import RunAgentError

_MOST_FRAMES = 5
"""Frames of the user's code that an error shows."""

_OURS = Path(__file__).parent
_OTHERS = tuple(
    f"{directory}{os.sep}"
    for directory in (
        _OURS,
        _OURS.with_name("runagent_jupyter"),
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("platstdlib"),
    )
)
"""Directories of code that the user has not written, besides those of installed packages."""

# By the idempotency key of a call under way. Without a lock: each operation is one step to other
# threads. A call from another process is not in it, so nobody else learns of the exception.
_raised: dict[str, BaseException | None] = {}


def expect(key: str) -> None:
    """Say that a call of this process is under way."""
    _raised[key] = None


def keep(key: str, exception: BaseException) -> None:
    """Keep what an agent raised in a call, if the call is one of this process."""
    if key in _raised:
        _raised[key] = exception


def take(key: str) -> BaseException | None:
    """Say that a call is over, and return what an agent of this process raised in it, if any."""
    return _raised.pop(key, None)


def explain(error: RunAgentError, raised: BaseException) -> RunAgentError:
    """Add to an error where the user's own code has failed.

    Args:
        error: The error that a call ends with.
        raised: The exception of the agent, which is its cause.

    Returns:
        The error, to be raised. A note shows the frames of the user's code, and its traceback will
        end with them, so that a debugger begins there.
    """
    error.__cause__ = raised
    # Of a group, such as that of a `TaskGroup`, the first exception that was raised in it.
    traceback = next(leaves(raised)).__traceback__
    own = [entry for entry in _entries(traceback) if _is_own(entry.tb_frame)]
    shown = own[-_MOST_FRAMES:]
    if shown:
        # `add_note` is there from Python 3.11 on.
        note = "\n".join(_line(entry) for entry in shown)
        vars(error)["__notes__"] = [*getattr(error, "__notes__", []), note]
    following: TracebackType | None = None
    for entry in reversed(shown):
        following = TracebackType(following, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return error.with_traceback(following)


def point_to_the_log(error: RunAgentError) -> None:
    """Say in the hint of an error where the traceback is, if an agent of another process failed.

    Args:
        error: The error that a call ends with.
    """
    if error.code == "AGENT_ERROR" and error.hint is None:
        error.hint = "The agent's own code failed; the log of its server has the traceback."


def leaves(exception: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions in an exception group, at any depth; another exception is the only one.

    Args:
        exception: The exception or group.
    """
    todo = [exception]
    while todo:
        found = todo.pop()
        inner = getattr(found, "exceptions", None)
        if hasattr(found, "subgroup") and isinstance(inner, tuple) and inner:
            todo += reversed(inner)
        else:
            yield found


def _entries(entry: TracebackType | None) -> Iterator[TracebackType]:
    while entry is not None:
        yield entry
        entry = entry.tb_next


def _is_own(frame: FrameType) -> bool:
    filename = frame.f_code.co_filename
    is_installed = {"site-packages", "dist-packages"} & set(Path(filename).parts)
    return not (is_installed or filename.startswith(("<frozen ", *_OTHERS)))


def _line(entry: TracebackType) -> str:
    """Write an entry as tracebacks do."""
    code = entry.tb_frame.f_code
    place = f'  File "{code.co_filename}", line {entry.tb_lineno}, in {code.co_name}'
    source = linecache.getline(code.co_filename, entry.tb_lineno, entry.tb_frame.f_globals).strip()
    return f"{place}\n    {source}" if source else place
