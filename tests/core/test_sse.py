"""Server-sent events are read as the WHATWG specification says, wherever the network cuts them.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from types import FrameType
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runagent.wire.sse import EventTooLargeError, ServerSentEvent, SSEDecoder


class Rule(NamedTuple):
    """One rule, a stream that shows it, and the events (type, data) it makes."""

    says: str
    stream: bytes
    events: list[tuple[str, str]]


def message(data: str) -> tuple[str, str]:
    return ("message", data)


RULES = [
    # 9.2.5 Parsing an event stream
    Rule(
        "one leading U+FEFF BYTE ORDER MARK character must be ignored if any are present",
        b"\xef\xbb\xbfdata: a\n\n",
        [message("a")],
    ),
    Rule(
        "a second one is not ignored: the line's field has another name",
        b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n",
        [],
    ),
    Rule(
        "nor is one at the start of a later line",
        b"data: a\n\n\xef\xbb\xbfdata: b\n\n",
        [message("a")],
    ),
    Rule("a BOM in a value is a character of it", b"data:\xef\xbb\xbfa\n\n", [message("\ufeffa")]),
    Rule("lines end with U+000A LF", b"data: a\n\n", [message("a")]),
    Rule("lines end with U+000D CR", b"data: a\r\r", [message("a")]),
    Rule("lines end with U+000D CR U+000A LF", b"data: a\r\n\r\n", [message("a")]),
    Rule("the three may be mixed", b"data: a\rdata: b\r\ndata: c\n\r", [message("a\nb\nc")]),
    Rule("LF CR is two ends of lines", b"data: a\n\rdata: b\n\n", [message("a"), message("b")]),
    Rule(
        "CR CR LF is two ends of lines", b"data: a\r\r\ndata: b\n\n", [message("a"), message("b")]
    ),
    Rule(
        "streams must be decoded with UTF-8", "data: Grüße 🎉\n\n".encode(), [message("Grüße 🎉")]
    ),
    Rule(
        "UTF-8 decode replaces what is invalid",
        b"data: \xff|\xe2\x82|\xc0\xaf|\xed\xa0\x80\n\n",
        [message("\ufffd|\ufffd|\ufffd\ufffd|\ufffd\ufffd\ufffd")],
    ),
    Rule(
        "a sequence cut by the end of its line is replaced",
        b"data: \xf0\x9f\ndata: b\n\n",
        [message("\ufffd\nb")],
    ),
    Rule(
        "U+0085, U+2028, U+2029, U+000B and U+000C end no line",
        "data: a\u0085b\u2028c\u2029d\x0be\x0cf\n\n".encode(),
        [message("a\u0085b\u2028c\u2029d\x0be\x0cf")],
    ),
    Rule("a NUL is a character of a value", b"data: a\0b\n\n", [message("a\0b")]),
    # 9.2.6 Interpreting an event stream: lines
    Rule(
        "if the line is empty, dispatch the event",
        b"data: a\n\ndata: b\n\n",
        [message("a"), message("b")],
    ),
    Rule(
        "if the line starts with a colon, ignore the line",
        b": comment\n:\n::\ndata: a\n:data: b\n\n",
        [message("a")],
    ),
    Rule(
        "collect the characters before the first colon as the field's name",
        b"data: a:b: c\n\n",
        [message("a:b: c")],
    ),
    Rule("if value starts with a space, remove it", b"data: a\n\n", [message("a")]),
    Rule("only one space is removed", b"data:  a\n\n", [message(" a")]),
    Rule("the space is not needed", b"data:a\n\n", [message("a")]),
    Rule("a tab is no space", b"data:\ta\n\n", [message("\ta")]),
    Rule("a space at the end stays", b"data: a \n\n", [message("a ")]),
    Rule(
        "a line without a colon is a field's name with an empty value", b"data\n\n", [message("")]
    ),
    Rule("a name may not have a space before it", b" data: a\n\n", []),
    Rule("nor after it", b"data : a\n\n", []),
    # field names
    Rule(
        "field names are compared literally, with no case folding",
        b"Data: a\nDATA: b\ndata: c\n\n",
        [message("c")],
    ),
    Rule("event: set the event type buffer", b"event: chunk\ndata: a\n\n", [("chunk", "a")]),
    Rule("event: the last one counts", b"event: a\nevent: b\ndata: c\n\n", [("b", "c")]),
    Rule("event: it may come after the data", b"data: c\nevent: a\n\n", [("a", "c")]),
    Rule("event: its value is text too", "event: größe\ndata: a\n\n".encode(), [("größe", "a")]),
    Rule("event: an empty one is 'message'", b"event: x\nevent:\ndata: a\n\n", [message("a")]),
    Rule(
        "data: append the value and a LF; the last LF is removed",
        b"data: a\ndata: b\n\n",
        [message("a\nb")],
    ),
    Rule("data: empty lines count", b"data: a\ndata\ndata:\ndata: b\n\n", [message("a\n\n\nb")]),
    Rule("data: two empty ones are one LF", b"data\ndata\n\n", [message("\n")]),
    Rule("data: one empty one is an event with no data", b"data:\n\n", [message("")]),
    Rule("id: it makes no event", b"id: 1\n\ndata: a\n\n", [message("a")]),
    Rule("id: it changes none", b"data: a\nid: 1\nid\n\n", [message("a")]),
    Rule("retry: it makes no event", b"retry: 10\n\ndata: a\n\n", [message("a")]),
    Rule(
        "otherwise, the field is ignored",
        b"foo: bar\ndatas: x\ndat: y\ndata: a\n:\n\n",
        [message("a")],
    ),
    # dispatch
    Rule(
        "if the data buffer is empty, set the event type buffer to empty and return",
        b"event: x\n\ndata: a\n\n",
        [message("a")],
    ),
    Rule(
        "the event type does not outlive its event",
        b"event: x\ndata: a\n\ndata: b\n\n",
        [("x", "a"), message("b")],
    ),
    Rule("empty lines dispatch nothing more", b"\n\n\ndata: a\n\n\n\n", [message("a")]),
    Rule(
        "once the end of the file is reached, any pending data must be discarded",
        b"data: a\n\ndata: b\n",
        [message("a")],
    ),
    Rule("an unfinished line too", b"data: a\n\ndata: b", [message("a")]),
    # the specification's own examples
    Rule(
        "example: three lines of data",
        b"data: YHOO\ndata: +2\ndata: 10\n\n",
        [message("YHOO\n+2\n10")],
    ),
    Rule(
        "example: comment, id, then a leading space in an event that is never finished",
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
        [message("first event"), message("second event")],
    ),
    Rule(
        "example: two events, and a third that is never finished",
        b"data\n\ndata\ndata\n\ndata:",
        [message(""), message("\n")],
    ),
    Rule(
        "example: the space after the colon is ignored",
        b"data:test\n\ndata: test\n\n",
        [message("test"), message("test")],
    ),
    Rule(
        "example: named events",
        b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n",
        [("add", "73857293"), ("remove", "2153"), ("add", "113411")],
    ),
]


def read(*pieces: bytes) -> list[ServerSentEvent]:
    decoder = SSEDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.says)
def test_rule(rule: Rule) -> None:
    assert read(rule.stream) == rule.events


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.says)
def test_rule_holds_wherever_the_stream_is_cut(rule: Rule) -> None:
    assert read(*(rule.stream[i : i + 1] for i in range(len(rule.stream)))) == rule.events
    for i in range(len(rule.stream) + 1):
        assert read(rule.stream[:i], b"", rule.stream[i:]) == rule.events


class Reference:
    """The specification's algorithm, word for word, on a whole stream at once."""

    def read(self, stream: bytes) -> list[tuple[str, str]]:
        text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
        *lines, _ = re.split("\r\n|\n|\r", text)
        events = []
        data, event_type = "", ""
        for line in lines:
            if line == "":
                if data != "":
                    events.append((event_type or "message", data[:-1]))
                data, event_type = "", ""
                continue
            match = re.fullmatch("([^:]*)(?:: ?(.*))?", line, re.DOTALL)
            assert match is not None
            name, value = match[1], match[2] or ""
            if name == "event":
                event_type = value
            elif name == "data":
                data += value + "\n"
        return events


