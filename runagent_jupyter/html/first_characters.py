"""Runs only those rules of the Markdown parser that the next character can begin.

markdown-it asks every rule at each line and at each mark. Most of them look at one character and
say no, which takes more time than all the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.ruler import Ruler
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

_LABEL_END: Final = "]"
"""Running text stops at it, as markdown-it looks for the end of a label between two rules."""

_BLOCKS: Final[Mapping[str, str]] = {
    "math": "$\\",
    "fence": "`~",
    "fold": "<",
    "note": "[",
    "blockquote": ">",
    "hr": "*-_",
    "list": "*+-0123456789",
    "reference": "[",
    "heading": "#",
    "open_table": "|",
}
"""The characters with which a line may begin that begins a block; any, for other blocks."""

_MARKS: Final[Mapping[str, str]] = {
    "newline": "\n",
    "math": "$\\",
    "bare_url": ":",
    "escape": "\\",
    "backticks": "`",
    "strikethrough": "~",
    "emphasis": "*_",
    "footnote": "[",
    "link": "[",
    "image": "!",
    "tag": "<",
    "autolink": "<",
    "entity": "&",
    "open_mark": "*_~`\\$[]!<&",
}
"""The characters with which a mark in running text may begin."""

_Rule = Callable[..., bool]


def run_by_first_character(parser: MarkdownIt) -> None:
    """Let a parser ask only the rules that can match, with the same results.

    Args:
        parser: A parser to which all rules have been added.
    """
    parser.block.ruler = _FixedRules(parser.block.ruler, _BLOCKS, _block_rule)
    marks = _FixedRules(parser.inline.ruler, _MARKS, _inline_rule)
    parser.inline.ruler = marks
    parser.inline.terminator_re = re.compile(f"[{re.escape(_LABEL_END + ''.join(marks.known))}]")


class _FixedRules(Ruler[Any]):
    """The rules of a parser that do not change any more, one for each chain.

    Args:
        rules: The rules of the parser.
        begins: The characters with which each of them may begin, by name.
        make: Makes one rule of those by character and those for all other characters.
    """

    def __init__(
        self,
        rules: Ruler[Any],
        begins: Mapping[str, str],
        make: Callable[[Mapping[str, Sequence[_Rule]], Sequence[_Rule]], _Rule],
    ) -> None:
        super().__init__()
        self._names = rules.get_active_rules()
        names = dict(zip(rules.getRules(), self._names, strict=True))
        self.known = sorted({mark for name in self._names for mark in begins.get(name, "")})
        self._chains: dict[str, list[_Rule]] = {}
        for chain in ("", "paragraph", "reference", "blockquote", "list"):
            found = [(rule, begins.get(names[rule], "")) for rule in rules.getRules(chain)]
            others = tuple(rule for rule, marks in found if not marks)
            table = {mark: tuple(_for(mark, found)) for mark in self.known}
            self._chains[chain] = [make(table, others)]

    def getRules(self, chainName: str = "") -> list[_Rule]:  # noqa: N802, N803  # markdown-it's names
        return self._chains[chainName]

    def get_active_rules(self) -> list[str]:
        return self._names


def _for(mark: str, found: Sequence[tuple[_Rule, str]]) -> Iterator[_Rule]:
    return (rule for rule, marks in found if not marks or mark in marks)


def _block_rule(table: Mapping[str, Sequence[_Rule]], others: Sequence[_Rule]) -> _Rule:
    def rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
        first = state.bMarks[start] + state.tShift[start]
        for one in table.get(state.src[first : first + 1], others):
            if one(state, start, end, silent):
                return True
        return False

    return rule


def _inline_rule(table: Mapping[str, Sequence[_Rule]], others: Sequence[_Rule]) -> _Rule:
    def rule(state: StateInline, silent: bool) -> bool:
        for one in table.get(state.src[state.pos], others):  # noqa: SIM110  # it takes half the time
            if one(state, silent):
                return True
        return False

    return rule
