"""The style that an answer carries: small, complete, and for nothing but the answer."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Final

import pytest

from runagent_jupyter.html import (
    css,
    folded_steps,
    json_tree,
    plain,
    question,
    record_table,
    render,
    saved_chat,
    status_line,
    with_copy_buttons,
    wrap,
)


def test_the_style_sheet_stays_below_its_root() -> None:
    around: list[str] = []  # the rules around a place in the sheet
    for before, brace in re.findall(r"([^{}]*)([{}])", css()):
        *_, selector = before.split(";")
        if brace == "}":
            around.pop()
            continue
        is_below = any(".runagent-markdown" in one for one in around)
        assert is_below or "runagent-" in selector or selector.startswith(("@media", "@keyframes"))
        around.append(selector)
    assert not around
    assert css().count(".runagent-markdown") < 12
    assert not re.search(r"url\(|@import|</", css())


def rules_of(content: str) -> str:
    """Return the style sheet that HTML carries."""
    return wrap(content).partition("</style>")[0]


@pytest.mark.parametrize(
    ("markdown", "needed"),
    [
        ("# A\n\n- b\n\n*c* [d](https://e.org)", "h1{"),
        ("|a|b|\n|-|-:|\n|1|2|", "[align=right]"),
        ("$x^2$", "ra-tex{"),
        ("```python\nreturn 1  # x\n```", ".ra-m{"),
        ("\u05d0 b", "unicode-bidi:plaintext"),
        ("- a\n\n* b", "ul + ul"),
        ("```\n\tx\n```", "tab-size:4"),
        ("# A\n\nb", "margin-top:0"),
        ("a\n\n---", "margin-bottom:0"),
        ("a\n\n" * 2_000, "content-visibility"),
    ],
)
def test_an_answer_carries_the_rules_that_it_needs(markdown: str, needed: str) -> None:
    rules = rules_of(render(markdown))
    assert needed in rules
    assert needed not in rules_of("<p>x</p>")
    assert "blockquote{all:" not in rules
    assert "blockquote{all:" in rules_of(render(f"> {markdown}"))
    assert variables_used(rules) <= set(re.findall(r"(--r\w\w):", rules)) | {"--rhe"}


def variables_used(rules: str) -> set[str]:
    return set(re.findall(r"var\((--r\w\w)", rules))


KINDS: Final = {
    "text": "Hello *a* **b** `c` [l](https://example.org)\n\nMore.",
    "lists": "# One\n\n## Two\n\n### Three\n\n- a\n- b\n  1. c\n\n> quote\n\n---",
    "tasks": "- [ ] open\n- [x] done",
    "table": "| a | b | c |\n|---|--:|:-:|\n| [x](https://example.org) | 2 | 3 |",
    "code": "Run:\n\n```python\n@cache\ndef f(x: int) -> str:\n    # why\n    return 'x' + str(1)\n```",
    "alerts": "> [!NOTE]\n> a\n\n> [!WARNING]\n> b\n\n> [!CAUTION]\n> c",
    "footnotes": "A claim[^1].\n\n[^1]: Its source.",
    "folds": "<think>\nWell.\n</think>\n\n<details><summary>More</summary>\n\ntext\n\n</details>",
    "formulas": "So $x^2$:\n\n$$\\begin{aligned} a &= b \\\\ c &= d \\end{aligned}$$",
    "tags": "<kbd>Ctrl</kbd> H<sub>2</sub>O <mark>m</mark>",
}


@pytest.mark.parametrize("kinds", [*combinations(KINDS, 1), *combinations(KINDS, 4)])
def test_an_answer_of_any_four_kinds_carries_less_than_two_kilobytes_of_style(
    kinds: tuple[str, ...],
) -> None:
    content = with_copy_buttons(render("\n\n".join(KINDS[kind] for kind in kinds)))
    assert len(rules_of(content).encode()) < 2_000


def test_an_answer_of_all_kinds_carries_less_than_two_and_a_half_kilobytes_of_style() -> None:
    content = with_copy_buttons(render("\n\n".join(KINDS.values())))
    assert len(rules_of(content).encode()) < 2_400


def test_the_script_that_copies_stands_once_in_an_answer() -> None:
    content = with_copy_buttons(render("```\na\n```\n\n" * 10))
    assert content.count('ra-copy"') == 10
    assert content.count("execCommand") == 1


@pytest.mark.parametrize(
    "content",
    [
        record_table([{"name": "a", "size": 1.5}]),
        json_tree({"a": [1, "b", None]}),
        plain("x"),
        folded_steps("1 step", [("search", json_tree({"q": "x"}))]) + status_line("after 1 s"),
    ],
    ids=["records", "tree", "plain", "steps"],
)
def test_an_object_carries_less_than_two_kilobytes_of_style(content: str) -> None:
    assert len(rules_of(content).encode()) < 2_000


def test_a_saved_chat_has_its_colours() -> None:
    shown = saved_chat("", question("why?"), "above")
    assert "background:#8882" in shown
    assert variables_used(shown) <= set(re.findall(r"(--r\w\w):", shown))
    assert "jp-OutputArea-child:has(" in shown
    assert "--runagent-" not in shown
