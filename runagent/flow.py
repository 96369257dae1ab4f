"""One call from its input to its answer: every decision of both clients, and no I/O.

A flow is a generator. It yields the next step, is sent the outcome of that step, and in the end
returns the answer or raises. The pumps in `pumps` carry out the steps.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

import httpx2

from runagent import failures, raised, retry
from runagent.call import Action, Attempt, Call
from runagent.config import Settings
from runagent.detection import Detection
from runagent.errors import RunAgentError, StreamError
from runagent.failures import Failure
from runagent.items import items_of
from runagent.redaction import Redactor
from runagent.results import Entrypoint, Event, Health, RunResult
from runagent.stream import StreamState
from runagent.wire import Input, Outgoing, StreamReader, Wire
from runagent.wire.text import PairJoiner

T = TypeVar("T")

MAX_ERROR_BODY = 1 << 20
"""Bytes read at most of the body of a response that is an error."""

SPARE_EFFORT = 16_000_000
"""Bytes that a stream may send between two items, besides twice the allowed size of a message.

Comments and pings are life, so that no silence ends a stream of nothing else. It would take all the
time of a processor, though, if it came as fast as the network can.
"""

ENDING = 0.01
"""Seconds that the end of a response may take after the end of the stream in it.

Nearly all servers send both at once, and reading to the end keeps the connection. Others hold a
response open for reasons of their own, and the user would wait with them.
"""

logger = logging.getLogger("runagent")


@dataclass(slots=True)
class Send:
    """Step: send a request. Sent back is an `Answer` or a `Failure`.

    Attributes:
        call: The call it belongs to, whose headers go along.
        outgoing: The request.
        seconds: Seconds all of it may take, `math.inf` for no limit.
        body_limit: Called with the response once its headers are there. Returns the bytes to read
            of the body, of which one more may be read to show that there are more; `None` to
            leave it open, as a stream.
    """

    call: Call = field(repr=False)
    outgoing: Outgoing
    seconds: float
    body_limit: Callable[[httpx2.Response], int | None] = field(repr=False)


@dataclass(slots=True)
class Answer:
    """The response to a request, read.

    Attributes:
        response: Its status and headers.
        body: Its body, empty if it was left open.
        reusable: Whether the connection of a body that was left open can be used again once that
            has been read to its end, and a deadline ends each read of it.
    """

    response: httpx2.Response = field(repr=False)  # its own shows words of the server
    body: bytes = field(repr=False)
    reusable: bool = False


@dataclass(slots=True)
class Wait:
    """Step: sleep. Sent back is whether that was interrupted."""

    seconds: float


@dataclass(slots=True)
class TakeTurn:
    """Step: wait until no other call of the client detects the protocol of the server.

    Sent back is the lock that is held then, to be released by the flow; `None` if it was not free
    within the seconds.
    """

    seconds: float


@dataclass(slots=True)
class Receive:
    """Step: receive events of a stream, and send the bytes that its reader wants to be sent.

    Sent back is a list of events; `None` if the connection has ended, or a `Failure`.

    Attributes:
        response: The response, which was left open.
        reader: Reads the events.
        silence: Seconds in which nothing may come, `None` for no limit.
        deadline: The end of the time for the whole stream, on the monotonic clock; `math.inf` for
            no limit.
    """

    response: httpx2.Response
    reader: StreamReader
    silence: float | None
    deadline: float


@dataclass(slots=True)
class Deliver:
    """Step: give items to the user. Nothing is sent back."""

    items: Iterator[Any]


class Lock(Protocol):
    """A lock that is held."""

    def release(self) -> object:
        """Let go of it."""


Step = Send | Wait | TakeTurn | Receive | Deliver
Outcome = Answer | Failure | Lock | list[Event] | bool | None
Steps = Generator[Step, Any, T]
"""A flow whose result is a `T`. The docstring of each step says which `Outcome` is sent back."""

Select = Callable[[str, Any, str | None], T | None]
"""Turns the kind, value and text of an event into an item of a stream, or `None` for no item."""


class Flow:
    """The flows of the calls of one client.

    Attributes:
        closed: Whether nothing may be sent any more.
        detection: The wires, and which of them the server speaks.
    """

    def __init__(
        self, settings: Settings, max_message_size: int, proxies: Iterable[str] = ()
    ) -> None:
        """Decide by these settings; the passwords of the proxies are kept out of errors."""
        self.closed = False
        self.detection = Detection(settings)
        self._settings = settings
        self._max_size = max_message_size
        self._redactor = Redactor.of(settings.api_key, settings.headers, proxies)
        self._policy = retry.RetryPolicy(
            settings.max_retries, settings.retry_delay, settings.retry_backoff
        )

    @property
    def policy(self) -> retry.RetryPolicy:
        """How often a request is sent again, and after how long."""
        return self._policy

    def closed_error(self) -> RunAgentError | None:
        """Return the error for a client that was closed, `None` while it is open."""
        return failures.client_closed(self._settings.agent_id) if self.closed else None

    def check_open(self) -> None:
        """Refuse to send anything once the client is closed.

        Raises:
            RunAgentError: A client that was closed.
        """
        if self.closed:
            raise failures.client_closed(self._settings.agent_id)

    def prepare(
        self,
        action: Action,
        data: Input,
        timeout: float,
        headers: Mapping[str, str],
        total_timeout: float = math.inf,
    ) -> Call:
        """Return a call that is still to be made.

        Raises:
            ValidationError: An entrypoint or a user, for a server that is known to have none.
        """
        wire: Wire | None = self.detection.wire
        if action == "entrypoints" or not data.is_generic or data.names_user:
            wire = self.detection.wire_with_entrypoints()
        if wire is None:
            raise self._not_offered(data)
        return Call(wire, data, action, timeout, headers, self._redactor, total_timeout)

    def _not_offered(self, data: Input) -> RunAgentError:
        if data.names_user:
            return failures.no_users(self._settings.base_url)
        return failures.no_entrypoints(self._settings.base_url)

    # The flow of each kind of call

    def invoke(self, call: Call) -> Steps[RunResult]:
        """Run the agent once."""
        return self._explaining(call, self._until_answered(call, self._result))

    def attempt(self, call: Call, idempotency_key: str) -> Steps[Attempt]:
        """Run the agent once, and leave it to the caller whether to try again."""
        call.repeats = False
        call.idempotency_key = idempotency_key
        result = error = None
        try:
            result = yield from self.invoke(call)
        except RunAgentError as exc:
            error = exc
        return Attempt(result, error, call.again, call.received if call.answered else {})

    def entrypoints(self, call: Call) -> Steps[list[Entrypoint]]:
        """Ask the server which entrypoints the agent has."""
        return self._explaining(call, self._until_answered(call, self._entrypoints))

    def health(self, call: Call) -> Steps[Health]:
        """Ask the server for its health."""
        return self._explaining(call, self._until_answered(call, self._health))

    def stream(self, call: Call, select: Select[Any], state: StreamState) -> Steps[None]:
        """Deliver a stream of the items that `select` makes of its events."""
        return self._explaining(call, self._stream(call, select, state))

    def _explaining(self, call: Call, steps: Steps[T]) -> Steps[T]:
        """Carry out the steps; if an agent of this process fails, say where in the error."""
        try:
            return (yield from steps)
        except RunAgentError as exc:
            if (cause := raised.take(call.idempotency_key)) is None:
                raised.point_to_the_log(exc)
                raise
            raise raised.explain(exc, cause) from cause
        finally:
            raised.take(call.idempotency_key)

    def _stream(self, call: Call, select: Select[Any], state: StreamState) -> Steps[None]:
        answer = yield from self._until_answered(call, lambda _, answer: answer)
        state.begin(call.received.get("x-request-id"), call.redact)
        reader = call.wire.reader(call.data, self._max_size)
        receive = Receive(answer.response, reader, call.silence, call.deadline)
        pairs, most = PairJoiner(), 2 * self._max_size + SPARE_EFFORT
        error: RunAgentError
        while True:
            events = yield receive
            if events is None or isinstance(events, Failure):
                error = self._from_failure(call, events) if events else failures.stream_cut_off()
                break
            yield Deliver(items_of(events, select, state, reader, pairs))
            if state.done:
                if answer.reusable:
                    receive.deadline = min(call.deadline, time.monotonic() + ENDING)
                    yield receive
                return
            if state.failed is not None:
                error = reader.failure(state.failed[1])
                break
            if reader.effort > most:
                error = failures.nothing_but_noise(most)
                break
        del events  # a traceback that shows variables would show what a server echoed
        if self.closed:
            error = failures.client_closed(self._settings.agent_id, streaming=True)
        error = yield from self._explained(call, error)
        error.request_id = error.request_id or state.request_id
        error = self._presentable(call, error)
        if isinstance(error, StreamError):
            error.text = state.text  # as it came: it is a part of the answer
        raise error

    def leaving(self, exc: BaseException) -> BaseException:
        """Return the exception that leaves a call instead of `exc`.

        This is where the promise is kept that nothing leaves a call but a `RunAgentError` and the
        exceptions of the user's own code.
        """
        if isinstance(exc, Exception) and failures.is_unexpected(exc):
            return failures.presentable(failures.unexpected(exc), self._redactor)
        return failures.bare(exc)

    def as_model(self, answer: Any, model: Any, headers: Mapping[str, str]) -> Any:
        """Return an answer as an instance of the user's model.

        Raises:
            ValidationError: An answer that does not fit.
        """
        from runagent.response_models import as_model  # noqa: PLC0415 - few need it

        try:
            return as_model(answer, model)
        except RunAgentError as exc:
            error = exc
        raise failures.presentable(error, self._redactor.with_headers(headers))

    # Attempts

    def _until_answered(self, call: Call, read: Callable[[Call, Answer], T]) -> Steps[T]:
        """Send the call's request until `read` accepts an answer to it; return its result."""
        call.start()
        while True:
            undelivered = interrupted = False
            wanted: bool | None = None
            try:
                if self.detection.is_needed_before(call.wire):
                    yield from self._detect(call)
                self.check_open()
                call.begin_attempt()
                outcome = yield Send(
                    call, call.outgoing, call.remaining, partial(self._body_limit, call)
                )
                if isinstance(outcome, Failure):
                    error = self._from_failure(call, outcome)
                    undelivered = outcome.is_undelivered() and not call.answered
                    interrupted = outcome.interrupted
                elif call.accepted:
                    return read(call, outcome)
                else:
                    error = self._refusal(call, outcome)
                    if self.detection.is_needed_after(call.wire, error) and (
                        yield from self._detect(call)
                    ):
                        continue
                    wanted = retry.wanted(outcome.response.status_code, call.received)
            except RunAgentError as exc:
                error = exc
            delay = None
            call.again = retry.may_repeat(error, undelivered=undelivered, wanted=wanted)
            if call.repeats and not (interrupted or self.closed):
                delay = self._policy.next_delay(
                    error,
                    call.attempts,
                    call.limit - call.elapsed,  # none is left where `remaining` is never zero
                    undelivered=undelivered,
                    wanted=wanted,
                )
            if delay is not None:
                self._log_retry(call, delay, error)
                interrupted = yield Wait(delay)
            if delay is None or interrupted:
                raise (yield from self._conclusion(call, error))

    def _body_limit(self, call: Call, response: httpx2.Response) -> int | None:
        """Return the bytes to read of a response; `None` for a stream that has begun."""
        if not call.accepts(response):
            return MAX_ERROR_BODY
        if call.action == "invoke":
            return self._max_size
        return None if call.streams else MAX_ERROR_BODY

    def _log_retry(self, call: Call, delay: float, error: RunAgentError) -> None:
        logger.info(
            "%s %s: trying again in %.2f s after attempt %d: %s",
            call.outgoing.method,
            call.outgoing.url,
            delay,
            call.attempts,
            self._presentable(call, error),
        )

    # Answers

    def _result(self, call: Call, answer: Answer) -> RunResult:
        if len(answer.body) > self._max_size:
            raise failures.too_large(self._max_size)
        result = call.wire.answer(
            answer.response.status_code, call.received, answer.body, self._max_size
        )
        # Nobody else has it yet, and a copy of it would cost more than reading it.
        object.__setattr__(result, "request_id", call.redact(result.request_id))
        object.__setattr__(result, "attempts", call.attempts)
        object.__setattr__(result, "elapsed", call.elapsed)
        return result

    def _entrypoints(self, call: Call, answer: Answer) -> list[Entrypoint]:
        try:
            return call.wire.read_entrypoints(answer.body)
        except ValueError as exc:
            raise failures.unreadable(answer.response.status_code, exc) from None

    def _health(self, call: Call, answer: Answer) -> Health:
        try:
            return call.wire.read_health(answer.body)
        except ValueError as exc:
            if not answer.response.is_success:
                raise self._refusal(call, answer) from None
            raise failures.unreadable(answer.response.status_code, exc) from None

    # Errors

    def _refusal(self, call: Call, answer: Answer) -> RunAgentError:
        return failures.from_refusal(
            call.wire,
            self._settings,
            call.outgoing,
            answer.response.status_code,
            call.received,
            answer.body,
        )

    def _from_failure(self, call: Call, failure: Failure) -> RunAgentError:
        if failure.is_unsent():
            call.attempts -= 1
        return failures.from_failure(
            failure,
            self._settings,
            call.timeout,
            streams=call.streams,
            answered=call.answered,
            total_timeout=call.total_timeout if call.is_over else None,
        )

    def _conclusion(self, call: Call, error: RunAgentError) -> Steps[RunAgentError]:
        """Return the error that a call ends with."""
        if self.closed:
            error = failures.client_closed(self._settings.agent_id)
        error = yield from self._explained(call, error)
        return self._presentable(call, error)

    def _presentable(self, call: Call, error: RunAgentError) -> RunAgentError:
        error.attempts = call.attempts or None
        if "content-encoding" in call.received:
            error = failures.unreadable_encoding(error, call.received)
        return failures.presentable(error, call.redact)

    # Questions to the server about itself

    def _detect(self, call: Call) -> Steps[bool]:
        """Find out which protocol the server speaks; return whether `call` changed its wire.

        Raises:
            ValidationError: An entrypoint or a user, for a server whose protocol has none.
        """
        turn = yield TakeTurn(call.remaining)
        if turn is not None:
            try:
                if not self.detection.is_certain:
                    yield from self._ask_all(call)
            finally:
                turn.release()
        wire = self.detection.wire
        if not self.detection.is_certain or call.wire is wire:
            return False
        if call.needs_entrypoints and not wire.has_entrypoints:
            raise self._not_offered(call.data)
        call.switch(wire)
        return True

    def _ask_all(self, call: Call) -> Steps[None]:
        """Ask the server in every protocol that can tell whether it is spoken."""
        found = self.detection.wires[0]
        for wire in self.detection.wires:
            identity = wire.identity()
            if identity is None:
                continue
            answer = yield from self._ask(call, identity)
            if answer is None:
                return
            if wire.is_spoken_by(answer):
                found = wire
                break
        self.detection.settle(found)

    def _explained(self, call: Call, error: RunAgentError) -> Steps[RunAgentError]:
        """Return an error with the server's own explanation added, where it has one."""
        question = None if self.closed else call.wire.question(error)
        answer = None if question is None else (yield from self._ask(call, question))
        return error if answer is None else call.wire.explain(error, answer)

    def _ask(self, call: Call, outgoing: Outgoing) -> Steps[bytes | None]:
        """Ask the server about itself within half the time `call` has left.

        Returns:
            The body of its response, empty if it refuses; `None` if there was none.
        """
        if self.closed:
            return None
        outcome = yield Send(call, outgoing, call.remaining / 2, lambda _: MAX_ERROR_BODY)
        if isinstance(outcome, Failure):
            return None
        return outcome.body if outcome.response.is_success else b""
