"""Markdown in chunks: the same HTML however it is cut, finished blocks final, work linear."""

from __future__ import annotations

import cProfile
import itertools
from collections.abc import Callable, Iterable

import pytest
from attacks import ATTACKS, Attack
from hypothesis import given, settings
from hypothesis import strategies as st
from safe_html import problems, text_of
from support.clock import FOR_EVER

from runagent_jupyter.html import MarkdownStream, highlighting, render


def chunks(text: str, sizes: Iterable[int]) -> list[str]:
    start = 0
    cut: list[str] = []
    for size in itertools.cycle(sizes):
        if start >= len(text):
            return cut
        cut.append(text[start : start + size])
        start += size
    return cut


def shown_by(
    parts: Iterable[str], look: Callable[[MarkdownStream], object] = lambda _: None
) -> str:
    """The final state of a display that follows the contract."""
    stream = MarkdownStream()
    blocks: list[str] = []
    for part in parts:
        blocks += stream.feed(part)
        look(stream)
    blocks += stream.finish()
    assert stream.tail() == ""
    for position, revised in stream.revised.items():
        blocks[position] = revised
    assert blocks == list(stream.blocks)
    assert "".join(blocks) == stream.html()
    return stream.html()


TOUR = """\
# Report

Some **bold** and `code`,
over two lines[^1].
| a | b |
|---|--:|
| 1 | $x$ |

```python
def f():

    return 1
```
- one

  ```sh
  ls

  pwd
  ```
- two
  1. inner
  2. [later][ref]

> quoted
lazy

$$
\\frac{1}{2}
- 1
$$
<details><summary>More</summary>

- one

```
</details>
```
</details> and on
<think>
A thought

of *two* paragraphs</think>
<!-- not

shown -->
> [!NOTE]
> H<sub>2</sub>O

```markdown
```py
x = 1
```

# no heading
```
\\begin{align}
a &= b \\label{a}

\\end{align}
1. first
2. second
***
    indented

    code

[^1]: A note.

    Its second paragraph.
[ref]: https://example.com
"""


# --- Every way to cut ---------------------------------------------------------------------------


@pytest.mark.parametrize("size", range(1, 40))
def test_the_size_of_chunks_does_not_matter(size: int) -> None:
    assert shown_by(chunks(TOUR, [size])) == render(TOUR)


