"""The events of a stream in little memory: equal to those that came, and their text once."""

from __future__ import annotations

import json
import pickle
import random
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from runagent import StreamEvent
from runagent_jupyter import Reply, steps
from runagent_jupyter.chats.turn import Turn
from runagent_jupyter.event_log import EventLog, EventReader, answer_of

START = StreamEvent("start", {"message": "begun", "n": 1})
DONE = StreamEvent("done", {"usage": {"total_tokens": 3}, "x": [1.5, None, True]})


def plain(text: str) -> StreamEvent:
    return StreamEvent("chunk", text, text)


def worded(text: str, **fields: Any) -> StreamEvent:
    return StreamEvent("chunk", {**fields, "content": text}, text)


def thought(text: str) -> StreamEvent:
    return StreamEvent("thinking", {"content": text})


KINDS = [
    START,
    DONE,
    plain(""),
    plain("a"),
    plain("\ud83d"),
    plain("\ude00"),
    plain("\0\x1b[31mred"),
    plain("x" * 300),
    worded("b", type="token"),
    worded("c", type="token"),
    worded("d", type="token", index=1),
    worded("d", type="token", index=True),
    worded("e", nested={"a": [1, 1.0, True]}),
    worded("long" * 500, type="token"),
    thought("hm"),
    thought("so"),
    StreamEvent("chunk", {"type": "tool", "name": "add", "args": {"a": 1}}, '{"type": "tool"}'),
    StreamEvent("chunk", {"n": float("inf"), "s": "\ud83d" + "\ude00"}, None),
    StreamEvent("chunk", {"n": 1 << 70}, None),
    StreamEvent("chunk", {1: "a key that JSON would make a text"}, None),
    StreamEvent("chunk", ("a", "tuple"), None),
    StreamEvent("chunk", None, ""),
    StreamEvent("ping", None, None),
    StreamEvent("ping", None, None),
    StreamEvent("chunk", [1, 2], "[1, 2]"),
]


@pytest.mark.parametrize("seed", range(20))
def test_the_events_are_those_that_came(seed: int) -> None:
    chosen = random.Random(seed)
    events = [event for event in chosen.choices(KINDS, k=60) for _ in range(chosen.choice((1, 3)))]
    log = EventLog()
    for count, event in enumerate(events, 1):
        log.append(event)
        assert len(log) == count
        assert repr(log[-1]) == repr(event)
    for _ in range(2):
        assert list(map(repr, log)) == list(map(repr, events))  # 1 and True are equal
        assert [repr(log[index]) for index in range(len(log))] == list(map(repr, events))
        assert log[3:-2:2] == events[3:-2:2]
        assert log == events
        assert pickle.loads(pickle.dumps(log)) == log
        log.close()
    log.append(plain("z" * 70_000))
    assert log[-1] == plain("z" * 70_000)
    with pytest.raises(IndexError):
        log[len(log)]


@pytest.mark.parametrize("seed", range(20))
def test_the_news_is_all_that_came_however_it_is_taken(seed: int) -> None:
    chosen = random.Random(seed)
    texts: list[Callable[[str], StreamEvent]] = [plain, partial(worded, type="token")]
    log = EventLog()
    reader = EventReader(log)
    seen: list[str] = []
    came: list[str] = []
    for number in range(300):
        if chosen.random() < 0.1:
            log.append(StreamEvent("log", {"message": str(number)}))
            came.append(f"<{number}>")
        else:
            piece = f"{number} " * chosen.choice((1, 1, 1, 9_000))
            log.append(chosen.choice(texts)(piece))
            came.append(piece)
        for item in reader.news():
            seen.append(item if isinstance(item, str) else f"<{item.value['message']}>")
            if chosen.random() < 0.5:
                break
    for item in reader.news():
        seen.append(item if isinstance(item, str) else f"<{item.value['message']}>")
    assert "".join(seen) == "".join(came)
    assert max(map(len, seen)) <= 16_384
    assert list(reader.news()) == []


def test_a_million_chunks_take_the_memory_of_their_text() -> None:
    log = EventLog()
    tracemalloc.start()
    try:
        for _ in range(100_000):
            log.append(StreamEvent("chunk", *["token "] * 2))
        log.close()
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 9 * 100_000  # six characters, and the length
    assert most < 20 * 100_000
    assert answer_of(log) == "token " * 100_000


@pytest.mark.parametrize(
    "event",
    [
        plain("word "),
        worded("word ", type="token"),
        thought("word "),
        StreamEvent("ping", {"n": 1}),
    ],
)
def test_events_of_one_form_take_a_few_bytes(event: StreamEvent) -> None:
    log = EventLog()
    tracemalloc.start()
    try:
        for _ in range(20_000):
            log.append(json_copy(event))
        log.close()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 9 * 20_000
    assert log[12_345] == event


def json_copy(event: StreamEvent) -> StreamEvent:
    return StreamEvent(event.kind, json.loads(json.dumps(event.value)), event.text)


def test_a_reply_holds_its_text_once() -> None:
    reply, turn = Reply("a", {"query": "x"}), Turn("agent")
    for answer in (reply, turn):
        for event in (START, plain("Hel"), StreamEvent("log", {"message": "x"}), plain("lo"), DONE):
            answer.take(event)
        answer.end(elapsed=1.0, error=None, stopped=False)
    assert reply.value is reply.events.text
    assert turn.text is turn.events.text
    assert reply.value == turn.text == "Hello"


def test_a_small_reply_is_small() -> None:
    def reply() -> Reply:
        made = Reply("a", {"query": "x"})
        for event in (START, *[plain("token ")] * 40, DONE):
            made.take(json_copy(event))
        made.end(elapsed=1.0, error=None, stopped=False)
        return made

    reply()
    tracemalloc.start()
    try:
        kept = [reply() for _ in range(200)]
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / len(kept) < 1_600  # of which the text has 290


def test_the_text_of_a_turn_grows_without_copies() -> None:
    turn = Turn("agent", status="streaming")
    turn.take(plain("a"))
    assert turn.text == "a"
    turn.take(plain("b"))
    assert turn.text == "ab"
    assert "text" not in vars(turn)
    turn.end(elapsed=1.0, error=None, stopped=True)
    assert vars(turn)["text"] == "ab"
    assert pickle.loads(pickle.dumps(turn)).text == "ab"
    assert not hasattr(turn, "something else")


def test_steps_are_bounded_and_counted() -> None:
    log = EventLog(StreamEvent("log", {"message": f"row {number}"}) for number in range(10_000))
    found = steps.steps_of([*log, plain("x")])
    assert (len(found), len(found.shown)) == (10_000, 500)
    assert steps.summary(found) == "10,000 steps · log · row 9999"
    assert "… 9,500 more" in steps.folded(found)
    assert len(steps.folded(found)) < 200_000


def test_a_long_thought_is_as_many_steps_as_before() -> None:
    found = steps.steps_of([thought("so ") for _ in range(2_000)] + [plain("x")])
    assert len(found) == 3
    assert "".join(step.message for step in found.shown) == "so " * 2_000


def test_one_object_is_the_answer_itself() -> None:
    value = {"rows": [1, 2], "deep": {"a": 1}}
    assert answer_of(EventLog([START, StreamEvent("chunk", value), DONE])) == value
    assert answer_of(EventLog([START, worded("text", type="token"), DONE])) == {
        "type": "token",
        "content": "text",
    }
    objects = [StreamEvent("chunk", {"type": "tool", "n": n}) for n in range(3)]
    assert answer_of(EventLog(objects)) == [event.value for event in objects]
    assert answer_of(EventLog()) == ""
