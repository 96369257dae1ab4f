"""Marks in the text of parsed Markdown: addresses without a scheme, and sources of citations."""

from __future__ import annotations

import re
from typing import Final

from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from runagent_jupyter.html.links import CJK_MARKS, bare_address, is_safe_url

# Letters of scripts that separate words by spaces. An address does not begin within a word.
_WORD: Final = r"A-Za-z0-9_\u00aa-\u02ff\u0370-\u0fff\u1e00-\u1fff"
_MARK = re.compile(
    rf"(?<![{_WORD}.+@/-])(?P<www>www\.[^\s<>\"`\\$|{{}}^{CJK_MARKS}]{{3,2000}})"
    rf"|(?<![{_WORD}.+/-])(?:mailto:)?(?P<mail>[A-Za-z0-9_.+-]{{1,64}}"
    r"@[A-Za-z0-9][A-Za-z0-9-]{0,62}(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?){1,8})(?![-_/@])"
    r"|\u3010(?P<source>\d{1,4}(?::\d{1,4})?)\u2020[^\u3010\u3011\n]{0,200}\u3011",
    re.IGNORECASE,
)


def mark_text(state: StateCore) -> None:
    """Make links of ``www.`` and mail addresses, and small numbers of ``【1†source】``."""
    for token in state.tokens:
        if token.type == "inline" and token.children and _has_mark(token.content):
            token.children = _marked(token.children)


def _has_mark(text: str) -> bool:
    # These searches are far quicker than that for the marks, and most texts have none of them.
    may_have = "@" in text or "\u3010" in text or "www." in text.lower()
    return may_have and _MARK.search(text) is not None


def _marked(tokens: list[Token]) -> list[Token]:
    marked: list[Token] = []
    links = 0
    for token in tokens:
        if token.type in {"link_open", "link_close"}:
            links += token.nesting
        if token.type == "text" and not links:
            marked += _split(token.content)
        else:
            marked.append(token)
    return marked


def _split(text: str) -> list[Token]:
    parts: list[Token] = []
    start = 0
    for match in _MARK.finditer(text):
        made, end = _mark(match)
        word = text[max(0, match.start() - 64) : match.start()].rpartition(" ")[2]
        if made and "://" not in word:
            parts += [Token("text", "", 0, content=text[start : match.start()]), *made]
            start = end
    return [*parts, Token("text", "", 0, content=text[start:])]


def _mark(match: re.Match[str]) -> tuple[list[Token], int]:
    """Return the tokens of a mark, none if it is text, and its end."""
    if match["source"]:
        return [Token("footnote", "", 0, content=match["source"])], match.end()
    shown = bare_address(match["www"]) if match["www"] else match[0]
    address = f"http://{shown}" if match["www"] else f"mailto:{match['mail']}"
    if not is_safe_url(address) or shown.count(".") < (2 if match["www"] else 1):
        return [], 0
    link = Token("link_open", "a", 1, attrs={"href": address})
    words = Token("text", "", 0, content=shown)
    return [link, words, Token("link_close", "a", -1)], match.start() + len(shown)
