"""One call of the magic: its answer is read beside, shown here, and stopped at once."""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from runagent import RunAgentClient, RunAgentError, RunResult, Stream, StreamEvent
from runagent_jupyter import steps
from runagent_jupyter.failure import shortly
from runagent_jupyter.reply import Reply

if TYPE_CHECKING:
    from runagent_jupyter.display import Display

TICK = 0.05
"""Seconds between two looks at what is due on the display, at most."""

REST = 0.05
"""Seconds that reading rests after it had to wait, so that chunks come by the dozen."""

WAITED = 0.0005
"""Seconds between two chunks after which reading has had to wait."""


class _Stopped(BaseException):
    """Someone has called `Call.stop`, or has interrupted it."""


class Call:
    """A call that fills a reply in and shows it.

    Args:
        client: Makes the call, and is closed after it.
        reply: Gets what comes.
        show: Shows it.
        entrypoint: The agent's entrypoint, `None` for the usual one.
        streams: Whether the answer is asked for in pieces.
    """

    def __init__(
        self,
        client: RunAgentClient,
        reply: Reply,
        show: Display,
        *,
        entrypoint: str | None,
        streams: bool,
    ) -> None:
        self._client = client
        self._reply = reply
        self._show = show
        self._entrypoint = entrypoint
        self._streams = streams
        # Plain attributes: an interrupt may come at any bytecode, inside another interrupt too, and
        # the lock of a `threading.Event` would then wait for itself.
        self._is_stopping = False
        self._is_interrupted = False

    def run(self, at_end: Callable[[Reply], None]) -> bool:
        """Make the call and show it to its end; a failure is in the reply afterwards.

        Args:
            at_end: Called with the reply when it is complete, whatever becomes of its display.

        Returns:
            Whether it was interrupted, by the kernel's interrupt or Ctrl-C.
        """
        with _interrupts_to(self._interrupt):
            self._fill()
            try:
                self._show.end(self._reply)
            finally:
                at_end(self._reply)
        return self._is_interrupted

    def stop(self) -> None:
        """End the call from another thread; what came stays."""
        self._is_stopping = True

    def _interrupt(self) -> None:
        self._is_interrupted = self._is_stopping = True

    def _fill(self) -> None:
        reply = self._reply
        started = time.monotonic()
        try:
            with self._client:
                if self._streams:
                    self._stream()
                else:
                    self._invoke()
        except RunAgentError as exc:
            reply.error = exc
        except Exception as exc:  # noqa: BLE001 - raised where the reply is handed over
            reply.error = RunAgentError(f"{type(exc).__name__}: {exc}", code="INTERNAL_ERROR")
            reply.error.__cause__ = exc
        except _Stopped:
            reply.stopped = True
        reply.elapsed = time.monotonic() - started

    def _invoke(self) -> None:
        reply = self._reply

        def invoke() -> None:
            if self._entrypoint is not None:
                results.append(self._client.run(reply.input_data, entrypoint=self._entrypoint))
            else:
                results.append(self._client.run_generic_with_metadata(reply.input_data))

        results: list[object] = []
        self._wait_for(invoke, queue.Queue())
        (result,) = results
        if isinstance(result, RunResult):
            reply.value = result.value
            reply.usage, reply.execution_time = result.usage, result.execution_time
            reply.request_id = result.request_id
        else:
            reply.value = result

    def _stream(self) -> None:
        reply = self._reply
        inbox: queue.Queue[StreamEvent | BaseException | None] = queue.Queue()

        def read() -> None:
            last = time.monotonic()
            for event in stream:
                inbox.put(event)
                # Waking up for each of hundreds of chunks a second would cost more than they do.
                if time.monotonic() - last > WAITED:
                    time.sleep(REST)
                last = time.monotonic()

        stream: Stream[StreamEvent]
        with self._client.stream_events(reply.input_data, entrypoint=self._entrypoint) as stream:
            try:
                self._wait_for(read, inbox)
            finally:
                reply.value = steps.answer_of(reply.events)
                reply.usage, reply.execution_time = stream.usage, stream.execution_time
                reply.request_id = stream.request_id

    def _wait_for(
        self,
        work: Callable[[], None],
        inbox: queue.Queue[StreamEvent | BaseException | None],
    ) -> None:
        """Do the work in a thread; show events as they come, and keep the display alive.

        Waiting for a queue can be interrupted at once and ended by a timeout; reading cannot. It is
        not a `SimpleQueue`: before Python 3.13, a signal that comes at the end of its timeout makes
        it wait for ever.
        """

        def run() -> None:
            try:
                work()
                inbox.put(None)
            except BaseException as exc:  # noqa: BLE001 - it is raised where the reply is awaited
                inbox.put(exc)

        threading.Thread(target=run, name="runagent-magic", daemon=True).start()
        while True:
            self._show.tick()
            try:
                item = inbox.get(timeout=TICK)
                while True:
                    if self._is_stopping:
                        raise _Stopped
                    if item is None:
                        return
                    if isinstance(item, BaseException):
                        raise item
                    self._take(item)
                    item = inbox.get_nowait()
            except queue.Empty:
                if self._is_stopping:
                    raise _Stopped from None

    def _take(self, event: StreamEvent) -> None:
        self._reply.events.append(event)
        text = steps.text_of(event)
        if text is None:
            self._show.step(event)
        elif text:
            self._show.add(text)


@contextlib.contextmanager
def _interrupts_to(stop: Callable[[], None]) -> Iterator[None]:
    """Have an interrupt call `stop`; a `KeyboardInterrupt` would end anything at all half-way."""
    if threading.current_thread() is not threading.main_thread():
        yield  # no interrupt comes here
        return
    before = signal.signal(signal.SIGINT, lambda *_: stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)


class Job:
    """A call that goes on in the background, with its output in the cell that began it.

    Args:
        reply: Gets what comes.
        call: Fills the reply in, in a thread; `None` if it is complete.
        at_end: Called with the reply once it is complete.

    Attributes:
        reply: What has come so far; complete once `done`.
    """

    def __init__(
        self,
        reply: Reply,
        call: Call | None = None,
        at_end: Callable[[Reply], None] = lambda _: None,
    ) -> None:
        self.reply = reply
        self._call = call
        # Not in this cell's context: what is executed next knows its outputs by their ids, and
        # nbclient takes nothing from a cell that has ended.
        self._thread = threading.Thread(
            target=call.run if call else lambda _: None,
            args=(at_end,),
            name=f"runagent-{reply.agent_id}",
            daemon=True,
        )
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether the call has ended: complete, failed or stopped."""
        return not self._thread.is_alive()

    def wait(self, timeout: float | None = None) -> Reply:
        """Wait for the end of the call.

        Args:
            timeout: Seconds; `None` for no limit.

        Returns:
            The reply.

        Raises:
            TimeoutError: It has not ended by then, and goes on.
            RunAgentError: It failed; what came is in `reply`.
        """
        self._thread.join(timeout)
        if not self.done:
            raise TimeoutError(f"{self.reply.agent_id} has not answered within {timeout} s.")
        if self.reply.error is not None:
            raise shortly(self.reply.error)
        return self.reply

    def stop(self) -> Reply:
        """Stop the call, and return the reply with what came."""
        if self._call is not None:
            self._call.stop()
        self._thread.join()
        return self.reply

    def __repr__(self) -> str:
        if not self.done:
            state = "running"
        elif self.reply.stopped:
            state = "stopped"
        else:
            state = "failed" if self.reply.error is not None else "done"
        return f"<Job {self.reply.agent_id!r}: {state}>"