PIECES = st.sampled_from(
    [
        b"data",
        b"event",
        b"id",
        b"retry",
        b":",
        b": ",
        b" ",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\0",
        b"a",
        b"7",
        b"\xef\xbb\xbf",
        "é".encode(),
        "🎉".encode(),
        "\u2028".encode(),
        b"\xf0",
        b"\x9f",
        b"\xff",
        b"data: x\n\n",
    ]
)
STREAMS = st.lists(PIECES, max_size=40).map(b"".join) | st.binary(max_size=60)


@settings(max_examples=500)
@given(STREAMS)
def test_any_stream_is_read_as_the_reference_reads_it(stream: bytes) -> None:
    assert read(stream) == Reference().read(stream)


@settings(max_examples=300)
@given(STREAMS, st.data())
def test_any_cuts_make_no_difference(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert read(*pieces) == Reference().read(stream)


@settings(max_examples=100)
@given(STREAMS)
def test_every_byte_boundary_makes_no_difference(stream: bytes) -> None:
    whole = Reference().read(stream)
    for i in range(len(stream) + 1):
        assert read(stream[:i], stream[i:]) == whole
    assert read(*(stream[i : i + 1] for i in range(len(stream)))) == whole


@pytest.mark.parametrize(
    "flood",
    [
        b"x" * 100,
        b"data: " + b"x" * 100,
        b": " + b"x" * 100,
        b"data: xx\n" * 12,
        b"data\n" * 101,
        b"event: " + b"x" * 100,
    ],
)
def test_an_event_beyond_the_limit_is_an_error_however_it_comes(flood: bytes) -> None:
    for size in (1, 7, len(flood)):
        decoder = SSEDecoder(max_event_size=32)
        pieces = [flood[i : i + size] for i in range(0, len(flood), size)]
        with pytest.raises(EventTooLargeError, match="32 bytes"):
            [decoder.feed(piece) for piece in pieces]


def test_many_events_within_the_limit_are_none() -> None:
    decoder = SSEDecoder(max_event_size=32)
    stream = b"event: chunk\ndata: twelve bytes\n\n" * 1000
    assert len(decoder.feed(stream)) == 1000
    assert sum(len(decoder.feed(stream[i : i + 5])) for i in range(0, len(stream), 5)) == 1000


def calls_made(function: Callable[[], object]) -> int:
    """Return how many functions are called while `function` runs, those in C too."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("piece", [b"data:\n", b"data: x\n", b"x", b": x\n", b"data: x\n\n"])
@pytest.mark.parametrize("size", [1, 6, 1000])
def test_twice_the_bytes_are_twice_the_work(piece: bytes, size: int) -> None:
    def feed(times: int) -> None:
        decoder, stream = SSEDecoder(), piece * times
        for start in range(0, len(stream), size):
            decoder.feed(stream[start : start + size])

    once, twice = calls_made(lambda: feed(2000)), calls_made(lambda: feed(4000))
    assert once > 0
    assert twice < 2.1 * once
