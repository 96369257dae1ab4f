"""Markdown to safe HTML: this package beside markdown-it-py with nh3, by kind of text.

Code has no language here, because the peer highlights nothing. Formulas are recognized and checked,
but not typeset.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator

from benchmarks.measure import Limit, Table, interleave

_OURS = "runagent_jupyter"
_PEER = "markdown-it-py + nh3"
_SIZE = 100_000  # characters

_PROSE = (
    "## A heading\n\nThe *first* answer of [the agent](https://example.org/a?b=c) has **bold** words, "
    "`code`, and some more sentences, so that its paragraphs are as long as people write them. It "
    "goes on for a while, with commas, quotes (\"like this\") and a number such as 3.14.\n\n"
    "> A quotation, with *emphasis*.\n\n"
)
TEXTS = {
    "prose": _PROSE,
    "code": "Some text.\n\n```\n" + "    value = function(argument, other)  # why\n" * 25 + "```\n\n",
    "tables": "| Name | Value | Note |\n|:-----|------:|------|\n"
    + "| row | 1.5 | a *note* with `code` |\n" * 30
    + "\n",
    "lists": "- one item\n- another **item**\n  1. with a list\n  2. in it\n- [ ] to do\n\nText.\n\n",
    "formulas": "The sum $\\sum_{i=1}^n x_i$ is $\\frac{a}{b}$, so\n\n$$\nx^2 + y^2 = z^2\n$$\n\nholds.\n\n",
}
# Short strings of Markdown's marks, again and again: those that took this package, or the peer, the
# longest of all strings of up to three characters.
PATHOLOGICAL = (
    "#\n", "=\n", "$$a\n\n", "*[", "[", "!", "*_", "*\n[", "_\n!", "\\\n\n", ":\n\n", "~\n_", "##\n",
    "-\n+\n", "|\n", ">\n\n", "a\n\n", "`\n\n", "<\n\n", "![", "[]", "](", "**a", "- ", "> ",
)  # fmt: skip


def tables(*, rounds: int) -> Iterator[Table]:
    for name, text in TEXTS.items():
        yield _table(name, [_repeated(text)], rounds)
    for unit in PATHOLOGICAL:
        yield _table(f"{unit!r} repeated", [_repeated(unit)], rounds, most=1.0)


def _table(name: str, texts: list[str], rounds: int, most: float | None = None) -> Table:
    candidates = {_OURS: _ours(), _PEER: _peer()}
    costs = {
        candidate: lambda render=render: sum(_cost(render, text) for text in texts)
        for candidate, render in candidates.items()
    }
    samples = interleave(costs, rounds)
    limits = [Limit(_OURS, 1.5, _PEER)]
    if most is not None:
        limits.append(Limit(_OURS, most * 1e3))
    return Table(f"Markdown, 100 KB: {name}", "ms of CPU", samples, _PEER, limits)


def _ours() -> Callable[[str], str]:
    from runagent_jupyter.html import render

    return render


def _peer() -> Callable[[str], str]:
    import nh3
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    return lambda text: nh3.clean(markdown.render(text))


def _repeated(text: str) -> str:
    return (text * (_SIZE // len(text) + 1))[:_SIZE]


def _cost(render: Callable[[str], str], text: str) -> float:
    gc.collect()
    began = time.thread_time()
    render(text)
    return (time.thread_time() - began) * 1e3
