"""Answers and streams that are changed at random: nothing but a `RunAgentError` leaves a call.

20,000 cases without sockets, more by `RUNAGENT_TEST_CASES=100000`. A failure names its seed:
`RUNAGENT_TEST_SEED=<seed> RUNAGENT_TEST_CASES=1` runs that case alone, once for each kind of call.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from support.calls import KINDS, MODES, call
from support.clock import PATIENCE
from support.faults import Script, Step, answer
from support.mutations import Case, Mutator
from support.websockets import UPGRADE, WebSocketServer
from wsproto.utilities import generate_accept_token

from runagent import RunAgentClient, RunAgentError, RunResult, StreamEvent
from runagent.flow import Answer, Deliver, Flow, Receive, Send, Steps, TakeTurn, Wait
from runagent.stream import StreamState
from runagent.wire import Input

CASES = int(os.environ.get("RUNAGENT_TEST_CASES", "20000"))
FIRST_SEED = int(os.environ.get("RUNAGENT_TEST_SEED", "0"))
OF_EACH = max(1, CASES // 4)
OVER_SOCKETS = max(1, CASES // 400)

WIRES = ("rest", "server")
MOST_TEXT = 7_000
"""Characters that an error's text may have: a message and a hint of 2,000, in visible escapes."""


@pytest.fixture
def clients() -> Iterator[dict[str, RunAgentClient]]:
    options: dict[str, Any] = {"base_url": "http://127.0.0.1:9", "max_retries": 1}
    found = {}
    for wire in WIRES:
        options["protocol"] = wire
        found[wire] = RunAgentClient("a", **options)
    yield found
    for client in found.values():
        client.close()


class Driver:
    """Carries out the steps of a flow without any I/O: the bytes of a case come for every request.

    Attributes:
        items: The items that were delivered.
    """

    def __init__(self, case: Case) -> None:
        self.items: list[Any] = []
        self._case = case
        self._pieces = iter(case.pieces)

    def run(self, steps: Steps[Any]) -> Any:
        """Return the result of a flow."""
        outcome: Any = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as stop:
                return stop.value
            if isinstance(step, Send):
                outcome = self._answer(step)
            elif isinstance(step, Receive):
                piece = next(self._pieces, None)
                outcome = None if piece is None else step.reader.feed(piece)
                step.reader.outgoing()
            elif isinstance(step, Deliver):
                self.items += step.items
                outcome = None
            elif isinstance(step, TakeTurn):
                outcome = threading.Lock()
                outcome.acquire()
            else:
                assert isinstance(step, Wait)
                assert 0 <= step.seconds < math.inf
                outcome = False

    def _answer(self, step: Send) -> Answer:
        headers = list(self._case.headers)
        status = self._case.status
        if "Sec-WebSocket-Key" in step.outgoing.headers and status == 200:
            status = 101
            proof = generate_accept_token(step.outgoing.headers["Sec-WebSocket-Key"].encode())
            headers = [("sec-websocket-accept", proof.decode())]
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        response = httpx2.Response(status, headers=raw)
        limit = step.body_limit(response)
        return Answer(response, b"" if limit is None else self._case.body[: limit + 1])


def check_result(result: RunResult) -> None:
    assert isinstance(result.result, dict)
    assert isinstance(result.usage, dict)
    assert isinstance(result.metadata, dict)
    for number in (result.execution_time, result.tokens_used):
        assert number is None or math.isfinite(number)
    for text in (result.request_id, result.agent_version):
        assert text is None or isinstance(text, str)


def check_error(error: RunAgentError) -> None:
    assert error.code != "UNEXPECTED", str(error)
    for text in (error.code, error.request_id, error.hint):
        assert text is None or isinstance(text, str)
    assert error.details is None or isinstance(error.details, dict)
    assert error.retry_after is None or 0 <= error.retry_after < math.inf
    assert isinstance(error.message, str)
    assert error.message
    shown = str(error)
    assert shown.encode()
    assert len(shown) < MOST_TEXT


def try_case(flow: Flow, seed: int, wire: str, kind: str) -> bool:
    """Make one call; return whether it succeeded."""
    case = Mutator(seed).case(wire, kind)
    driver = Driver(case)
    text: list[Any] = []
    try:
        if kind == "invoke":
            made = flow.prepare("invoke", Input(b"{}"), PATIENCE, {})
            check_result(driver.run(flow.invoke(made)))
        else:
            made = flow.prepare("stream", Input(b"{}"), PATIENCE, {})
            state = StreamState()
            try:
                driver.run(flow.stream(made, StreamEvent, state))
            finally:
                text = [event.text for event in driver.items if event.text is not None]
                assert "".join(text) == state.text
                assert state.text.encode() is not None
            assert state.done
            assert isinstance(state.usage, dict)
    except RunAgentError as exc:
        check_error(exc)
        return False
    return True


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wire", WIRES)
def test_whatever_comes_is_an_answer_or_an_error(
    wire: str, kind: str, clients: dict[str, RunAgentClient]
) -> None:
    flow = clients[wire]._pump.flow
    good = 0
    for seed in range(FIRST_SEED, FIRST_SEED + OF_EACH):
        try:
            good += try_case(flow, seed, wire, kind)
        except BaseException as exc:
            again = f"RUNAGENT_TEST_SEED={seed} RUNAGENT_TEST_CASES=1"
            pytest.fail(f"{again}: {type(exc).__name__}: {exc}"[:2000])
    if OF_EACH > 100:  # the cases are as near to good ones as to bad ones
        assert OF_EACH / 20 < good < OF_EACH * 0.95


def script(case: Case, wire: str, kind: str) -> Script:
    """Return what a server sends over a socket."""
    begin = f"HTTP/1.1 {case.status} Whatever\r\n"
    lines = "".join(f"{name}: {value}\r\n" for name, value in case.headers)
    head = f"{begin}{lines}Connection: close\r\n\r\n".encode("latin-1")
    steps: list[Step] = [head]
    if wire == "server" and kind == "stream" and case.status == 200:
        steps = [UPGRADE]
    return [*steps, *(piece for piece in case.pieces if piece)]


@pytest.mark.exhaustive
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wire", WIRES)
def test_whatever_comes_over_a_socket(wire: str, kind: str, mode: str) -> None:
    for seed in range(FIRST_SEED, FIRST_SEED + OVER_SOCKETS):
        case = Mutator(seed).case(wire, kind)
        with WebSocketServer(script(case, wire, kind), answer({})) as server:
            try:
                outcome = call(server.url, kind, mode, protocol=wire, max_retries=0)
                if outcome.error is not None:
                    check_error(outcome.error)
            except BaseException as exc:
                again = f"RUNAGENT_TEST_SEED={seed} RUNAGENT_TEST_CASES=1"
                pytest.fail(f"{again}: {type(exc).__name__}: {exc}"[:2000])
