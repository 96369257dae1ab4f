"""Rules of the parser for text that breaks off: they close or hide the marks that are still open.

They run beside the parser's own rules, and only in the open text: the paragraph, the heading or the
cell in which the next character would stand. Everything before it is as it will stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, chain
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.common.utils import normalizeReference
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.table import escapedSplit
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Delimiter
from markdown_it.token import Token

from runagent_jupyter.html import open_code
from runagent_jupyter.html.block_syntax import fold_block
from runagent_jupyter.html.cjk import OPEN, is_open_text
from runagent_jupyter.html.links import LONGEST_URL
from runagent_jupyter.html.syntax import MOST_BRACKETS

_LONGEST_WAIT: Final = 100
"""Characters that are hidden while it is not clear what they are."""

_PARAGRAPH: Final = "open_paragraph"
"""In the parser's environment: the tokens around the open text, if it is a paragraph."""
_GUESSED: Final = "guessed"
"""The note at a cell of a header whose delimiters have not come."""
_LINKS: Final = "open_links"
"""In the parser's environment: whether the open text may have links."""

_UNTITLED = re.compile(r"<details[^<>]*>?[\s>]*(?:<[^<>]*>?)?\Z", re.IGNORECASE)
_LAST_CELL_CLOSED = re.compile(r"(?<!\\)\|\s*\Z")
_BAR = re.compile(r"\|")
_CELL_BORDER = re.compile(r"(?<=\s)\|(?=\s)|\|\Z")

_ENTITY = re.compile(r"&#?\w{0,31}\Z")
_FOOTNOTE = re.compile(r"\[\^[^\s\[\]]{0,50}(\]|\Z)")
_LABEL = re.compile(r"\[[^\[\]]*\Z")
_ANGLED = re.compile(r"<(?:[^<>\n\\]|\\.)*(?:>|\\?\Z)")
_BARE = re.compile(r"(?!<)\S*")
_ESCAPED = re.compile(r"\\.?")
_PARENTHESIS = re.compile(r"[()]")
_TITLE_BEHIND = re.compile(
    r"""\s+(?:(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\((?:[^()\\]|\\.)*\))\s*)?\Z"""
)
_HALF_TITLE: Final = r"""(?:"(?:[^"\\]|\\.)*|'(?:[^'\\]|\\.)*|\((?:[^()\\]|\\.)*)\\?\Z"""
_OPEN_TITLE = re.compile(_HALF_TITLE)
_OPEN_TITLE_BEHIND = re.compile(rf"\s+{_HALF_TITLE}")
_DEFINITION = re.compile(rf":\s*(?:<[^<>\n]*|\S*)\Z|:\s*\S+[ \t]+{_HALF_TITLE}")
_DEFINITION_LINE = re.compile(r"(?:[> \t]|[-+*][ \t]|\d{1,9}[.)][ \t])*\[[^\[\]]+\]:")
_TAG = re.compile(
    r"""</?[a-z][\w-]*(?:\s+[\w:.-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'=<>`]+))*"""
    r"""(?:\s+(?:[\w:.-]+(?:\s*=\s*(?:"[^"]*|'[^']*)?)?)?)?/?\Z"""
    r"|</?(?:br|kbd|mark|su[bp]|details|summary|think(?:ing)?)[\s/][^<>]{0,500}\Z"
    rf"|<[a-z][a-z0-9+.-]{{1,31}}:[^\s<>]*\Z|<[!-;=?-~]{{0,{_LONGEST_WAIT}}}\Z"
    r"|<!--(?!.*-->)",
    re.IGNORECASE | re.DOTALL,
)
_SOURCE = re.compile("\u3010\\d{1,4}(?::\\d{0,4})?(?:\u2020[^\u3010\u3011\n]{0,200})?\\Z|\u3010\\Z")
_TASK = re.compile(r"\[[ xX]\]")


