"""The few HTML tags in running text that are shown as they are meant, read as data."""

from __future__ import annotations

import re
from typing import Final

from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

_DEEPEST: Final = 8  # of these tags in one another; those beyond it are left out

_ATTRIBUTES = r"(?:[\s/](?:[^<>\"']|\"[^\"]{0,500}\"|'[^']{0,500}'){0,500})?"
_TAG = re.compile(
    rf"<(?:(/?)(br|kbd|mark|sub|sup)|/(?:details|summary|think(?:ing)?)){_ATTRIBUTES}>",
    re.IGNORECASE | re.ASCII,
)


def inline_tag(state: StateInline, silent: bool) -> bool:
    """Parse a known tag, without its attributes, or a comment, which is not shown.

    Ends of blocks that were never opened are not shown either.
    """
    src, start = state.src, state.pos
    if src[start] != "<":
        return False
    if src.startswith("<!--", start):
        end = _end_of_comment(src, start, state.posMax)
        if end < 0:
            return False
        state.pos = end
        return True
    match = _TAG.match(src, start, state.posMax)
    if not match:
        return False
    if not silent and match[2]:
        name = match[2].lower()
        token = state.push("hardbreak" if name == "br" else "tag", name, 0)
        token.info = match[1]
    state.pos = match.end()
    return True


def _end_of_comment(src: str, start: int, limit: int) -> int:
    for short in ("<!-->", "<!--->"):
        if src.startswith(short, start, limit):
            return start + len(short)
    end = src.find("-->", start + 4, limit)
    return end + 3 if end >= 0 else -1


def pair_tags(state: StateInline) -> None:
    """Make elements of the tags in running text.

    An end without a beginning is left out. A tag that is still open ends with the emphasis, the
    link or the block in which it began.
    """
    if all(token.type != "tag" for token in state.tokens):
        return
    paired: list[Token] = []
    frames: list[list[str]] = [[]]  # the open tags in each of the open elements of Markdown
    for token in state.tokens:
        if token.type != "tag":
            if token.nesting == -1 and len(frames) > 1:
                paired += map(_end, reversed(frames.pop()))
            elif token.nesting == 1:
                frames.append([])
            paired.append(token)
        elif not token.info:
            if len(frames[-1]) < _DEEPEST:
                frames[-1].append(token.tag)
                paired.append(Token("tag_open", token.tag, 1))
        elif token.tag in frames[-1]:
            while (name := frames[-1].pop()) != token.tag:
                paired.append(_end(name))
            paired.append(_end(token.tag))
    for open_tags in reversed(frames):
        paired += map(_end, reversed(open_tags))
    state.tokens[:] = paired


def _end(name: str) -> Token:
    return Token("tag_close", name, -1)
