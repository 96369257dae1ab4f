"""Frames that wsproto does not see make the same events as they would by way of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runagent.results import Event
from runagent.wire.runagent_serve_events import WebSocketReader
from runagent.wire.websocket_frames import FrameSplitter

LIMIT = 100_000


def frame(first: int, content: bytes, *, masked: bool = False, bytes_of_size: int = 0) -> bytes:
    size = len(content)
    wanted = bytes_of_size or (0 if size < 126 else 2 if size < 1 << 16 else 8)
    short = {0: size, 2: 126, 8: 127}[wanted]
    head = bytes([first, short | (0x80 if masked else 0)])
    return head + (size.to_bytes(wanted, "big") if wanted else b"") + bytes(4) * masked + content


def chunk(text: Any) -> bytes:
    return json.dumps({"type": "data", "content": text}, ensure_ascii=False).encode()


TEXT, PART, REST, LAST = 0x81, 0x01, 0x00, 0x80
DONE = frame(TEXT, b'{"type": "status", "status": "stream_completed"}')
CHUNK = frame(TEXT, chunk("hello"))
FRAMES = [
    CHUNK,
    frame(TEXT, chunk("grün 🎉")),
    frame(TEXT, chunk("x" * 200)),
    frame(TEXT, chunk("x" * 66_000)),
    frame(TEXT, chunk("x" * LIMIT)),
    frame(TEXT, b""),
    frame(TEXT, b"no JSON"),
    frame(TEXT, b'{"content": "\xff"}'),
    frame(TEXT, chunk("hello"), masked=True),
    frame(TEXT, chunk("hello"), bytes_of_size=2),
    frame(TEXT, chunk("x" * 200), bytes_of_size=8),
    frame(TEXT | 0x40, chunk("hello")),
    frame(PART, chunk("hello")[:9]),
    frame(REST, chunk("hello")[9:12]),
    frame(LAST, chunk("hello")[12:]),
    frame(0x82, b"bytes"),
    frame(0x89, b"ping"),
    frame(0x8A, b"pong"),
    frame(0x88, b"\x03\xe8bye"),
    frame(0x83, b"an opcode that there is not"),
    DONE,
]


def events_of(reader: WebSocketReader, pieces: list[bytes]) -> tuple[list[Event], bytes, bytes]:
    """Return the events of a stream, and what the reader has sent."""
    found: list[Event] = []
    sent = reader.outgoing()
    for piece in pieces:
        found += reader.feed(piece)
        sent += reader.outgoing()
        if found and found[-1][0] in ("done", "error"):
            break
    return found, _unmasked(sent), _unmasked(reader.closing())


def _unmasked(sent: bytes) -> bytes:
    """Return the frames that a client has sent without their masks, which are random."""
    found = b""
    while sent:
        size, start = sent[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(sent[2:4], "big"), 4
        mask, content = sent[start : start + 4], sent[start + 4 : start + 4 + size]
        found += sent[:start] + bytes(a ^ mask[i % 4] for i, a in enumerate(content))
        sent = sent[start + 4 + size :]
    return found


class _Everything(FrameSplitter):
    """Leaves everything to wsproto."""

    def split(self, data: bytes) -> Any:
        yield data


def by_way_of_wsproto(pieces: list[bytes]) -> tuple[list[Event], bytes, bytes]:
    reader = WebSocketReader(b"{}", LIMIT)
    reader._frames = _Everything()
    return events_of(reader, pieces)


@given(st.lists(st.sampled_from(FRAMES), max_size=6), st.lists(st.integers(1, 70_000), max_size=4))
@example([frame(PART, chunk("hello")[:9]), CHUNK], [])
@example([frame(PART, chunk("hello")[:9]), frame(0x89, b""), frame(LAST, chunk("hello")[9:])], [])
def test_the_events_are_those_of_wsproto(frames: list[bytes], sizes: list[int]) -> None:
    data = b"".join([*frames, DONE])
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    pieces = [piece for piece in (*pieces, data[at:]) if piece]
    assert events_of(WebSocketReader(b"{}", LIMIT), pieces) == by_way_of_wsproto(pieces)


@pytest.mark.parametrize("content", FRAMES, ids=range(len(FRAMES)))
def test_every_cut(content: bytes) -> None:
    data = CHUNK + content + CHUNK + DONE
    for cut in range(1, min(len(data), 400)):
        pieces = [data[:cut], data[cut:]]
        found = events_of(WebSocketReader(b"{}", LIMIT), pieces)
        assert found == by_way_of_wsproto(pieces), cut


def test_whole_messages_do_not_go_through_wsproto(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = WebSocketReader(b"{}", LIMIT)
    monkeypatch.setattr(reader, "_connection", None)
    assert reader.feed(CHUNK * 3) == [("chunk", "hello", "hello")] * 3


def test_a_head_that_comes_byte_by_byte_is_read() -> None:
    data = frame(TEXT, chunk("x" * 66_000)) + DONE
    found, *_ = events_of(
        WebSocketReader(b"{}", LIMIT), [data[i : i + 1] for i in range(len(data))]
    )
    assert [kind for kind, *_ in found] == ["chunk", "done"]
