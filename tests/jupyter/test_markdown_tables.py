"""Tables are parsed to the tokens that markdown-it makes of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from markdown_it.rules_block import StateBlock, table

from runagent_jupyter.html import render
from runagent_jupyter.html.block_syntax import bounded_table
from runagent_jupyter.html.parser import parser

HEADER = "| a | b |\n|:--|--:|\n"
ROWS = (
    *(
        "| 1 | 2 |",
        "| 1 |    ",
        "1 | 2 | 3",
        "| 1 | 2 | 3 |",
        "||   |",
        "|     ",
        "word",
        r"\\ | \| |",
    ),
    *(
        r"| a\|b | `c|d` |",
        "  | 1 | 2",
        "    | 1 | 2",
        "\t| 1 |",
        "> quoted",
        "- item",
        "*    ",
        "",
    ),
    *("# heading", "```python", "---", "<details>", "[x]: /y", "| \u00a0 | \u2003 |", "$$ x $$"),
)


@pytest.mark.parametrize("seed", range(20))
def test_the_rows_are_those_of_markdown_it(seed: int) -> None:
    chosen = random.Random(seed)
    for _ in range(50):
        text = HEADER + "\n".join(chosen.choices(ROWS, k=chosen.randrange(6)))
        kind = chosen.choice(("root", "paragraph", "list"))
        found = parsed(bounded_table, text, kind)
        assert found == parsed(table, text, kind), text


def parsed(rule: Callable[..., bool], text: str, kind: str) -> tuple[Any, ...]:
    state = StateBlock(text, parser(), {}, [])
    state.parentType = kind
    assert rule(state, 0, state.lineMax, False)
    tokens = [
        (token.type, token.tag, token.nesting, token.level, token.attrs, token.content, token.block)
        for token in state.tokens
    ]
    return state.line, state.level, state.parentType, tokens, state.tokens[0].map


def test_a_table_has_the_rows_before_what_ends_it() -> None:
    shown = render(f"{HEADER}| 1 | 2 |\n| 3 |\n- item")
    assert shown.count("<tr>") == 3
    assert '<td>3</td>\n<td align="right"></td>' in shown
    assert "<li>item</li>" in shown