def add_open_syntax(parser: MarkdownIt, ends: RuleOptionsType) -> None:
    """Add the rules to a parser.

    Args:
        parser: A parser of this package, which will be used for text that breaks off alone.
        ends: The blocks that a formula or a fold can end.
    """
    parser.block.ruler.before("table", "open_table", _open_table, {"alt": ["paragraph"]})
    parser.block.ruler.at("math", open_code.open_formula, ends)
    parser.block.ruler.at("fold", _titled_fold, ends)
    parser.core.ruler.before("inline", "find_open_text", _find_open_text)
    parser.core.ruler.after("inline", "drop_empty", _drop_empty)
    parser.inline.ruler.after("text", "open_mark", _open_mark)
    parser.inline.ruler2.after("balance_pairs", "close_marks", _close_marks)
    parser.inline.ruler2.push("finish_text", _finish_text)


# --- Blocks -------------------------------------------------------------------------------------


def _first(state: StateBlock, line: int) -> int:
    return state.bMarks[line] + state.tShift[line]


def _open_table(state: StateBlock, start: int, _end: int, silent: bool) -> bool:
    """Parse the last line as the header of a table, if it begins with a bar."""
    first, last = _first(state, start), state.eMarks[start]
    if (
        not state.src.startswith("|", first)
        or len(state.src) > last + 1  # the next line has begun
        or state.is_code_block(start)
        or (start and state.src.startswith("|", _first(state, start - 1)))
    ):
        return False
    cells = escapedSplit(state.src[first:last].strip())[1:]
    if not cells[-1]:
        cells.pop()
    if silent or not cells:
        return bool(cells)
    for tag in ("table", "thead", "tr"):
        state.push(f"{tag}_open", tag, 1).map = [start, start + 1]
    for cell in cells:
        state.push("th_open", "th", 1)
        token = state.push("inline", "", 0)
        token.map, token.content, token.children = [start, start + 1], cell.strip(), []
        token.info = _GUESSED
        state.push("th_close", "th", -1)
    for tag in ("tr", "thead", "table"):
        state.push(f"{tag}_close", tag, -1)
    state.line = start + 1
    return True


