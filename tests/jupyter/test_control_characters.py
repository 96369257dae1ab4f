"""Control characters and terminal sequences never reach the reader, however they are split."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runagent_jupyter.control_characters import TextStream, strip_controls


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]8;;https://evil.example\x1b\\text\x1b]8;;\x1b\\", "text"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1bPq\x1b\\x\x1b(B", "x"),
        ("\x1b]8;;unfinished", "␛]8;;unfinished"),
        ("\x1b]a\x1b[0mb", "␛]ab"),
        ("\x1b", "␛"),
        ("a\rb\r\nc\n\td", "a\nb\nc\n\td"),
        ("a\x00\x07\x08\x7f\x85", "a␀␇␈␡⟨U+0085⟩"),
        ("a\u202eb\u2066c", "a⟨U+202E⟩b⟨U+2066⟩c"),
        ("\ud83d\ude00\udc00 \ud83d x\ud83d", "\U0001f600\ufffd \ufffd x\ufffd"),
        ("naïve 日本語 👩‍👩‍👧 שלום\u200f", "naïve 日本語 👩‍👩‍👧 שלום\u200f"),
    ],
)
def test_controls(text: str, expected: str) -> None:
    assert strip_controls(text) == expected
    for size in (1, 2, 3):
        stream = TextStream()
        chunks = [stream.feed(text[i : i + size]) for i in range(0, len(text), size)]
        assert "".join(chunks) + stream.finish() == expected


_ESCAPES = st.lists(
    st.sampled_from(
        [
            "\x1b",
            "[",
            "]",
            "0;1",
            "m",
            "8;;x",
            "\\",
            "\x07",
            "\x9b",
            "\x9d",
            "\x9c",
            "\r",
            "\n",
            "(",
            "B",
            "P",
            "\u202e",
            "\ud83d",
            "\ude00",
        ]
    )
).map("".join)


@settings(max_examples=500)
@given(_ESCAPES, st.lists(st.integers(1, 6), min_size=1))
def test_controls_may_be_split_anywhere(text: str, sizes: list[int]) -> None:
    stream = TextStream()
    shown, start = "", 0
    while start < len(text):
        size = sizes[start % len(sizes)]
        shown += stream.feed(text[start : start + size])
        start += size
    assert shown + stream.finish() == strip_controls(text)
