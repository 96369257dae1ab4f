"""Colour for code: the same text, at a bounded price, whatever its language and its content."""

from __future__ import annotations

import html
import time
from collections.abc import Iterator

import pytest
from safe_html import text_of
from support.clock import FOR_EVER, SOON

from runagent_jupyter.html import MarkdownStream, highlighting, render
from runagent_jupyter.html.highlighting import LONGEST, highlight

LANGUAGES = sorted(highlighting._LANGUAGES)
ORDINARY = 'x = "a" # <b>\nif x then { y(1.5) }\n\n$ls -l\n'

# Pygments' lexers alone take minutes or hours for these.
HOSTILE = {
    "newlines in C": ("c", "\n" * 20_000),
    "spaces in C++": ("c++", "a" + " " * 20_000 + "("),
    "short lines in C#": ("c#", "a\n" * 10_000),
    "no value in INI": ("cfg", "a=" * 10_000),
    "newlines in MATLAB": ("matlab", "\n" * 20_000 + "x"),
    "one line in a console": ("console", "x " * 10_000),
    "lines in a console": ("console", "{" * 1_000 + ("\n" + "{" * 1_000) * 20),
    "digits in OCaml": ("ocaml", "0" * 20_000),
    "one word in a makefile": ("make", "A_" * 10_000),
}


@pytest.fixture(autouse=True)
def no_verdicts() -> Iterator[None]:
    """Let each test judge for itself."""
    highlighting._verdicts.clear()
    yield
    highlighting._verdicts.clear()


@pytest.mark.parametrize("name", HOSTILE)
def test_code_that_takes_its_lexer_long_is_bounded(name: str) -> None:
    language, text = HOSTILE[name]
    began = time.thread_time()
    shown = highlight(text, language)
    assert time.thread_time() - began < SOON
    assert text_of(shown) == text


def test_code_that_took_too_long_is_plain() -> None:
    language, text = HOSTILE["short lines in C#"]
    assert highlight(text, language) == text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_keeps_the_text(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(highlighting, "_SECONDS", FOR_EVER)
    text = ORDINARY * 60  # lexers without rules get it in parts
    assert html.unescape(text_of(f"<pre>{highlight(text, language)}</pre>")) == text


def test_a_verdict_holds_when_the_machine_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "def f(): pass\n" * 500
    with monkeypatch.context() as slow:
        slow.setattr(highlighting, "_SECONDS", 0)
        slow.setattr(highlighting, "_SECONDS_PER_CHARACTER", 0)
        assert highlight(text, "python") == text
    assert highlight(text, "python") == text
    assert "<b>" in highlight(text + "\n", "python")


class _Clock:
    """A clock that goes on by a millisecond each time it is read."""

    def __init__(self) -> None:
        self._now = 0.0

    def thread_time(self) -> float:
        self._now += 0.001
        return self._now

    perf_counter = thread_time


@pytest.mark.parametrize("indent", ["", "  "])
def test_many_small_blocks_share_the_time_of_one_document(
    indent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(highlighting, "time", _Clock())
    item = "- item\n" if indent else ""
    text = "".join(
        f"{item}{indent}```python\n{indent}if x{number}: pass\n{indent}```\n\n"
        for number in range(400)
    )
    shown = render(text)
    assert 5 < shown.count("<b>if") < 40
    assert text_of(shown).count("pass") == 400
    assert render(text) == shown  # the same blocks have colour again
    stream = MarkdownStream()
    for start in range(0, len(text), 1_000):
        stream.feed(text[start : start + 1_000])
    stream.finish()
    assert stream.html() == shown


def test_the_end_of_a_very_long_block_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(highlighting, "_SECONDS", FOR_EVER)
    line = "def f(): pass\n"
    blocks = render("```python\n" + line * 4_000 + "```\n").split('<div class="ra-code')
    coloured = [text_of(block).count("pass") for block in blocks if "<b>def" in block]
    assert 0 < sum(coloured) * len(line) <= LONGEST
    assert text_of("".join(blocks)).count("pass") == 4_000
    assert all("<b>def" not in block for block in blocks[-2:])


def test_a_token_beyond_the_window_keeps_its_text() -> None:
    text = "/* " + "word " * 3_000 + "*/ int x;"
    assert text_of(highlight(text, "c")) == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("1. a\n\n   ```js\n   x\n   ", "\n   z\n   ```\n\n   *more*\n\n2. b\n\n*last*\n"),
        ("- ```js\n  ", "\n  ```\n- b\n\n*last*\n"),
        ("- a\n  - b\n\n    ```js\n    ", "\n    ```\n- c\n\n*last*\n"),
    ],
)
def test_a_very_long_line_of_code_in_a_list_ends_with_its_block(before: str, after: str) -> None:
    text = before + "y = 1; " * 3_000 + after
    shown = render(text)
    assert "<em>last</em>" in shown
    assert ("<em>more</em>" in shown) == ("*more*" in text)
    assert text_of(shown).count("y") == 3_000
    assert "```" not in shown
    stream = MarkdownStream()
    for start in range(0, len(text), 613):
        stream.feed(text[start : start + 613])
    stream.finish()
    assert stream.html() == shown
