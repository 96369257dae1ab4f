"""The meaning of one attempt for the pace, for its rows and for the whole batch. No I/O."""

from __future__ import annotations

from runagent.call import Attempt
from runagent.errors import AgentNotFoundError, AuthenticationError, RunAgentError
from runagent.many.pace import Verdict

LIMITED = frozenset({429, 529})
"""Statuses by which a server says that there are too many requests."""

UNAVAILABLE = frozenset({503, 521, 522, 523})
"""Statuses by which a server, or the proxy before it, says that it serves nobody for now."""

MOST_LOST = 3
"""Workers that a row may lose before it fails: it may be the reason."""

_NOT_REACHED = "CONNECTION_FAILED"
_LOST = "CONNECTION_LOST"
_CLOSED = "CLIENT_CLOSED"
_WORKER_LOST = "WORKER_LOST"


def verdict(attempt: Attempt) -> Verdict:
    """Return what an attempt says about the server."""
    error = attempt.error
    if error is None or not attempt.again:
        return "accepted"
    if error.status_code in LIMITED:
        return "limited"
    if error.status_code in UNAVAILABLE or error.code == _NOT_REACHED:
        return "unavailable"
    return "accepted"


def was_lost(attempt: Attempt) -> bool:
    """Whether the connection broke off while the agent may have been running."""
    return attempt.error is not None and attempt.error.code == _LOST and not attempt.again


def lost_its_worker(attempt: Attempt) -> bool:
    """Whether the worker of an executor was lost, so that nothing is known about the server."""
    return attempt.error is not None and attempt.error.code == _WORKER_LOST and attempt.again


def is_senseless(error: RunAgentError) -> bool:
    """Whether every other row would fail with this error too."""
    if error.code == _CLOSED:
        return True
    if isinstance(error, AuthenticationError):
        return error.status_code == 401  # noqa: PLR2004 - a 403 may be about one input
    return isinstance(error, AgentNotFoundError)
