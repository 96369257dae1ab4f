"""Rules of the Markdown parser: syntax beyond CommonMark, and bounds on syntax that is slow."""

from __future__ import annotations

import functools
import re
from typing import Final

from markdown_it.rules_block import StateBlock, reference, table
from markdown_it.rules_inline import StateInline, image, link

from runagent_jupyter.html.formulas import CLOSERS
from runagent_jupyter.html.links import LONGEST_URL
from runagent_jupyter.html.tex_allowlist import is_safe_tex

# Bounds on the work, so that it grows with the length of the text and not with its square.
_LONGEST_FORMULA: Final = 2_048  # characters
_MOST_BRACKETS: Final = 500  # in one piece of text; with more of them, none of them make links

_DOLLAR_MATH = re.compile(r"\$(?![\s$])(?:[^$\\]|\\.){1,2048}(?<!\s)\$(?![\w$])", re.DOTALL)
_BARE_URL = re.compile(r"://[^\s<>\"`\\$|{}^\x00-\x20]+")
_FOOTNOTE = re.compile(r"\[\^([^\s\[\]]{1,50})\]")


def math_inline(state: StateInline, silent: bool) -> bool:
    r"""Parse ``$…$``, ``$$…$$``, ``\(…\)`` and ``\[…\]`` in running text."""
    src, start = state.src, state.pos
    if src[start] not in "$\\":
        return False
    opener = src[start : start + 2]
    if opener in CLOSERS:
        end = src.find(CLOSERS[opener], start + 2, min(start + _LONGEST_FORMULA, state.posMax))
        if end < start + 3:
            return False
        tex, end = src[start + 2 : end], end + 2
    else:
        match = _DOLLAR_MATH.match(src, start, state.posMax)
        # "US$5 or A$6" is about money.
        if not match or (start and src[start - 1].isalnum()):
            return False
        opener, tex, end = "\\(", match[0][1:-1], match.end()
    if not silent:
        safe = is_safe_tex(tex)
        token = state.push("math_inline" if safe else "code_inline", "", 0)
        left, right = ("\\(", "\\)") if opener == "\\(" else ("\\[", "\\]")
        token.content = f"{left}{tex}{right}" if safe else src[start:end]
    state.pos = end
    return True


def math_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    r"""Parse ``$$`` or ``\[`` at the start of a line, up to its closer at the end of a line."""
    first = state.bMarks[start] + state.tShift[start]
    opener = state.src[first : first + 2]
    if opener not in {"$$", "\\["} or state.is_code_block(start):
        return False
    closer = CLOSERS[opener]
    if state.src.find(closer, first + 2) < 0:
        return False
    lines: list[str] = []
    for number in range(start, min(end, start + 100)):
        if number > start and (state.isEmpty(number) or state.sCount[number] < state.blkIndent):
            return False
        begin = first + 2 if number == start else state.bMarks[number] + state.tShift[number]
        content, found, rest = state.src[begin : state.eMarks[number]].partition(closer)
        lines.append(content)
        if found:
            break
    else:
        return False
    tex = "\n".join(lines).strip() + rest.strip()
    if rest.strip(" \t.,;") or tex == rest.strip():
        return False
    if silent:
        return True
    safe = len(tex) <= _LONGEST_FORMULA and is_safe_tex(tex)
    token = state.push("math_block" if safe else "fence", "", 0)
    token.content = f"\\[{tex}\\]" if safe else f"{opener}\n{tex}\n{closer}\n"
    token.info = "" if safe else "latex"
    token.map = [start, number + 1]
    state.line = number + 1
    return True


def bare_url(state: StateInline, silent: bool) -> bool:
    """Parse ``https://…`` in running text."""
    if state.src[state.pos] != ":" or silent or state.linkLevel:
        return False
    scheme = re.search(r"(?<![\w.+-])https?\Z", state.pending[-8:], re.IGNORECASE)
    end = min(state.pos + LONGEST_URL, state.posMax)
    match = scheme and _BARE_URL.match(state.src, state.pos, end)
    if not scheme or not match or len(match[0]) > LONGEST_URL - len("https"):
        return False
    rest = match[0].rstrip(".,;:!?'*_~")
    while rest.endswith(")") and rest.count(")") > rest.count("("):
        rest = rest[:-1].rstrip(".,;:!?'*_~")
    url = state.md.normalizeLink(scheme[0] + rest)
    if not state.md.validateLink(url):
        return False
    state.pending = state.pending[: -len(scheme[0])]
    state.push("link_open", "a", 1).attrs = {"href": url}
    state.push("text", "", 0).content = scheme[0] + rest
    state.push("link_close", "a", -1)
    state.pos += len(rest)
    return True


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
    return text.count("[") <= _MOST_BRACKETS


def bounded_link(state: StateInline, silent: bool) -> bool:
    """Parse a link, unless the text has too many brackets."""
    is_begun = state.src[state.pos] == "["
    return is_begun and _has_few_brackets(state.src) and link(state, silent)


def bounded_image(state: StateInline, silent: bool) -> bool:
    """Parse an image, unless the text has too many brackets."""
    is_begun = state.src.startswith("![", state.pos)
    return is_begun and _has_few_brackets(state.src) and image(state, silent)


def reference_definition(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Parse a link reference definition, but not a footnote, which looks like one."""
    is_footnote = state.src.startswith("[^", state.bMarks[start] + state.tShift[start])
    return not is_footnote and reference(state, start, end, silent)


def bounded_table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Parse a table, unless the parser would have to make up most cells to fill short rows."""
    columns = state.src.count("|", state.bMarks[start], state.eMarks[start])
    is_filled = columns * (end - start) <= state.eMarks[end - 1] - state.bMarks[start]
    return is_filled and table(state, start, end, silent)
