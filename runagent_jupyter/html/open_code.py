"""Code and formulas that text breaks off in, for `open_syntax`.

Nobody knows yet whether they will be closed. So they are shown as code, with the text that the
parser finds in them: without the marks that would vanish if the text went on without a closer.
"""

from __future__ import annotations

import re
from typing import Final

from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from runagent_jupyter.html.block_syntax import math_block
from runagent_jupyter.html.cjk import is_cjk
from runagent_jupyter.html.formulas import CLOSERS, LONGEST_FORMULA, math_marks
from runagent_jupyter.html.line_kinds import kind_of

LINE_BREAKS_OFF: Final = "line_breaks_off"
"""In the parser's environment: whether the last line of the text may go on."""

_BEGINNING: Final = "open_code"
"""The type of the token that stands where the code begins."""

_FORMULA: Final = "open_formula"
"""In the parser's environment: whether the lines of a formula are being parsed."""

_PART_OF_CLOSER: Final = ("\\`", "\\$")
"""Escaped marks, which would close code or a formula behind a backslash."""

# What a block may begin with: the mark of a task or an alert, or the definition of a link.
_MARK_OF_BLOCK = re.compile(
    r"\A\[(?:[ xX]\](?=\s)|![A-Za-z]+\]\s|[^\]]*(?:\](?::.*)?)?\Z)", re.DOTALL
)
_NO_TEX = re.compile('["`]')
_DOLLAR_FORMULA = re.compile(r"\$(?=[^\s$;,.:)!?])(?:[^$\\]|\\.)*(\\|(?<!\s)\$)?\Z", re.DOTALL)
_VARIABLE = re.compile(r"\$[A-Za-z]{3}")
_AMOUNT = re.compile(r"\$[\d.,]*\*{0,2}\Z")
# An amount of money, unless the rest of the text reads like a formula.
_PRICE = re.compile(
    r"\$\d[\d.,]*(?![\d.,\w\\^{]|\s*(?:[\\=<>^]|\+\s)|\s+\*|\*{1,2}\w)(?:[^$\\]|\\.)*\$?\Z",
    re.DOTALL,
)


def open_formula(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Parse a formula on lines of its own, unless more text may follow in its line.

    One that is not complete becomes a paragraph with the text of its lines. It may have empty lines
    if its opening delimiter stands alone.
    """
    first, last = state.bMarks[start] + state.tShift[start], state.eMarks[start]
    if last >= len(state.src) or _FORMULA in state.env:
        return False
    if math_block(state, start, end, silent):
        return True
    line = state.src[first:last]
    marks = math_marks(line)
    if silent or not marks or marks[1] in state.src[last:] or state.is_code_block(start):
        return False
    may_have_gaps = marks[0] == line.strip()
    if not may_have_gaps and kind_of(line) != "math":
        return False
    number = start + 1
    while number < end and (
        may_have_gaps if state.isEmpty(number) else state.sCount[number] >= state.blkIndent
    ):
        number += 1
    if number < len(state.bMarks) - 1:
        return False  # other lines have come, so nothing can close it any more
    content = _text_of_lines(state, start, number)
    state.push("paragraph_open", "p", 1).map = [start, number]
    token = state.push("inline", "", 0)
    token.content, token.children = content, []
    state.push("paragraph_close", "p", -1)
    state.line = number
    return True


def _text_of_lines(state: StateBlock, start: int, end: int) -> str:
    """Parse lines of an open formula as if it were none, and join the text of their blocks."""
    behind, outer = len(state.tokens), state.lineMax
    state.env[_FORMULA], state.lineMax = True, end
    state.md.block.tokenize(state, start, end)
    state.lineMax = outer
    del state.env[_FORMULA]
    texts = [token.content.strip() for token in state.tokens[behind:]]
    del state.tokens[behind:]
    return "\n".join(filter(None, (_MARK_OF_BLOCK.sub("", text, count=1) for text in texts)))


def backticks(state: StateInline, silent: bool) -> bool:
    """Begin code at a run of backticks that is not closed."""
    src, start = state.src, state.pos
    text = src[start:].lstrip("`")
    run = len(src) - start - len(text)
    if re.search(f"(?<!`){'`' * run}(?!`)", text.rstrip("`\\")):
        return False
    if text[:1].isspace() and start and not src[start - 1].isspace():
        state.pos += run  # it probably was meant to close something, and nobody can tell yet
        return True
    return _begin(state, silent, run)


def formula(state: StateInline, silent: bool) -> bool:
    """Begin code at the opening delimiter of a formula that is not complete."""
    src, start = state.src, state.pos
    width, shown = 2, ""
    if src.startswith("\\begin{", start):
        marks = math_marks(src[start : start + 40])
        closer = marks[1] if marks else "}"
        width, shown = 1, "\\"
    else:
        closer = CLOSERS.get(src[start : start + 2], "")
    if not closer or not _may_be_formula(src, start) or src.find(closer, start + 2) >= 0:
        return False
    if closer == "$$" and "$" in src[start + 2 :].rstrip("$"):
        width = 1  # without a closer, the second dollar may begin a formula of its own
    return _begin(state, silent, width, shown)


def dollar(state: StateInline, silent: bool) -> bool:
    """Begin code at a dollar, unless it is one of money or of a variable."""
    src, start = state.src, state.pos
    if src.startswith("$$", start):
        return formula(state, silent)
    before = src[start - 1] if start else " "
    is_within_word = before.isalnum() and not is_cjk(before)
    if start + 1 == len(src) or (not is_within_word and _AMOUNT.match(src, start)):
        state.pos = state.posMax
        return True
    if is_within_word or not _may_be_formula(src, start):
        return False
    if _PRICE.match(src, start):
        state.pos += 1
        if not silent:
            state.pending += "$"
        return True
    match = _DOLLAR_FORMULA.match(src, start)
    # A letter behind the second dollar would show that the first one begins no formula.
    if not match or (match[1] == "$" and not state.env[LINE_BREAKS_OFF]):
        return False
    if _VARIABLE.match(src, start):
        state.pos += 1  # it is more likely a variable of a shell, which should not look like code
        return True
    return _begin(state, silent, 1)


def _may_be_formula(src: str, start: int) -> bool:
    return len(src) - start <= LONGEST_FORMULA and not _NO_TEX.search(src, start)


def _begin(state: StateInline, silent: bool, width: int, shown: str = "") -> bool:
    """Hide the opening mark, and show the rest of the text as code from here on."""
    if not silent:
        state.push(_BEGINNING, "", 0)
        state.pending += shown
    state.pos += width
    return True


def join_code(tokens: list[Token]) -> None:
    """Make one piece of code of the tokens that stand where code has begun.

    Args:
        tokens: Those of the open text. Elements that have begun before the code end behind it.
    """
    start = next((at for at, token in enumerate(tokens) if token.type == _BEGINNING), -1)
    if start < 0:
        return
    text = ""
    depth = 0
    closers: list[Token] = []
    for token in tokens[start:]:
        if token.nesting == -1 and not depth:
            closers.append(token)
        else:
            depth += token.nesting
            text += _text_of(token)
    text = text.strip()
    tokens[start:] = [Token("code_inline", "code", 0, content=text), *closers] if text else closers


def _text_of(token: Token) -> str:
    """Return what both code and running text would show of a token."""
    if token.type in {"softbreak", "hardbreak"}:
        return " "
    if token.type == "math_inline":
        return token.content[2:-2]
    if token.type == "image":
        return "".join(_text_of(child) for child in token.children or ())
    return "" if token.info == "entity" or token.markup in _PART_OF_CLOSER else token.content
