"""Markdown to safe HTML: this package beside markdown-it-py with nh3, by kind of text.

Code has no language beside the peer, because that highlights nothing. Formulas are recognized and
checked, but not typeset.
"""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.measure import Limit, Table, interleave

_OURS = "runagent_jupyter"
_PEER = "markdown-it-py + nh3"

_PROSE = """## A heading

The *first* answer of [the agent](https://example.org/a?b=c) has **bold** words, `code`, and some
more sentences, so that its paragraphs are as long as people write them. It goes on for a while,
with commas, quotes ("like this") and a number such as 3.14.

> A quotation, with *emphasis*.

"""
_LIST = """- one item
- another **item**
  1. with a list
  2. in it
- [ ] to do

Text.

"""
_FORMULAS = r"""The sum $\sum_{i=1}^n x_i$ is $\frac{a}{b}$, so

$$
x^2 + y^2 = z^2
$$

holds.

"""
_LINE = "    value = function(argument, other)  # why\n"
_TABLE = "| Name | Value | Note |\n|:-----|------:|------|\n"
TEXTS = {
    "prose": _PROSE,
    "code": f"Some text.\n\n```\n{_LINE * 25}```\n\n",
    "tables": _TABLE + "| row | 1.5 | a *note* with `code` |\n" * 30 + "\n",
    "lists": _LIST,
    "formulas": _FORMULAS,
}
# Short strings of Markdown's marks, again and again: those that took this package, or the peer, the
# longest of all strings of up to three characters, and some that come close.
PATHOLOGICAL = (
    *(
        "#\n",
        "=\n",
        "##\n",
        "|\n",
        "$$a\n\n",
        "\\\n\n",
        ":\n\n",
        ">\n\n",
        "a\n\n",
        "`\n\n",
        "<\n\n",
    ),
    *("*\n[", "_\n!", "~\n_", "-\n+\n", "*[", "[", "![", "[]", "](", "!", "*_", "**a"),
    *("- \\\n- ", "\n`\n", "\\(", "(><", '"<)> (', "<\n->*"),
)
# The peer drops what is nested in more than 20 levels, and so has little to do.
NESTED = ("- ", "> ", "1. ")


def tables(*, rounds: int) -> Iterator[Table]:
    ours, peer = _ours(), _peer()
    warm_up = int(rounds > 1)
    texts = {f"Markdown, {name}": _repeated(text, 100_000) for name, text in TEXTS.items()}
    for unit in PATHOLOGICAL:
        texts[f"Markdown, {unit!r} again and again"] = _repeated(unit, 20_000)
    for name, text in texts.items():
        costs = {_OURS: partial(_cost, ours, text), _PEER: partial(_cost, peer, text)}
        size = f"{name}, {len(text) // 1000} KB"
        limit = Limit(_OURS, 1.5, _PEER)
        yield Table(size, "ms of CPU", interleave(costs, rounds, warm_up), _PEER, [limit])
    repeated: dict[str, Callable[[], float]] = {
        repr(unit): partial(_cost, ours, _repeated(unit, 100_000))
        for unit in (*PATHOLOGICAL, *NESTED)
    }
    rounds_so_far = itertools.count()
    repeated["small blocks of slow code"] = lambda: _cost(ours, _slow_code(next(rounds_so_far)))
    samples = interleave(repeated, max(1, rounds // 3), warm_up)
    limits = [Limit(name, 1_000) for name in samples]
    yield Table(
        f"{_OURS}, strings again and again, 100 KB", "ms of CPU", samples, "'a\\n\\n'", limits
    )


def _ours() -> Callable[[str], str]:
    from runagent_jupyter.html import render

    return render


def _peer() -> Callable[[str], str]:
    import nh3
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    return lambda text: nh3.clean(markdown.render(text))


def _repeated(text: str, size: int) -> str:
    return (text * (size // len(text) + 1))[:size]


def _slow_code(number: int) -> str:
    """Write 100 KB of blocks that Pygments is slow with, and that were never seen before."""
    block = "```c#\n" + "a\n" * 240
    return "".join(f"{block}{number} {index}\n```\n\n" for index in range(200))


def _cost(render: Callable[[str], str], text: str) -> float:
    gc.collect()
    began = time.thread_time()
    render(text)
    return (time.thread_time() - began) * 1e3