@pytest.mark.exhaustive
@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_attacks_split_at_every_position(attack: Attack) -> None:
    text = attack.text()
    expected = render(text)
    step = max(1, len(text) // 200) if attack.category != "size" else len(text) // 7
    for position in range(0, len(text) + 1, step):
        assert shown_by([text[:position], text[position:]]) == expected


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_attacks_are_harmless_at_every_moment(attack: Attack) -> None:
    text = attack.text()
    size = max(1, len(text) // 200) if attack.category != "size" else len(text) // 7

    def look(stream: MarkdownStream) -> None:
        assert problems(stream.html()) == []

    shown_by(chunks(text, [size]), look)


LINES = st.sampled_from(
    [
        *(
            "text",
            "more *te",
            "xt* `co",
            "de`",
            "",
            "",
            "- a",
            "- b",
            "  inner",
            "  - nested",
            "* c",
        ),
        *("1. one", "2. two", "# head", "> quote", "```py", "```", "  ```", "~~~", "x = 1", "***"),
        *("---", "===", "| a | b |", "|---|---|", "$$", "\\[", "\\]", "$x$", "    code", "\tcode"),
        *(
            "[a]: https://example.com",
            "[a]",
            "[^1]: note",
            "![i](https://a.b)",
            "\x1b[1mx",
            "\r",
            "&amp;",
        ),
        *("<details>", "<summary>s</summary>", "x</details> y", "</details>", "- <details>"),
        *("<think>", "thought</think> answer", "<!-- no", "--> yes", "x <!-- y --> <sub>z"),
        *("```markdown", "> [!NOTE]", "\\begin{align}", "\\end{align}", "    more of the note"),
        *("[^2]: <kbd>x", "a<br>b</sub>", "www.a.org, a@b.org", "**\u300ca\u300d**\u5185"),
    ]
)
DOCUMENTS = st.lists(LINES, max_size=25).map("\n".join)
SIZES = st.lists(st.integers(1, 30), min_size=1, max_size=8)


@settings(max_examples=400)
@given(DOCUMENTS, SIZES)
def test_any_document_in_any_chunks(text: str, sizes: list[int]) -> None:
    def look(stream: MarkdownStream) -> None:
        assert problems(stream.tail()) == []

    assert shown_by(chunks(text, sizes), look) == render(text)


@settings(max_examples=200)
@given(
    st.lists(
        st.sampled_from([a.text() for a in ATTACKS if a.category != "size"]) | LINES, max_size=6
    ),
    SIZES,
)
def test_any_mixture_of_attacks_in_any_chunks(parts: list[str], sizes: list[int]) -> None:
    text = "\n".join(parts)
    assert shown_by(chunks(text, sizes)) == render(text)


# --- Cutting changes nothing --------------------------------------------------------------------

BLOCKS = (
    "A paragraph\nof two lines.",
    "# Heading",
    "Heading\n---",
    "- a\n- b\n\n  second paragraph\n- c",
    "1. a\n   - b\n\n     ```py\n     x = 1\n\n     y = 2\n     ```\n2. c",
    "> quote\nlazy\n> - list\n> - more",
    "```js\n# no heading\n\n- no list\n```",
    "~~~~\n~~~\n~~~~",
    "    indented\n\n    code",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "***",
    "$$\nx\n- y\n$$",
    "Text\n```\nfence\n```\ntext",
    "Text\n- list\n- list\n# heading\ntext\n> quote\n1. list",
    "10) ten\n11) eleven",
    "* a\n\n* b",
    "<details>\n<summary>s</summary>\n\n- a\n\n```\n</details>\n```\n\n</details>",
    "<think>\nfirst\n\nsecond\n</think>",
    "<!-- not\n\nshown -->",
    "Text\n<details>one line</details>",
    "```markdown\n```py\nx\n```\n\ny\n```",
    "$$\nx\n\ny\n$$",
    "\\begin{align}\nx\n\ny\n\\end{align}",
    "[^1]: a note\n\n    of two paragraphs",
    "> [!TIP]\n> quoted",
)


@pytest.mark.parametrize("first", BLOCKS)
@pytest.mark.parametrize("second", BLOCKS)
def test_blocks_look_the_same_alone_and_together(first: str, second: str) -> None:
    assert render(f"{first}\n# Break\n{second}") == render(first) + render("# Break") + render(
        second
    )
    # A list goes on with items and indented text after a blank line, as indented code does.
    begins_list = second[0] in "-1*" and second[:3] != "***"
    ends_open = first[0] in "-1*[" or first.startswith("    ") or first.endswith("list")
    if not (ends_open and (begins_list or second.startswith("    "))):
        assert render(f"{first}\n\n{second}") == render(first) + render(second)


def test_a_list_goes_on_after_a_blank_line() -> None:
    assert render("Text\n- a\n\n- b\n\n  c\n\n- d").count("<ul") == 1
    assert render("1. a\n\n   b\n\n2. c\n\n3) d").count("<ol") == 2
    assert render("- a\n\n* b\n\n+ c").count("<ul") == 3


def test_blocks_are_finished_as_early_as_possible() -> None:
    stream = MarkdownStream()
    assert stream.feed("# Head") == []
    assert len(stream.feed("ing\n")) == 1
    assert stream.feed("para\ngraph\n") == []
    assert len(stream.feed("```\n")) == 1
    assert stream.feed("code\n\n\n# code\n") == []
    assert len(stream.feed("```\n- a\n")) == 1
    assert stream.feed("\n- b\n\n  c\n\n") == []
    assert len(stream.feed("d\n")) == 1
    assert len(stream.feed("\n")) == 1
    assert stream.tail() == ""
    assert stream.finish() == []


# --- The tail -----------------------------------------------------------------------------------


def test_looking_at_the_tail_changes_nothing() -> None:
    def look(stream: MarkdownStream) -> None:
        assert stream.tail() == stream.tail()

    assert shown_by(chunks(TOUR, [3]), look) == render(TOUR)


# --- References ---------------------------------------------------------------------------------


def test_a_definition_after_its_use_revises_the_block() -> None:
    stream = MarkdownStream()
    first = stream.feed("see [this][1]\n\nother [text]\n\n")
    assert "href" not in "".join(first)
    stream.feed("[1]: https://example.com\n")
    assert stream.revised == {}
    stream.finish()
    assert list(stream.revised) == [0]
    assert 'href="https://example.com"' in stream.revised[0]
    assert stream.html() == render("see [this][1]\n\nother [text]\n\n[1]: https://example.com\n")


def test_the_first_definition_wins_and_the_tail_defines_nothing() -> None:
    stream = MarkdownStream()
    stream.feed("[a]: https://tail.exam")
    assert stream.tail() == ""
    stream.feed("ple\n\n[a]: https://second.example\n\nSee [a]")
    assert 'href="https://tail.example"' in stream.tail()
    assert "second" not in stream.html()


# --- Degenerate text ----------------------------------------------------------------------------


def repeat(unit: str, size: int) -> str:
    return (unit * (size // len(unit) + 1))[:size]


DEGENERATE: dict[str, Callable[[int], str]] = {
    "one line": lambda size: repeat("word and **bold** x ", size),
    "one word": lambda size: "x" * size,
    "one paragraph": lambda size: repeat("short line\n", size),
    "open fence": lambda size: "```python\n" + repeat("def f(a): return a\n", size),
    "open fence, one line": lambda size: "```\n" + "x" * size,
    "list": lambda size: repeat("- item\n", size),
    "loose list": lambda size: repeat("1. item\n\n", size),
    "one item": lambda size: "- a\n" + repeat("  b\n\n", size),
    "one item with an open fence": lambda size: "- ```py\n" + repeat("  x = 1\n\n", size),
    "table": lambda size: "|a|b|\n|-|-|\n" + repeat("|1|2|\n", size),
    "lazy quote": lambda size: "> a\n" + repeat("b\n", size),
    "open formula": lambda size: "$$\n" + repeat("x +\n", size),
    "blank lines in a list": lambda size: "- a\n" + "\n" * size,
    "growing nesting": lambda size: "".join("  " * n + "- a\n" for n in range(int(size**0.5))),
    "open details": lambda size: "<details>\n" + repeat("- a\n\nb\n\n", size),
    "open thought": lambda size: "<think>\n" + repeat("a *b*\n\n", size),
    "open thought, one line": lambda size: "<think>" + repeat("word and ", size),
    "open comment": lambda size: "<!--\n" + repeat("a\n\n", size),
    "one note": lambda size: "[^1]: a\n" + repeat("    b\n\n", size),
    "controls": lambda size: repeat("\x1b]8;;", size),
    **{
        f"repeated {unit!r}": lambda size, unit=unit: repeat(unit, size)  # type: ignore[misc]
        for unit in (
            *(
                ">",
                "> ",
                "- ",
                "[",
                "![",
                "*",
                "**a ",
                "*a _b ",
                "`",
                "`a",
                "``a`",
                "$",
                "$a ",
                "\\(",
            ),
            *(
                "$$\n",
                "\\[\n",
                "[a](",
                "[a](<",
                "[a][",
                "<",
                "&",
                "~~a ",
                "\\",
                "http://",
                "[a]",
                "{",
            ),
            *(
                "[a]: x\n",
                "[a]: https://x.org\n",
                "# \n",
                "- a\n  - b\n",
                "|",
                "|-",
                "```\n",
                "    ",
            ),
            *(
                "\n",
                "- [ ] ",
                "a\n===\n",
                "***",
                "![a](https://x.y)",
                "> ```\n",
                "\x9d",
                "\r",
                "\u202e",
            ),
            *("<details>\n", "<think>\n", "</details>\n", "<sub>", "<sub x='", "x <!-- "),
            *("```markdown\n", "[^1]: a\n", "> [!NOTE]\n", "www.a.b ", "a@b.c@"),
            *("\\begin{align}\n", "$\\abs{", "**\u300ca\u300d"),
        )
    },
}


def calls_of(function: Callable[[], str]) -> tuple[str, int]:
    """Return what a call returns and how many Python and C functions it calls.

    The number is a measure of work that no clock disturbs.
    """
    profile = cProfile.Profile(subcalls=False)  # tables of callers are not needed
    shown = profile.runcall(function)
    return shown, sum(entry.callcount for entry in profile.getstats())


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_text_is_cut_alike_with_a_short_tail_and_linear_work(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("_SECONDS", "_SECONDS_OF_DOCUMENT"):  # counting calls is slow
        monkeypatch.setattr(highlighting, limit, FOR_EVER)
    render(TOUR)
    longest = 0

    def look(stream: MarkdownStream) -> None:
        nonlocal longest
        longest = max(longest, stream.tail_size)

    def show(text: str) -> tuple[str, int]:
        parts = chunks(text, [997, 5, 1])
        return calls_of(lambda: shown_by(parts, look))

    text = DEGENERATE[name](50_000)
    shown, work = show(text)
    assert longest <= 41_000
    assert shown == render(text)
    assert problems(shown) == []
    # Twice the text: at most three times the work, where its square would be four times.
    _, half = show(DEGENERATE[name](25_000))
    assert work < 3 * half + 10_000


@pytest.mark.parametrize(
    "name",
    [
        *("one line", "one word", "one paragraph", "open fence, one line", "list", "one item"),
        *("table", "lazy quote", "open details", "open thought", "one note"),
    ],
)
def test_degenerate_text_is_shown_in_full(name: str) -> None:
    text = DEGENERATE[name](60_000)
    shown = text_of(render(text))
    for word in ("word", "x", "short", "item", "b", "1"):
        assert shown.count(word) >= text.count(word)


def test_a_long_table_repeats_its_header() -> None:
    text = "|head|b|\n|-|-|\n" + "|1|2|\n" * 5_000
    shown = render(text)
    assert shown.count("<table") == shown.count("<th>head</th>") > 1
    assert shown.count("<td>1</td>") == 5_000


def test_a_long_fence_goes_on_in_one_look() -> None:
    shown = render("```python\n" + "x = 1\n" * 10_000 + "```\nafter")
    assert shown.count('class="ra-code"') == 1
    assert shown.count('class="ra-code ra-continued"') > 1
    assert shown.count(">python<") == 1
    assert shown.endswith('<p dir="auto">after</p>\n')
