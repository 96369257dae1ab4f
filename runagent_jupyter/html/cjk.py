"""Emphasis beside Chinese, Japanese and Korean text, which has no spaces around its marks."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.common.utils import isMdAsciiPunct, isPunctChar, isWhiteSpace
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_inline.state_inline import Scanned, StateInline
from markdown_it.token import Token

OPEN: Final = "open"
"""In the parser's environment: the tokens of the open texts, several in a half-typed table."""


def is_cjk(character: str) -> bool:
    """Check whether a character belongs to Chinese, Japanese or Korean writing.

    Args:
        character: One character.

    Returns:
        Whether it is wide, or Hangul, and no emoji. Ideographic variation selectors count too.
    """
    if character < "\u1100":
        return False
    if "\u1100" <= character <= "\u11ff" or "\ud7b0" <= character <= "\ud7ff":
        return True  # Hangul, some of which has no width of its own
    if "\U000e0100" <= character <= "\U000e01ef":
        return True
    if unicodedata.east_asian_width(character) not in {"W", "F", "H"}:
        return False
    is_pictorial = "\u2300" <= character <= "\u2bff" or "\U0001f000" <= character <= "\U0001faff"
    return not (is_pictorial and unicodedata.category(character).startswith("S"))


class _Beside:
    """One side of a run of delimiters."""

    __slots__ = ("is_binding", "is_cjk", "is_open", "is_punctuation", "is_space")

    def __init__(self, character: str, selected: str = "") -> None:
        self.is_space = isWhiteSpace(ord(character))
        self.is_punctuation = isMdAsciiPunct(ord(character)) or isPunctChar(character)
        # A variation selector can make the quotation marks wide.
        self.is_cjk = is_cjk(character) or (
            selected == "\ufe01" and character in "\u2018\u2019\u201c\u201d"
        )
        # Whether punctuation on the other side of the run does not bind to this one.
        self.is_open = self.is_space or self.is_punctuation or self.is_cjk
        # Whether it is punctuation of scripts that separate words by spaces.
        self.is_binding = self.is_punctuation and not self.is_cjk


_beside = functools.lru_cache(maxsize=1_024)(_Beside)


class _State(StateInline):
    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: N802, N803
        """Tell whether a run of delimiters can open and close emphasis.

        These are CommonMark's rules with the amendment that is known as "CJK-friendly": the
        punctuation of these scripts is no obstacle, and other punctuation is none beside them.
        """
        end = start
        marker = self.src[start]
        while end < self.posMax and self.src[end] == marker:
            end += 1
        before = self.src[start - 1] if start else " "
        selected = ""
        if "\ufe00" <= before <= "\ufe0e" and start > 1:
            before, selected = self.src[start - 2], before
        last = _beside(before, selected)
        following = _beside(self.src[end] if end < self.posMax else " ")
        left = not following.is_space and (not following.is_binding or last.is_open)
        right = not last.is_space and (not last.is_binding or following.is_open)
        return Scanned(
            left and (canSplitWord or not right or last.is_punctuation),
            right and (canSplitWord or not left or following.is_punctuation),
            end - start,
        )


def is_open_text(tokens: list[Token], env: Mapping[str, Any]) -> bool:
    """Whether tokens are those of the text in which the next character would stand."""
    return any(tokens is one for one in env.get(OPEN, ()))


class InlineParser(ParserInline):
    """Markdown-it's parser of running text, with emphasis beside these scripts."""

    terminator_re = re.compile("")
    """Finds what may be more than text: anything, for versions of markdown-it that do not say."""

    def parse(
        self, src: str, md: MarkdownIt, env: MutableMapping[str, Any], tokens: list[Token]
    ) -> list[Token]:
        """Parse running text.

        Args:
            src: The text.
            md: The whole parser.
            env: The surroundings of the text.
            tokens: The list to which the tokens are added.

        Returns:
            That list.
        """
        if src and not self.terminator_re.search(src) and not is_open_text(tokens, env):
            tokens.append(Token("text", "", 0, content=src))  # the rules would find nothing else
            return tokens
        state = _State(src, md, env, tokens)
        self.tokenize(state)
        for rule in self.ruler2.getRules(""):
            rule(state)
        return state.tokens
