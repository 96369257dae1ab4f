"""The handle of an answer that comes in the background: `--bg --proc NAME`."""

from __future__ import annotations

import functools
from collections.abc import Callable

from runagent.waitable_thread import WaitableThread
from runagent_jupyter.cell import CellRequest
from runagent_jupyter.failure import shortly
from runagent_jupyter.reply import Reply
from runagent_jupyter.shell import in_running_cell


class Job:
    """An answer that comes in the background and is shown in the cell that asked for it.

    >>> job = %runagent shout --bg --quiet Hello
    >>> job.wait().text
    'HELLO'

    Args:
        reply: The answer.
        request: Fills the reply in, in a thread; `None` if the reply is complete.
        at_end: Called with the reply when it is complete.

    Attributes:
        reply: The answer as far as it has come; it is complete when `done` is true.
    """

    def __init__(
        self,
        reply: Reply,
        request: CellRequest | None = None,
        at_end: Callable[[Reply], None] = lambda _: None,
    ) -> None:
        self.reply = reply
        self._request = request
        run = request.run if request else lambda _: None
        self._thread = WaitableThread(
            functools.partial(in_running_cell, functools.partial(run, at_end)),
            f"runagent-{reply.agent_id}",
        )
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether the answer has ended: it is complete, failed or was stopped."""
        return self._thread.has_ended

    def wait(self, timeout: float | None = None) -> Reply:
        """Wait for the end of the answer.

        Args:
            timeout: Seconds; `None` for no limit.

        Returns:
            The reply.

        Raises:
            TimeoutError: The answer has not ended by then; it goes on.
            RunAgentError: The answer failed; `reply` has the part that came.

        Example:
            >>> job = %runagent shout --bg --quiet Hello
            >>> job.wait(timeout=60).text
            'HELLO'
        """
        if not self._thread.wait(timeout):
            raise TimeoutError(f"{self.reply.agent_id} has not answered within {timeout} s.")
        if self.reply.error is not None:
            raise shortly(self.reply.error)
        return self.reply

    def stop(self) -> Reply:
        """Stop the answer.

        Returns:
            The reply, with the part that came.

        Example:
            >>> job = %runagent slow --bg --quiet Hello
            >>> job.stop().stopped
            True
        """
        if self._request is not None:
            self._request.stop()
        self._thread.wait()
        return self.reply

    def __repr__(self) -> str:
        if not self.done:
            state = "running"
        elif self.reply.stopped:
            state = "stopped"
        else:
            state = "failed" if self.reply.error is not None else "done"
        return f"<Job {self.reply.agent_id!r}: {state}>"
