"""Deadlines and interruption: how the I/O of a call ends in time, or when somebody ends it.

Nothing here does I/O. `network` asks for the deadline before each operation that blocks.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from runagent import heartbeat
from runagent.latch import Latch

if TYPE_CHECKING:
    import asyncio

    from typing_extensions import Self


class Interruptible:
    """The I/O of one call, which another thread may end. It may be entered as a context.

    Within the context, `current_io` returns it.

    Attributes:
        connected: Whether a connection was made for the request under way, or was to be.
        connecting: Whether that is still under way.
        interrupted: Whether `interrupt` was called.
        pid: The id of the process that the call is made in.
        deadline: When operations that block must be over, on the monotonic clock.
        has_body: Whether a request with a body is about to be sent.
    """

    def __init__(self) -> None:
        """Start with no I/O under way."""
        self.connected = self.connecting = self.interrupted = self.has_body = False
        self.pid = os.getpid()
        self.deadline = math.inf

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:  # noqa: SIM105 - each call comes by here, and a context manager takes ten times as long
            _current.reset(self._token)
        except ValueError:  # it is another context when a forgotten coroutine is being cleared
            pass

    def begin_request(self, *, has_body: bool) -> None:
        """Take note that a request is about to be sent."""
        self.connected = self.connecting = False
        self.has_body = has_body
        self.pid = os.getpid()

    def begun(self) -> None:
        """Take note that its call begins."""

    def ended(self) -> None:
        """Take note that its call has ended."""

    @property
    def is_inherited(self) -> bool:
        """Whether it is the copy that a forked process has of its parent's, and must not touch."""
        return self.pid != os.getpid()

    def connect(self) -> None:
        """Take note that a connection is about to be made."""
        self.connected = self.connecting = True

    def interrupt(self) -> None:
        """Make the wait, read or write under way, and every later one, end at once."""
        raise NotImplementedError


class BlockingIO(Interruptible):
    """The I/O of one call that blocks a thread.

    Attributes:
        abandoned: Whether it was interrupted because nobody wants the answer any more.
    """

    def __init__(self) -> None:
        """Start with no I/O under way."""
        super().__init__()
        self.abandoned = False
        self._wake: Callable[[], object] | None = None
        self._stream: Any = None

    def until(self, deadline: float) -> Self:
        """Set the deadline of the operations in the context that follows."""
        self.deadline = deadline
        return self

    def __exit__(self, *exc_info: object) -> None:
        super().__exit__()
        self._stream = None  # from here on another call may use it

    def abandon(self) -> None:
        """Interrupt it, as nobody wants the answer any more."""
        self.abandoned = True
        self.interrupt()

    def interrupt(self) -> None:
        """Make the wait, read or write under way, and every later one, end at once."""
        self.interrupted = True
        if self.is_inherited:
            return
        wake = self._wake
        if wake is not None:
            wake()
        shut_down(self._stream)

    def wait(self, seconds: float) -> None:
        """Sleep, unless interrupted."""
        woken = Latch()
        with self.woken_by(woken.set):
            woken.wait(seconds)

    @contextlib.contextmanager
    def woken_by(self, wake: Callable[[], object]) -> Iterator[None]:
        """Have an interruption call `wake` while the block waits for something."""
        self._wake = wake
        try:
            if self.interrupted:  # checked after `wake` is there to be called
                wake()
            yield
        finally:
            self._wake = None

    def may_block_on(self, stream: Any) -> bool:
        """Take note of the stream about to block; return whether it may, as nobody interrupted."""
        self._stream = stream
        return not self.interrupted


class AsyncIO(Interruptible):
    """The I/O of one call on an event loop.

    Attributes:
        cancel: Cancels the operation under way, `None` while there is none.
        stream: The network stream that a streamed answer is read from, once there is one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start with no I/O under way on `loop`."""
        super().__init__()
        self.loop = loop
        self.cancel: Callable[[], object] | None = None
        self.stream: Any = None
        self._when_idle: list[Callable[[], object]] = []

    def begun(self) -> None:
        """Take note that its call begins, in its loop."""
        heartbeat.begin(self.loop, self)

    def ended(self) -> None:
        """Take note that its call has ended."""
        heartbeat.end(self.loop, self)

    def cancelled_by(self, cancel: Callable[[], object]) -> Self:
        """Have an interruption call `cancel` in the context that follows."""
        self.cancel = cancel
        if self.interrupted:
            cancel()
        return self

    def __exit__(self, *exc_info: object) -> None:
        super().__exit__()
        self.cancel = None
        for call in self._when_idle:
            call()

    def when_idle(self, call: Callable[[], object]) -> None:
        """Call a function once no operation is under way."""
        if self.cancel is None:
            call()
        else:
            self._when_idle.append(call)

    def interrupt(self) -> None:
        """Make the wait, read or write under way, and every later one, end at once."""
        self.interrupted = True
        if self.is_inherited:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(self._interrupt)

    def _interrupt(self) -> None:
        if self.cancel is not None:
            self.cancel()
        else:
            shut_down(self.stream)


_current: ContextVar[Interruptible | None] = ContextVar("_current", default=None)

current_io = _current.get
"""Return the `Interruptible` whose context this code runs in, `None` for none."""

I = TypeVar("I", bound=Interruptible)  # noqa: E741


class IOGroup(Generic[I]):
    """The I/O of calls that end together."""

    # Without a lock: each operation on the set is one step to other threads.

    def __init__(self) -> None:
        """Start with none."""
        self._members: set[I] = set()
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether `end` was called."""
        return self._ended

    def add(self, io: I) -> None:
        """Take in the I/O of a call."""
        self._members.add(io)
        io.begun()
        if self._ended:  # checked after it is there to be found by `end`
            io.interrupt()

    def discard(self, io: I) -> None:
        """Let go of the I/O of a call that has ended."""
        self._members.discard(io)
        io.ended()

    def end(self) -> set[I]:
        """Interrupt all members, and those added later too; return those there are now."""
        self._ended = True
        members = {io for io in self._members.copy() if not io.is_inherited}
        for io in members:
            io.interrupt()
        return members


def shut_down(stream: Any) -> None:
    """Make reads and writes of a network stream end at once, whichever thread they are in."""
    sock = None if stream is None else stream.get_extra_info("socket")
    if sock is None:
        return
    with contextlib.suppress(OSError):
        if isinstance(sock, socket.socket):
            # The method of an SSL socket would end the encryption first.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
            return
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except TypeError:  # the event loop's own kind of socket refuses it, as uvloop's does
            with socket.socket(fileno=os.dup(sock.fileno())) as duplicate:
                duplicate.shutdown(socket.SHUT_RDWR)
