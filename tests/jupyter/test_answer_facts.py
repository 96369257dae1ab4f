"""An answer, its facts and its end: the same for a cell and for a chat."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from dataclasses import fields

import pytest
from support.clock import PATIENCE
from support.kernel import Kernel

from runagent import RunAgentError, RunResult, StreamError, StreamEvent
from runagent_jupyter import Reply
from runagent_jupyter.answer import FACTS, Answer
from runagent_jupyter.chats.turn import Turn
from runagent_jupyter.event_loops import background, is_background
from runagent_jupyter.request import Request

PIECES = [StreamEvent("chunk", "Hel", "Hel"), StreamEvent("chunk", "lo", "lo")]


def test_constructors_and_reprs() -> None:
    reply = Reply("a", {"query": "x"}, "hi", "text", usage={"total_tokens": 3}, cached=1.5)
    assert repr(reply) == (
        "Reply(agent_id='a', value='hi', format='text', usage={'total_tokens': 3}, "
        "execution_time=None, request_id=None, elapsed=0.0, stopped=False, error=None, cached=1.5)"
    )
    assert repr(Turn("agent", "hi", status="streaming")) == (
        "Turn(role='agent', text='hi', error=None, usage={}, execution_time=None, "
        "request_id=None, elapsed=0.0, status='streaming')"
    )


@pytest.mark.parametrize("answer", [Reply("a", {"query": "x"}), Turn("agent")])
def test_answers_pickle(answer: Answer) -> None:
    for event in PIECES:
        answer.take(event)
    answer.end(elapsed=1.5, error=StreamError("broken"), stopped=False)
    copy = pickle.loads(pickle.dumps(answer))
    assert repr(copy) == repr(answer)
    assert copy.events == PIECES


def test_every_fact_is_taken_and_exported() -> None:
    usage = {"total_tokens": 3}
    result = RunResult({}, "hi", execution_time=2.0, usage=usage, request_id="r-1", cost=0.5)
    reply = Reply("a", {"query": "x"})
    reply.take_result(result)
    assert set(FACTS) <= {field.name for field in fields(Answer)}
    for name in FACTS:
        assert getattr(result, name)
        assert getattr(reply, name) == getattr(result, name) == reply.to_dict()[name]


@pytest.mark.parametrize(
    ("error", "stopped", "status"),
    [(None, False, "done"), (None, True, "stopped"), (StreamError("broken"), False, "error")],
)
def test_both_end_alike(error: RunAgentError | None, stopped: bool, status: str) -> None:
    reply, turn = Reply("a", {"query": "x"}), Turn("agent", status="streaming")
    for answer in (reply, turn):
        for event in PIECES:
            answer.take(event)
        answer.end(elapsed=1.5, error=error, stopped=stopped)
        assert (answer.elapsed, answer.error, answer.stopped) == (1.5, error, stopped)
    assert (reply.text, turn.text, turn.status) == ("Hello", "Hello", status)


def requested(work: Callable[[], object]) -> Answer:
    async def call() -> None:
        await asyncio.sleep(0)
        work()

    request = Request(call, Reply("a", {"query": "x"}), background("cells"))
    request.start()
    request.ended.result(PATIENCE)
    return request.answer


def test_an_unexpected_exception_becomes_a_run_agent_error_with_its_cause() -> None:
    answer = requested(lambda: 1 / 0)
    assert answer.error is not None
    assert answer.error.code == "INTERNAL_ERROR"
    assert "ZeroDivisionError: division by zero" in answer.error.message
    assert isinstance(answer.error.__cause__, ZeroDivisionError)


def test_an_error_of_the_client_stays_the_same_object() -> None:
    error = StreamError("broken")

    def fail() -> None:
        raise error

    assert requested(fail).error is error


def test_cells_and_chats_have_a_loop_each() -> None:
    found: list[bool] = []
    requested(lambda: found.extend([is_background("cells"), is_background("chats")]))
    assert found == [True, False]
    assert not is_background("cells")


def test_a_request_that_is_stopped_before_its_first_step_runs_nothing() -> None:
    begun: list[str] = []

    async def call() -> None:
        begun.append("work")

    loop = background("cells")
    ended: list[str] = []
    request = Request(
        call,
        Turn("agent", status="streaming"),
        loop,
        at_end=lambda ended_request: ended.append(repr(ended_request.answer)),
    )

    # With the loop held, start and stop are handled one right after the other.
    def start_and_stop() -> None:
        request.start()
        request.stop()

    loop.call_soon_threadsafe(start_and_stop)
    request.ended.result(PATIENCE)
    assert request.answer.stopped
    assert len(ended) == 1
    assert "status='stopped'" in ended[0]
    assert begun == []


def test_an_observer_of_a_chat_may_call_the_magic(shared_kernel: Kernel) -> None:
    shared_kernel.execute(
        """%load_ext runagent_jupyter
import threading
from runagent_jupyter import AgentWidget
w = AgentWidget("demo", context={"delay": 0})
asked = threading.Event()
def ask_too(change):
    global reply
    if change["new"]:
        reply = get_ipython().run_line_magic("runagent", "demo --quiet --set delay=0 hello")
        asked.set()
w.observe(ask_too, "value")
turn = w.ask("hi")
assert asked.wait(60)
assert (turn.status, reply.error, reply.text[:7]) == ("done", None, "# Hello")
""",
    ).ok()
