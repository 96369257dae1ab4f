"""Every moment of a stream shows what the finished text shows, less what is not there yet."""

from __future__ import annotations

import pytest
from markdown_agent_answers import AGENT_ANSWERS
from markdown_answers import ANSWERS
from markdown_mixtures import mixture
from markdown_moments import faults
from markdown_unclosed import UNCLOSED
from safe_html import text_of
from specifications import examples

from runagent_jupyter.html import MarkdownStream

ALL = ANSWERS | AGENT_ANSWERS | UNCLOSED
MIXTURES = 200
WRONG = {27, 800, 887}
"""Mixtures in which a line that begins with a bar is a table at once, then text, and then a heading."""
EXAMPLES = [
    pytest.param(example["markdown"], id=f"{name}-{number}")
    for name in ("commonmark", "gfm")
    for number, example in examples(name).items()
]


@pytest.mark.parametrize("name", ALL)
def test_answers_are_right_in_every_moment(name: str) -> None:
    assert list(faults(ALL[name])) == []


@pytest.mark.parametrize("name", ALL)
def test_answers_without_their_last_newline_are_right_in_every_moment(name: str) -> None:
    assert list(faults(ALL[name].rstrip("\n"))) == []


@pytest.mark.parametrize("text", EXAMPLES[::10])
def test_some_examples_of_the_specifications_are_right_in_every_moment(text: str) -> None:
    assert list(faults(text)) == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_of_the_specifications_are_right_in_every_moment(text: str) -> None:
    assert list(faults(text)) == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("around", ["> {}", "- {}", "1. a\n\n   {}", "a\n\n{}", "> - {}"])
@pytest.mark.parametrize("name", ALL)
def test_answers_within_other_blocks_are_right_in_every_moment(name: str, around: str) -> None:
    before, margin = around.removesuffix("{}"), around.rpartition("\n")[2].removesuffix("{}")
    margin = "".join(">" if character == ">" else " " for character in margin)
    text = before + ALL[name].replace("\n", f"\n{margin}")
    assert list(faults(text)) == []


@pytest.mark.parametrize("seed", range(0, MIXTURES, 20))
def test_some_mixtures_are_right_in_every_moment(seed: int) -> None:
    assert list(faults(mixture(seed))) == []


@pytest.mark.parametrize(
    "before", ["<think>", "</details>", "> <details>\n> <summary>a</summary> "]
)
def test_some_mixtures_behind_the_marks_of_folds_are_right_in_every_moment(before: str) -> None:
    found = {seed: list(faults(before + mixture(seed))) for seed in range(2_000, 2_000 + MIXTURES)}
    assert not any(found.values()), found


@pytest.mark.exhaustive
@pytest.mark.parametrize("first", range(0, 5 * MIXTURES, MIXTURES))
def test_mixtures_are_right_in_every_moment(first: int) -> None:
    seeds = range(first, first + MIXTURES)
    found = {seed: list(faults(mixture(seed))) for seed in seeds}
    wrong = {seed: all_found for seed, all_found in found.items() if all_found}
    assert wrong.keys() == WRONG & set(seeds), wrong


def tail(text: str) -> str:
    stream = MarkdownStream()
    stream.feed(text)
    return stream.tail()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**bold `code` more", "<strong>bold <code>code</code> more</strong>"),
        ("***both", "<em><strong>both</strong></em>"),
        ("a *b __c* d", "a <em>b __c</em> d"),
        ("**bold*", "<strong>bold</strong>"),
        ("5 * 3 *x", "5 * 3 <em>x</em>"),
        ("``a ` b", "<code>a  b</code>"),
        ("an array[0", "an array0"),
        ("see [the `docs`](<https://exam", "see the <code>docs</code>"),
        ('see [it](https://example.com "Ti', "see it"),
        ("see [it][ref", "see it"),
        ("see [it] and", "see [it] and"),
        ("a footnote[^1", "a footnote"),
        ("<https://example.c", ""),
        ("a <b", "a"),
        ('a <span class="x', "a"),
        ("a < b", "a &lt; b"),
        ("AT&", "AT"),
        ("AT&T is", "AT&amp;T is"),
        ("a back\\", "a back"),
        (r"so $\sum_{i", r"so <code>\sum_{i</code>"),
        (r"so \(a_", "so <code>a</code>"),
        ("it costs $5 or", "it costs <span>$</span>5 or"),
        ("it costs $1", "it costs"),
        ("Door | Good for", "Door  Good for"),
        ("Wow", "Wow"),
        ("Wow!", "Wow"),
    ],
)
def test_half_of_something_is_shown_as_text_or_not_at_all(text: str, shown: str) -> None:
    assert tail(text) == (f'<p dir="auto">{shown}</p>\n' if shown else "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("- a\n- [", "a"),
        ("- a\n- [x", "a"),
        ("- a\n- ```py", "a"),
        ("- ```\n  x\n  ``", "x"),
        ("> a\n> 1", "a"),
        ("```py", ""),
        ("<think>1", "Thought"),
        ("<think>a</think>**", "Thought a"),
        ("<details><summary>T</summary> #", "T"),
        ("[label]:\nhttps://example.com\n'Tit", ""),
        ("```py\nx = 1\n#", "pyx = 1 #"),
        ("[label]: https:", ""),
        ('[label]: https://example.com\n"Tit', ""),
        ("- all *.py files\n- _x\n- last", "all *.py files _x last"),
        ("# A **b", "A b"),
        ("| a | b", "a b"),
        ("| a | *b |\n|---|-", "a b"),
        ("$$\nx_1 = *y", "x_1 = y"),
    ],
)
def test_half_of_a_block_shows_no_marks(text: str, shown: str) -> None:
    assert text_of(tail(text)).split() == shown.split()


def test_a_line_that_begins_with_a_bar_is_a_table_at_once() -> None:
    assert "<th>" in tail("| a")
    assert "<th>" in tail("text\n| a | b |\n|--")
    assert "<th>" not in tail("| a |\ntext")
    assert tail("| a |\n|---|\n| 1 | *2").count("<tr>") == 2


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("some **bo", "some <strong>bo</strong>"),
        ("some **", "some"),
        ("some *it and **bo", "some <em>it and <strong>bo</strong></em>"),
        ("some `co", "some <code>co</code>"),
        ("some `", "some"),
        ("a snake_case _it", "a snake_case <em>it</em>"),
        ("2 * 3 and ~~no", "2 * 3 and <s>no</s>"),
        ("see [the docs](https://exam", "see the docs"),
        ("![a cat](https://exam", "a cat"),
        ("text\n-", "text"),
        ("text\n==", "text"),
        ("text\n1.", "text"),
        ("text\n``", "text"),
        ("done **x** and `y` and", "done <strong>x</strong> and <code>y</code> and"),
    ],
)
def test_the_tail_closes_what_is_open(text: str, shown: str) -> None:
    stream = MarkdownStream()
    stream.feed(text)
    assert stream.tail() == f'<p dir="auto">{shown}</p>\n'


def test_an_open_block_of_code_is_code() -> None:
    stream = MarkdownStream()
    stream.feed("```python\nx = 1\n\n# no heading\n``")
    assert text_of(stream.tail()) == "pythonx = 1\n\n# no heading\n\n"


def test_an_open_formula_is_code_until_it_is_complete() -> None:
    stream = MarkdownStream()
    stream.feed("$$\n\\frac{1")
    assert "ra-math" not in stream.tail()
    assert "\\frac{1" in text_of(stream.tail())
    stream.feed("}{2}\n$$\n")
    assert "\\[\\frac{1}{2}\\]" in stream.html()
