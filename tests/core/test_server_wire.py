"""Messages of `runagent serve` are read exactly, in pieces of any size, and errors are explained."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import websockets as ws
from wsproto import events
from wsproto.connection import Connection, ConnectionType
from wsproto.frame_protocol import Opcode

from runagent import (
    AgentNotFoundError,
    AuthenticationError,
    RunAgentError,
    StreamError,
    StreamEvent,
    TimeoutError,  # noqa: A004
    ValidationError,
)
from runagent.wire import Input
from runagent.wire.runagent_serve import RunAgentServeWire, entrypoints, served_agent
from runagent.wire.runagent_serve_events import WebSocketReader
from runagent.wire.runagent_serve_values import decode

WIRE = RunAgentServeWire("http://127.0.0.1:8450", "agent%201")
BIG = 1 << 26

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def reader(limit: int = BIG) -> WebSocketReader:
    return WIRE.reader(Input(b"{}"), limit)


def sent_by(read: WebSocketReader) -> list[Any]:
    """Return what a reader has to send, as the server reads it."""
    server = Connection(ConnectionType.SERVER)
    server.receive_data(read.outgoing() + read.closing())
    return list(server.events())


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def feed_all(read: WebSocketReader, data: list[bytes]) -> list[StreamEvent]:
    return [StreamEvent(*event) for piece in data for event in read.feed(piece)]


# requests


@pytest.mark.parametrize("base", ["http://h:1", "http://h:1/api"])
def test_the_paths_are_those_of_the_server(base: str) -> None:
    wire = RunAgentServeWire(base, "a")
    assert wire.invoke(Input(b"{}")).url == "http://h:1/api/v1/agents/a/run"
    assert wire.stream(Input(b"{}")).url == "http://h:1/api/v1/agents/a/run-stream"
    assert wire.identity().url == "http://h:1/api/v1/health"
    assert wire.entrypoints().url == "http://h:1/api/v1/agents/a/architecture"


def test_a_request_carries_the_input_untouched() -> None:
    request = WIRE.invoke(Input(b'{"n": 1.0}', 'min\u00ef"mal', b"[1,2]"))
    assert request.content is not None
    assert b'{"n": 1.0}' in request.content
    assert json.loads(request.content) == {
        "entrypoint_tag": 'min\u00ef"mal',
        "input_args": [1, 2],
        "input_kwargs": {"n": 1.0},
    }


def test_a_stream_begins_with_one_text_message_that_has_all_three_keys() -> None:
    (message, goodbye) = sent_by(reader())
    assert json.loads(message.data) == {
        "entrypoint_tag": "generic_stream",
        "input_args": [],
        "input_kwargs": {},
    }
    assert goodbye.code == 1000


def test_every_upgrade_has_a_nonce_of_its_own() -> None:
    first, second = (WIRE.stream(Input(b"{}")).headers["Sec-WebSocket-Key"] for _ in range(2))
    assert first != second


def test_only_an_accepted_upgrade_is_a_good_answer_to_a_stream() -> None:
    sent = WIRE.stream(Input(b"{}"))
    assert not WIRE.accepts(sent, 101, {}, streams=True)
    assert not WIRE.accepts(sent, 101, {"sec-websocket-accept": "wrong"}, streams=True)
    assert not WIRE.accepts(sent, 200, {}, streams=True)
    assert WIRE.accepts(sent, 200, {}, streams=False)


# values


@given(json_values)
def test_a_value_arrives_as_the_agent_gave_it(value: Any) -> None:
    content = ws.structured(value)
    for form in (content, json.loads(content)):
        decoded = decode(form)
        assert decoded == value
        assert type(decoded) is type(value)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ('{"type": "string", "payload": "\\"{\\\\\\"a\\\\\\": 1}\\""}', '{"a": 1}'),
        ('{"type": "string", "payload": "\\"42\\""}', "42"),
        ({"type": "string", "payload": "not JSON"}, "not JSON"),
        ({"type": "string", "payload": "42"}, "42"),
        ({"type": "integer", "payload": 42}, 42),
        ('{"type": "number", "payload": "\\"inf\\""}', math.inf),
        ('{"type": "number", "payload": "\\"-inf\\""}', -math.inf),
        ({"type": "other", "payload": "1"}, {"type": "other", "payload": "1"}),
        ({"type": "string", "payload": "1", "more": 2}, {"type": "string", "payload": "1", "more": 2}),
        ({"answer": 1}, {"answer": 1}),
        ("plain text", "plain text"),
        ("[1, 2]", "[1, 2]"),
        (None, None),
    ],
)  # fmt: skip
def test_other_forms(content: Any, value: Any) -> None:
    assert decode(content) == value
    assert type(decode(content)) is type(value)


def test_nan_is_not_null() -> None:
    assert math.isnan(decode('{"type": "number", "payload": "null"}'))
    assert decode('{"type": "null", "payload": "null"}') is None


# answers


def answered(body: Any, status: int = 200) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return WIRE.answer(status, {}, raw)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ({"success": True, "data": ws.structured({"a": 1}), "request_id": "r"}, {"a": 1}),
        ({"success": True, "data": ws.structured("x")}, "x"),
        ({"success": True, "data": ws.structured({"success": False, "error": "no"})}, {"success": False, "error": "no"}),
        ({"success": True, "data": {"type": "array", "payload": "[1]"}}, [1]),
        ({"success": True, "data": {"result_data": {"data": ws.structured(5)}}}, 5),
        ({"success": True, "data": {"result_data": {"data": {"a": 1}}}}, {"a": 1}),
        ({"success": True, "output_data": ws.structured(True)}, True),
        ({"success": True, "data": None}, None),
        ({"answer": "as it is"}, {"answer": "as it is"}),
    ],
)  # fmt: skip
def test_good_answers_in_every_shape(body: Any, value: Any) -> None:
    result = answered(body)
    assert result.value == value
    assert result.result == (value if isinstance(value, dict) else {"result": value})
    assert result.raw == body


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'"x"', b'{"success": tr'])
def test_a_good_status_with_another_body_is_an_invalid_response(body: bytes) -> None:
    with pytest.raises(RunAgentError) as caught:
        answered(body)
    assert caught.value.code == "INVALID_RESPONSE"


@pytest.mark.parametrize(
    ("error", "kind", "code", "message"),
    [
        ({"code": "INTERNAL_ERROR", "message": "boom"}, RunAgentError, "INTERNAL_ERROR", "boom"),
        ({"code": "PERMISSION_ERROR", "message": "no"}, AuthenticationError, "PERMISSION_ERROR", "no"),
        ({"code": "TIMEOUT_ERROR", "message": "late"}, TimeoutError, "TIMEOUT_ERROR", "late"),
        ("plain", RunAgentError, None, "plain"),
    ],
)  # fmt: skip
def test_a_failure_with_status_200(
    error: Any, kind: type[RunAgentError], code: str | None, message: str
) -> None:
    with pytest.raises(RunAgentError) as caught:
        answered({"success": False, "data": None, "error": error, "request_id": "r-1"})
    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.message) == (code, message)


@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "says"),
    [
        (404, {"error": {"code": "NOT_FOUND", "message": "Entrypoint nope not found"}}, ValidationError, "NOT_FOUND", "nope"),
        (404, {"error": {"code": "NOT_FOUND", "message": "Agent x not found"}}, AgentNotFoundError, "NOT_FOUND", "Agent x"),
        (404, {"detail": "Not Found"}, AgentNotFoundError, None, "'agent 1'"),
        (400, {"error": {"code": "VALIDATION_ERROR", "message": "Can't use it"}}, ValidationError, "VALIDATION_ERROR", "Can't"),
        (400, {"detail": "There was an error parsing the body"}, ValidationError, None, "parsing the body"),
        (422, {"detail": [{"loc": ["body", "entrypoint_tag"], "msg": "Field required"}]}, ValidationError, None, "body.entrypoint_tag: Field required"),
        (422, {"detail": ["odd"]}, ValidationError, None, "odd"),
        (401, {"message": "who are you"}, AuthenticationError, None, "who are you"),
        (403, b"", AuthenticationError, None, "refused to stream"),
        (500, b"Internal Server Error", RunAgentError, "AGENT_ERROR", "Internal Server Error"),
        (502, b"<html>Bad Gateway</html>", RunAgentError, None, "Bad Gateway"),
        (200, b"<html>hello</html>", RunAgentError, "INVALID_RESPONSE", "hello"),
    ],
)  # fmt: skip
def test_refusals(
    status: int, body: Any, kind: type[RunAgentError], code: str | None, says: str
) -> None:
    error = WIRE.error(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())
    assert type(error) is kind
    assert error.code == code
    assert error.status_code == status
    assert says in str(error)


def test_entrypoints_are_read() -> None:
    found = entrypoints(
        b'{"success":true,"data":{"agent_id":"a","entrypoints":['
        b'{"file":"agent.py","module":"f","tag":"generic","extractor":{}},{"tag":"x_stream"}]}}'
    )
    assert [(entry.tag, entry.file, entry.module, entry.streams) for entry in found] == [
        ("generic", "agent.py", "f", False),
        ("x_stream", None, None, True),
    ]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"data": null}', b'{"data": {"entrypoints": [1]}}']
)
def test_what_lists_no_entrypoints(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        entrypoints(body)


@pytest.mark.parametrize(
    ("body", "agent_id"),
    [
        (b'{"server": "RunAgent FastAPI Local Server", "agent_id": "a"}', "a"),
        (b'{"status": "healthy"}', None),
        (b'{"status": "healthy", "agent_id": "a"}', None),
        (b"", None),
        (b"[]", None),
    ],
)
def test_only_its_own_health_shows_what_a_server_is(body: bytes, agent_id: str | None) -> None:
    assert served_agent(body) == agent_id


# streams


CHUNKS: list[Any] = ["a", "ü\U0001f600", 1, None, {"content": "x"}, [1, "2"], '{"a": 1}', ""]
EXPECTED = [
    StreamEvent("start", {"type": "status", "status": "stream_started", "invocation_id": "i-1"}),
    StreamEvent("chunk", "a", "a"),
    StreamEvent("chunk", "ü\U0001f600", "ü\U0001f600"),
    StreamEvent("chunk", 1, "1"),
    StreamEvent("chunk", None, None),
    StreamEvent("chunk", {"content": "x"}, "x"),
    StreamEvent("chunk", [1, "2"], '[1, "2"]'),
    StreamEvent("chunk", '{"a": 1}', '{"a": 1}'),
    StreamEvent("chunk", "", ""),
]
GOOD = ws.STARTED + b"".join(map(ws.chunk, CHUNKS))


def test_a_stream_cut_at_every_byte() -> None:
    for cut in range(len(GOOD)):
        assert feed_all(reader(), [GOOD[:cut], GOOD[cut:]]) == EXPECTED


@given(st.lists(st.integers(0, len(GOOD)), max_size=30))
def test_a_stream_in_any_pieces(cuts: list[int]) -> None:
    assert feed_all(reader(), pieces(GOOD, cuts)) == EXPECTED


@given(
    st.text(),
    st.lists(st.integers(0, 40), max_size=6),
    st.lists(st.integers(0, 600), max_size=20),
    st.binary(max_size=125),
)
def test_fragments_with_pings_between_them(
    text: str, sizes: list[int], cuts: list[int], payload: bytes
) -> None:
    frame = json.dumps({"type": "data", "content": ws.structured(text)}, ensure_ascii=False)
    data = ws.fragments(frame, *sizes, between=ws.ping(payload))
    read = reader()
    read.outgoing()
    assert feed_all(read, pieces(data, cuts)) == [StreamEvent("chunk", text, text)]
    pongs = sent_by(read)[:-1]
    assert [(type(pong), pong.payload) for pong in pongs] == [(events.Pong, payload)] * len(sizes)


def test_the_end_is_announced_and_nothing_after_it_counts() -> None:
    read = reader()
    found = feed_all(read, [ws.stream("a") + ws.chunk("b") + ws.close(1011)])
    assert [event.kind for event in found] == ["start", "chunk", "done"]
    assert found[-1].value["execution_time"] == 0.5


def test_unknown_frames_are_passed_on() -> None:
    frames = [{"type": "news", "x": 1}, "[1]"]
    data = [*map(ws.message, frames), ws.status("stream_progress", p=5)]
    found = feed_all(reader(), data)
    assert [event.kind for event in found] == ["news", "message", "stream_progress"]
    assert [event.text for event in found] == [None, None, None]


def test_other_keys_of_chunks() -> None:
    frames = [{"type": "data", key: ws.structured("x")} for key in ("data", "payload", "delta")]
    found = feed_all(reader(), [b"".join(map(ws.message, frames))])
    assert [event.text for event in found] == ["x", "x", "x"]


def failure(data: bytes, limit: int = BIG) -> tuple[RunAgentError, WebSocketReader]:
    read = reader(limit)
    read.outgoing()
    ((kind, value, _),) = read.feed(data)
    assert kind == "error"
    return read.failure(value), read


@pytest.mark.parametrize(
    ("frame", "kind", "code", "message"),
    [
        ({"type": "error", "error": "Streaming error: boom"}, StreamError, None, "Streaming error: boom"),
        ({"type": "error", "error": {"code": "C", "message": "m"}}, StreamError, "C", "m"),
        ({"type": "error", "message": "m", "code": "X"}, StreamError, "X", "m"),
        ({"type": "error", "detail": "Entrypoint nope not found"}, ValidationError, "NOT_FOUND", "Entrypoint nope not found"),
        ({"type": "error", "detail": "Missing required field: x"}, ValidationError, "VALIDATION_ERROR", "Missing required field: x"),
        ({"type": "status", "status": "stream_failed", "error": "m"}, StreamError, None, "m"),
        ({"type": "status", "status": "stream_interrupted"}, StreamError, None, "The stream failed: stream_interrupted"),
    ],
)  # fmt: skip
def test_error_frames(
    frame: Any, kind: type[RunAgentError], code: str | None, message: str
) -> None:
    error, _ = failure(ws.message(frame))
    assert type(error) is kind
    assert (error.code, error.message) == (code, message)


@pytest.mark.parametrize(
    "frame", [{"type": "error"}, {"type": "error", "error": None}, {"type": "error", "error": 5}]
)
def test_an_error_that_says_nothing_is_an_error_all_the_same(frame: Any) -> None:
    error, _ = failure(ws.message(frame))
    assert type(error) is StreamError
    assert error.message


@pytest.mark.parametrize(
    ("code", "reason", "says"),
    [
        (1000, None, "1000"),
        (1001, "going away", "1001, going away"),
        (1003, None, "1003"),
        (1009, "message too big", "larger than the server takes"),
        (1011, "keepalive ping timeout", "pauses"),
        (4000, "own code", "4000, own code"),
    ],
)
def test_a_close_before_the_end_is_a_cut_off_stream(
    code: int, reason: str | None, says: str
) -> None:
    error, read = failure(ws.close(code, reason))
    assert type(error) is StreamError
    assert error.code == "STREAM_CUT_OFF"
    assert says in str(error)
    assert read.closing() == b""


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (ws.frame(Opcode.TEXT, b"abcdx", second=0x80), 1002),  # masked by a server
        (ws.frame(Opcode.TEXT, b"x", first=0xC0), 1002),  # a reserved bit: no compression was offered
        (ws.frame(Opcode.CONTINUATION, b"x"), 1002),
        (ws.frame(Opcode.PING, b"x", first=0x00), 1002),  # a control frame in fragments
        (b"\x83\x00", 1002),  # an opcode that does not exist
        (b"\x81\x7e\x00\x01x", 1002),  # a length that is longer than it need be
        (ws.frame(Opcode.CLOSE, b"x"), 1002),
        (ws.frame(Opcode.TEXT, b"\xff\xfe"), 1007),
        (ws.frame(Opcode.BINARY, b"x"), 1003),
        (ws.message("not JSON"), 1000),
        (ws.message('{"type": "data"'), 1000),
        (ws.message("[" * 100_000), 1000),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_so(data: bytes, code: int) -> None:
    error, read = failure(data)
    assert type(error) is StreamError
    assert error.code == "INVALID_RESPONSE"
    assert error.message.startswith("The stream cannot be read")
    (goodbye,) = sent_by(read)
    assert goodbye.code == code


@pytest.mark.parametrize(
    "data",
    [
        ws.message("x" * 2001),
        ws.message("\u00e4" * 1001),
        ws.fragments("x" * 3000, 500, 500, 500, 500),
        b"\x81\x7f" + (1 << 62).to_bytes(8, "big") + b"x" * 2001,
    ],
)
def test_the_limit_is_in_bytes_and_holds_before_the_message_is_there(data: bytes) -> None:
    error, read = failure(data, limit=2000)
    assert error.code == "MESSAGE_TOO_LARGE"
    (goodbye,) = sent_by(read)
    assert goodbye.code == 1009


def test_a_message_of_the_very_limit_passes() -> None:
    data = ws.chunk("x" * 100)
    assert len(reader(len(data) - 4).feed(data)) == 1
