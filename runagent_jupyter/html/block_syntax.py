"""Rules of the Markdown parser for blocks: those beyond CommonMark, and bounds on slow ones."""

from __future__ import annotations

from typing import Final

from markdown_it.rules_block import StateBlock, fence, reference, table
from markdown_it.rules_block.table import escapedSplit
from markdown_it.token import Token

from runagent_jupyter.html.folds import Fold, opener_end, summary_of
from runagent_jupyter.html.formulas import LONGEST_FORMULA, math_marks
from runagent_jupyter.html.line_kinds import CODE_INDENT, NOTE, fence_in, fold_kind
from runagent_jupyter.html.tex_allowlist import safe_tex

_MOST_LINES: Final = 100  # of a formula
_DEEPEST: Final = 12  # level of blocks in which a fold is parsed, as each one looks for its end


def _first(state: StateBlock, line: int) -> int:
    return state.bMarks[line] + state.tShift[line]


def math_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    r"""Parse a formula that begins a line, up to its closer at the end of a line.

    It stands in ``$$`` or ``\[``, or is an environment such as ``\begin{align}``.
    """
    first = _first(state, start)
    if state.src[first : first + 1] not in {"$", "\\"} or state.is_code_block(start):
        return False
    marks = math_marks(state.src[first : state.eMarks[start]])
    if not marks or state.src.find(marks[1], first + len(marks[0])) < 0:
        return False
    opener, closer = marks
    may_have_gaps = not state.src[first + len(opener) : state.eMarks[start]].strip()
    lines: list[str] = []
    for number in range(start, min(end, start + _MOST_LINES)):
        is_gap = number > start and state.isEmpty(number)
        if is_gap and may_have_gaps:
            continue
        if is_gap or (number > start and state.sCount[number] < state.blkIndent):
            return False
        begin = state.bMarks[number] + state.tShift[number]
        begin += len(opener) if number == start else 0
        content, found, rest = state.src[begin : state.eMarks[number]].partition(closer)
        lines.append(content)
        if found:
            break
    else:
        return False
    tex = "\n".join(lines).strip()
    if rest.strip(" \t.,;") or not tex:
        return False
    if silent:
        return True
    _push_formula(state, (opener, tex, closer), rest.strip())
    token = state.tokens[-1]
    token.map = [start, number + 1]
    state.line = number + 1
    return True


def _push_formula(state: StateBlock, parts: tuple[str, str, str], rest: str) -> None:
    opener, tex, closer = parts
    shown = f"{opener}\n{tex}\n{closer}" if opener.startswith("\\begin") else tex
    safe = safe_tex(shown + rest) if len(tex) <= LONGEST_FORMULA else None
    token = state.push("fence" if safe is None else "math_block", "", 0)
    token.content = f"{opener}\n{tex}\n{closer}\n" if safe is None else f"\\[{safe}\\]"
    token.info = "latex" if safe is None else ""


def fold_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Parse details, a thought or a comment, up to its end or that of the block it stands in.

    Comments are not shown. The others become folded elements, and attributes are dropped.
    """
    first = _first(state, start)
    if state.src[first : first + 1] != "<" or state.level > _DEEPEST or state.is_code_block(start):
        return False
    kind = fold_kind(state.src[first : state.eMarks[start]])
    if not kind or silent:
        return bool(kind)
    fold = Fold(kind)
    close = -1
    number = start
    while number < end and close < 0:
        if number > start and not state.isEmpty(number) and state.sCount[number] < state.blkIndent:
            break
        begin = state.bMarks[number] + state.tShift[number]
        margin = " " * min(CODE_INDENT, state.sCount[number] - state.blkIndent)
        fold, close = fold.after(margin + state.src[begin : state.eMarks[number]])
        number += 1
    rest = ""
    if close >= 0:
        close += begin - len(margin)
        rest = state.src[close : state.eMarks[number - 1]].strip()
    if kind != "comment":
        _push_fold(state, kind, start, number, close)
    if rest:
        state.push("paragraph_open", "p", 1).map = [number - 1, number]
        inline = state.push("inline", "", 0)
        inline.content, inline.children = rest, []
        state.push("paragraph_close", "p", -1)
    state.line = number
    return True


def _push_fold(state: StateBlock, kind: str, start: int, end: int, close: int) -> None:
    """Push the tokens of a fold in the lines up to `end`, of which the last ends at `close`."""
    last = state.eMarks[end - 1]
    if close >= 0:
        state.eMarks[end - 1] = state.src.rindex("</", 0, close)
    begin = _first(state, start)
    _begin_at(state, start, begin + opener_end(state.src[begin : state.eMarks[start]]))
    title = "Thought"
    if kind == "details":
        title, start = _take_summary(state, start, end)
    token = state.push("fold_open", "details", 1)
    token.attrs["class"] = "ra-fold" + (" ra-thought" if kind == "think" else "")
    state.push("summary_open", "summary", 1)
    inline = state.push("inline", "", 0)
    inline.content, inline.children = title, []
    state.push("summary_close", "summary", -1)
    outer, state.lineMax = state.lineMax, end
    state.md.block.tokenize(state, start, end)
    state.lineMax = outer
    state.eMarks[end - 1] = last
    state.push("fold_close", "details", -1)


def _begin_at(state: StateBlock, number: int, position: int) -> None:
    """Let a line begin at a position in it."""
    content = state.src[position : state.eMarks[number]].lstrip(" \t")
    state.bMarks[number] = position
    state.tShift[number] = max(0, state.eMarks[number] - position - len(content))
    state.sCount[number] = state.blkIndent


def _take_summary(state: StateBlock, start: int, end: int) -> tuple[str, int]:
    """Read the title of details, and say in which line their content begins."""
    for number in range(start, min(end, start + 3)):
        first = state.bMarks[number] + state.tShift[number]
        found = summary_of(state.src, first, state.eMarks[number])
        if found:
            _begin_at(state, number, found[1])
            return found[0] or "Details", number
        if not state.isEmpty(number):
            break
    return "Details", start


def note(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Parse a footnote, ``[^1]: text``, with the indented blocks below it. It stays there."""
    first = _first(state, start)
    match = NOTE.match(state.src, first, state.eMarks[start])
    if not match or state.is_code_block(start) or silent:
        return bool(match and not state.is_code_block(start))
    before = state.bMarks[start], state.tShift[start], state.sCount[start]
    _begin_at(state, start, match.end())
    state.blkIndent += CODE_INDENT
    state.sCount[start] = state.blkIndent
    state.push("note_open", "div", 1).attrs["class"] = "ra-annotation"
    state.tokens[-1].content = match[1]
    state.md.block.tokenize(state, start, end)
    state.push("note_close", "div", -1)
    state.blkIndent -= CODE_INDENT
    state.bMarks[start], state.tShift[start], state.sCount[start] = before
    return True


