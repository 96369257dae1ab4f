"""Rules of the Markdown parser: syntax beyond CommonMark, and bounds on syntax that is slow."""

from __future__ import annotations

import functools
import re
from typing import Final

from markdown_it.rules_inline import StateInline, autolink, image, link

from runagent_jupyter.html.cjk import is_cjk
from runagent_jupyter.html.formulas import CLOSERS, LONGEST_FORMULA, math_marks
from runagent_jupyter.html.links import CJK_MARKS, LONGEST_URL, bare_address, is_safe_url
from runagent_jupyter.html.tex_allowlist import safe_tex

# Bounds on the work, so that it grows with the length of the text and not with its square.
MOST_BRACKETS: Final = 500
"""Brackets in one piece of text; with more of them, none of them make links."""

_DOLLAR_MATH = re.compile(r"\$(?![\s$])((?:[^$\\`]|\\.){1,2048})(?<!\s)\$", re.DOTALL)
_ENDING = re.compile(r"(?:th|st|nd|rd|s)\b")  # of an ordinal or a plural
_MONEY = re.compile(r"\d[\d.,]*\s*[-\u2013]?\s+[A-Za-z]{2,}\b")
_BARE_URL = re.compile(rf"://(?:[^\s<>\"`\\$|{{}}^\x00-\x20{CJK_MARKS}]|\\[()])+")
_SCHEME = re.compile(r"(?<![A-Za-z0-9_.+-])https?\Z", re.IGNORECASE)
_ESCAPED_PARENTHESIS = re.compile(r"\\([()])")
_FOOTNOTE = re.compile(r"\[\^([^\s\[\]]{1,50})\]")


def _is_money(src: str, match: re.Match[str]) -> bool:
    """Tell amounts and variables of a shell between two dollars from a formula."""
    after = src[match.end() : match.end() + 1]
    if after == "$" or _MONEY.match(match[1]):
        return True
    is_word = (after.isalnum() or after == "_") and not is_cjk(after)
    return is_word and not _ENDING.match(src, match.end())


@functools.lru_cache(maxsize=16)
def _last(src: str, closer: str) -> int:
    """Find the last closer of a formula; so a text with openers alone is searched once."""
    return src.rfind(closer)


def math_inline(state: StateInline, silent: bool) -> bool:
    r"""Parse ``$…$``, ``$$…$$``, ``\(…\)`` and ``\[…\]`` in running text."""
    src, start = state.src, state.pos
    if src[start] not in "$\\":
        return False
    opener = src[start : start + 2]
    if opener == "\\b" and (marks := math_marks(src[start : start + 40])):
        end = src.find(marks[1], start, min(start + LONGEST_FORMULA, state.posMax)) + len(marks[1])
        if end < start + len(marks[1]):
            return False
        tex = src[start:end]
    elif opener in CLOSERS:
        if start >= _last(src, CLOSERS[opener]):
            return False
        end = src.find(CLOSERS[opener], start + 2, min(start + LONGEST_FORMULA, state.posMax))
        if end < start + 3:
            return False
        tex, end = src[start + 2 : end], end + 2
    else:
        match = _DOLLAR_MATH.match(src, start, state.posMax)
        # "US$5 or A$6" is about money.
        before = src[start - 1] if start else " "
        if not match or (before.isalnum() and not is_cjk(before)) or _is_money(src, match):
            return False
        opener, tex, end = "\\(", match[1], match.end()
    if not silent:
        safe = safe_tex(tex)
        token = state.push("code_inline" if safe is None else "math_inline", "", 0)
        left, right = ("\\(", "\\)") if opener == "\\(" else ("\\[", "\\]")
        token.content = src[start:end] if safe is None else f"{left}{safe}{right}"
    state.pos = end
    return True


def bare_url(state: StateInline, silent: bool) -> bool:
    """Parse ``https://…`` in running text."""
    if state.src[state.pos] != ":" or silent or state.linkLevel:
        return False
    scheme = _SCHEME.search(state.pending[-9:])
    end = min(state.pos + LONGEST_URL, state.posMax)
    match = scheme and _BARE_URL.match(state.src, state.pos, end)
    if not scheme or not match:
        return False
    if len(match[0]) > LONGEST_URL - len("https"):
        state.pending += match[0]  # no address begins within it either
        state.pos = match.end()
        return True
    address = bare_address(scheme[0] + match[0])
    url = state.md.normalizeLink(_ESCAPED_PARENTHESIS.sub(r"\1", address))
    if not is_safe_url(url):
        return False
    state.pending = state.pending[: -len(scheme[0])]
    state.push("link_open", "a", 1).attrs = {"href": url}
    state.push("text", "", 0).content = _ESCAPED_PARENTHESIS.sub(r"\1", address)
    state.push("link_close", "a", -1)
    state.pos += len(address) - len(scheme[0])
    return True


def safe_autolink(state: StateInline, silent: bool) -> bool:
    """Parse ``<https://…>`` and ``<a@b.c>``. Other text in angle brackets may be XML."""
    if state.src[state.pos] != "<":
        return False
    end = state.src.find(">", state.pos, min(state.pos + LONGEST_URL, state.posMax))
    address = state.src[state.pos + 1 : end]
    if ":" not in address and "@" not in address:
        return False
    url = address if ":" in address.partition("@")[0] else f"mailto:{address}"
    return end > 0 and is_safe_url(state.md.normalizeLink(url)) and autolink(state, silent)


def footnote(state: StateInline, silent: bool) -> bool:
    """Parse the mark ``[^1]``, at its use and at its note. Notes stay in their place."""
    if state.src[state.pos] != "[":
        return False
    match = _FOOTNOTE.match(state.src, state.pos, state.posMax)
    if not match:
        return False
    if not silent:
        state.push("footnote", "", 0).content = match[1]
    state.pos = match.end()
    return True


@functools.lru_cache(maxsize=16)
def _has_few_brackets(text: str) -> bool:
    return text.count("[") <= MOST_BRACKETS


def bounded_link(state: StateInline, silent: bool) -> bool:
    """Parse a link, unless the text has too many brackets."""
    is_begun = state.src[state.pos] == "["
    return is_begun and _has_few_brackets(state.src) and link(state, silent)


def bounded_image(state: StateInline, silent: bool) -> bool:
    """Parse an image, unless the text has too many brackets."""
    is_begun = state.src.startswith("![", state.pos)
    return is_begun and _has_few_brackets(state.src) and image(state, silent)