def _titled_fold(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Parse a fold, or hide it as long as its title is not there."""
    if not silent and _UNTITLED.match(state.src, _first(state, start)):
        state.line = end
        return True
    return fold_block(state, start, end, silent)


def _find_open_text(state: StateCore) -> None:
    """Find the text in which the next character would stand, if it would stand in text."""
    tokens = state.tokens
    state.env[OPEN], state.env[_PARAGRAPH] = [], ()
    index = len(tokens) - 1
    while index >= 0 and (
        tokens[index].nesting < 0
        or tokens[index].tag in {"td", "th"}  # around an empty cell, which fills a short row
        or (tokens[index].type == "inline" and not tokens[index].content)
    ):
        index -= 1
    if index < 0 or tokens[index].type != "inline":
        return
    text, around = tokens[index], tokens[index - 1] if index else None
    is_line = state.env[open_code.LINE_BREAKS_OFF] = not state.src.endswith("\n")
    open_texts = [text]
    if around is None:
        is_open = True
    elif around.type == "paragraph_open":
        is_open = around.map is not None and around.map[1] >= state.src.count("\n") + is_line
        state.env[_PARAGRAPH] = (around, tokens[index + 1])
    elif text.info == _GUESSED:
        is_open = True
        open_texts = list(_texts_of_guess(tokens, index))
    elif around.tag in {"td", "th"}:
        is_open = is_line and not _LAST_CELL_CLOSED.search(state.src)
    else:
        is_open = is_line
    if is_open:
        state.env[OPEN] = [one.children for one in open_texts]
        state.env[_LINKS] = sum(one.content.count("[") for one in open_texts) <= MOST_BRACKETS
        if _is_open_title(state.src, text):
            text.content = ""


def _texts_of_guess(tokens: Sequence[Token], index: int) -> Iterator[Token]:
    """Find the texts that one paragraph has if the last cell is in a header that is none."""
    while tokens[index].type != "table_open":
        if tokens[index].type == "inline":
            yield tokens[index]
        index -= 1
    first = (tokens[index].map or [0])[0]
    # A line of a list or a quote may go on without the marks before it.
    while index and tokens[index - 1].nesting < 0:
        index -= 1
    above = tokens[index - 2 : index]
    if above and above[1].type == "inline" and above[0].map and above[0].map[1] == first:
        yield above[1]


def _is_open_title(src: str, text: Token) -> bool:
    """Whether a text is the beginning of a title, on the line below the definition of a link."""
    if not _OPEN_TITLE.match(text.content) or not text.map or not text.map[0]:
        return False
    *above, line = src.split("\n")[: text.map[0]]
    label = _DEFINITION_LINE.match(above[-1]) if above else None
    is_below_label = label is not None and not above[-1][label.end() :].strip()
    return is_below_label or _DEFINITION_LINE.match(line) is not None


def _drop_empty(state: StateCore) -> None:
    """Leave out a paragraph in which everything is hidden."""
    if all(token.type == "text" and not token.content for token in chain(*state.env[OPEN])):
        for token in state.env[_PARAGRAPH]:
            token.hidden = True


# --- Text ---------------------------------------------------------------------------------------


def _open_mark(state: StateInline, silent: bool) -> bool:
    """Parse something that begins in the open text and is not complete."""
    mark = state.src[state.pos]
    # Code may begin in the words of a link and end behind it.
    if not is_open_text(state.tokens, state.env) or (
        state.posMax < len(state.src) and mark not in "`$\\"
    ):
        return False
    rule = _RULES.get(mark)
    return rule is not None and rule(state, silent)


def _skip(state: StateInline) -> bool:
    """Hide the rest of the text."""
    state.pos = state.posMax
    return True


def _wait_for(pattern: re.Pattern[str]) -> Callable[[StateInline, bool], bool]:
    """Make a rule that hides the rest of the text where it matches a pattern."""

    def rule(state: StateInline, _silent: bool) -> bool:
        return pattern.match(state.src, state.pos) is not None and _skip(state)

    return rule


def _mark_at_end(state: StateInline, _silent: bool) -> bool:
    """Hide marks at the end, which may be a part of longer ones."""
    return state.pos >= len(state.src.rstrip("*_~")) and _skip(state)


def _backslash(state: StateInline, silent: bool) -> bool:
    is_last = "\\begin{".startswith(state.src[state.pos : state.pos + len("\\begin{") + 1])
    return _skip(state) if is_last else open_code.formula(state, silent)


def _bracket(state: StateInline, silent: bool) -> bool:
    """Show the label of a link or an image that is not complete."""
    src, start = state.src, state.pos
    if footnote := _FOOTNOTE.match(src, start):
        return not footnote[1] and _skip(state)
    if not state.env[_LINKS]:
        return False
    end = state.md.helpers.parseLinkLabel(state, start)
    is_last = end < 0 or end + 1 == len(src)
    # The first label of a text may belong to a definition, or be the mark of a task.
    if src[0] == "[" and not start and len(src) <= _LONGEST_WAIT:
        if is_last or _DEFINITION.match(src, end + 1):
            return _skip(state)
    elif is_last and end > 0 and _is_defined(state.env, src[start + 1 : end]):
        return False
    if not (is_last or _is_open_destination(src, end + 1) or _LABEL.match(src, end + 1)):
        return False
    is_short = len(src) - start <= _LONGEST_WAIT
    if is_short and src.startswith("![", start - 1) and "![" in src[start:]:
        return _skip(state)  # a picture within the words of another is words, too
    if end < 0:
        state.pos += 1
        return True
    if not silent:
        state.pos, state.posMax = start + 1, end
        state.md.inline.tokenize(state)
        state.posMax = len(src)
    return _skip(state)


def _is_open_destination(src: str, start: int) -> bool:
    """Whether the text ends within the parentheses behind a label."""
    if not src.startswith("(", start):
        return False
    rest = src[start + 1 :].lstrip()
    angled = _ANGLED.match(rest)
    match = angled or _BARE.match(rest)
    if not match or match.end() > LONGEST_URL:
        return False
    steps = () if angled else _PARENTHESIS.findall(_ESCAPED.sub("", match[0]))
    depths = list(accumulate(1 if step == "(" else -1 for step in steps))
    if depths and min(depths) < 0:
        return False
    if match.end() == len(rest):
        return True
    if depths and depths[-1]:
        return False
    title = _OPEN_TITLE_BEHIND.match(rest, match.end()) or _TITLE_BEHIND.match(rest, match.end())
    return title is not None


def _is_defined(env: Any, label: str) -> bool:
    return normalizeReference(label) in env["references"]


def _exclamation_mark(state: StateInline, silent: bool) -> bool:
    start = state.pos
    if start + 1 == state.posMax:
        return _skip(state)
    if state.src[start + 1] != "[":
        return False
    state.pos += 1
    if _bracket(state, silent):
        return True
    state.pos = start
    return False


_RULES: Final[Mapping[str, Callable[[StateInline, bool], bool]]] = {
    **dict.fromkeys("*_~", _mark_at_end),
    "`": open_code.backticks,
    "\\": _backslash,
    "$": open_code.dollar,
    "[": _bracket,
    "]": _wait_for(re.compile(r"\]\Z")),
    "!": _exclamation_mark,
    "<": _wait_for(_TAG),
    "&": _wait_for(_ENTITY),
}
"""By the character at which something may begin."""


def _close_marks(state: StateInline) -> None:
    """Turn the marks that wait for a closer into emphasis up to the end of the open text."""
    tokens = state.tokens
    if not is_open_text(state.tokens, state.env):
        return
    if state.env[_PARAGRAPH]:
        _hide_borders(tokens)
    closers: list[Token] = []
    run: list[Delimiter] = []
    for delimiter in _unmatched(state.delimiters):
        if run and (delimiter.marker, delimiter.token) != (run[0].marker, run[-1].token + 1):
            closers += _open_emphasis(tokens, run)
            run = []
        run.append(delimiter)
    closers += _open_emphasis(tokens, run)
    tokens.extend(reversed(closers))


def _finish_text(state: StateInline) -> None:
    """Join the code that is open, and hide what may become a mark at the end of the text."""
    if not is_open_text(state.tokens, state.env):
        return
    tokens = state.tokens
    open_code.join_code(tokens)
    last = next((token for token in reversed(tokens) if token.nesting >= 0), None)
    if last and last.type == "text":
        last.content = _SOURCE.sub("", last.content).rstrip()
        if last is tokens[0] and _TASK.fullmatch(last.content):
            last.content = ""  # it is the mark of a task, if a word follows


def _unmatched(delimiters: list[Delimiter]) -> list[Delimiter]:
    """Find the marks that may still be closed."""
    found: list[Delimiter] = []
    index = 0
    while index < len(delimiters):
        delimiter = delimiters[index]
        if delimiter.end >= 0:
            index = delimiter.end  # nothing within a pair can be closed any more
        elif delimiter.open:
            found.append(delimiter)
        index += 1
    return found


def _open_emphasis(tokens: list[Token], run: list[Delimiter]) -> list[Token]:
    """Make the tokens of a run of marks open emphasis, and return those that close it."""
    closers: list[Token] = []
    rest = [tokens[delimiter.token] for delimiter in run]
    while rest:
        width = 2 if len(rest) % 2 == 0 and rest[0].content != "~~" else 1
        tag = "s" if rest[0].content == "~~" else ("em", "strong")[width - 1]
        for token in rest[:width]:
            token.content = ""
        opener = rest[width - 1]
        opener.type, opener.tag, opener.nesting = f"{tag}_open", tag, 1
        closers.append(Token(f"{tag}_close", tag, -1))
        rest = rest[width:]
    return closers


def _hide_borders(tokens: list[Token]) -> None:
    """Hide the bars in the last line, which may become the header of a table."""
    breaks = [i for i, token in enumerate(tokens) if token.type in {"softbreak", "hardbreak"}]
    texts = [token for token in tokens[breaks[-1] + 1 if breaks else 0 :] if token.type == "text"]
    is_row = bool(texts) and texts[0].content.startswith("|")
    for token in texts:
        if "|" in token.content:
            token.content = (_BAR if is_row else _CELL_BORDER).sub("", token.content)