def markdown_fence(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Parse a block of code. One that holds Markdown may have others in it."""
    if silent or not fence(state, start, end, True):
        return silent and fence(state, start, end, True)
    first = _first(state, start)
    opened = fence_in(state.src[first : state.eMarks[start]])
    if not opened or not opened.holds_markdown:
        return fence(state, start, end, False)
    depth = 0
    number = start + 1
    while number < end and depth >= 0:
        if not state.isEmpty(number) and state.sCount[number] < state.blkIndent:
            break
        margin = " " * max(0, state.sCount[number] - state.blkIndent)
        content = state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]
        depth = opened.depth_behind(margin + content, depth)
        number += 1
    token = state.push("fence", "code", 0)
    token.info = opened.info
    last = number - 1 if depth < 0 else number
    token.content = state.getLines(start + 1, last, state.sCount[start], True)
    token.map = [start, number]
    state.line = number
    return True


def reference_definition(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Parse a link reference definition, but not a footnote, which looks like one."""
    is_footnote = state.src.startswith("[^", _first(state, start))
    return not is_footnote and reference(state, start, end, silent)


def bounded_table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Parse a table, unless the parser would have to make up most cells to fill short rows."""
    if start + 2 > end:
        return False
    first = state.bMarks[start + 1] + state.tShift[start + 1]
    if state.src[first : first + 1] not in {"|", "-", ":"}:
        return False  # as for nearly every line
    columns = state.src.count("|", state.bMarks[start], state.eMarks[start])
    is_filled = columns * (end - start) <= state.eMarks[end - 1] - state.bMarks[start]
    before = len(state.tokens)
    if not (columns and is_filled and table(state, start, start + 2, silent)):
        return False
    if not silent:
        _add_rows(state, before, start + 2, end)
    return True


def _add_rows(state: StateBlock, before: int, start: int, end: int) -> None:
    """Add its rows to a table whose header has been parsed, in half the time of markdown-it.

    All rows share the tokens around their cells.

    Args:
        state: The state of the parser.
        before: The number of tokens before the table.
        start: The line behind the header.
        end: The line behind the last one that may be a row.
    """
    opening, closing = state.tokens[before], state.tokens.pop()
    level = opening.level + 1
    row = Token("tr_open", "tr", 1, level=level + 1, block=True)
    row_end = Token("tr_close", "tr", -1, level=level + 1, block=True)
    cells = [
        Token("td_open", "td", 1, dict(head.attrs), level=level + 2, block=True)
        for head in state.tokens[before:]
        if head.type == "th_open"
    ]
    cell_end = Token("td_close", "td", -1, level=level + 2, block=True)
    rows: list[Token] = []
    parent, state.parentType = state.parentType, "table"
    line = start
    while line < end and (texts := _cells_in(state, line, end)) is not None:
        rows.append(row)
        for index, cell in enumerate(cells):
            text = Token("inline", "", 0, level=level + 3, map=[line, line + 1], block=True)
            text.content = texts[index].strip() if index < len(texts) else ""
            text.children = []
            rows += (cell, text, cell_end)
        rows.append(row_end)
        line += 1
    state.parentType = parent
    if rows:
        state.tokens.append(Token("tbody_open", "tbody", 1, level=level, block=True))
        state.tokens += rows
        state.tokens.append(Token("tbody_close", "tbody", -1, level=level, block=True))
    state.tokens.append(closing)
    opening.map = [start - 2, line]
    state.line = line


def _cells_in(state: StateBlock, line: int, end: int) -> list[str] | None:
    """Return the cells in a line, which may be too few or too many; `None` if it is no row."""
    if state.sCount[line] < state.blkIndent or state.is_code_block(line):
        return None
    if any(rule(state, line, end, True) for rule in state.md.block.ruler.getRules("blockquote")):
        return None
    text = state.src[_first(state, line) : state.eMarks[line]].strip()
    if not text:
        return None
    cells = escapedSplit(text) if "\\" in text else text.split("|")
    return cells if cells[0] else cells[1:]
