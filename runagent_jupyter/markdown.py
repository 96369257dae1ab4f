"""Untrusted text to safe HTML, whole or as it streams: the only place that makes HTML from it."""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import resources
from itertools import islice
from typing import Any, Final

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock, reference, table
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline, image, link
from markdown_it.token import Token

from runagent_jupyter._controls import TextStream, strip_controls
from runagent_jupyter._mathml import to_mathml
from runagent_jupyter._pieces import MATH_CLOSERS, Piece, Splitter, closed
from runagent_jupyter._tex import is_safe_tex

__all__ = [
    "CODE_HEAD",
    "MarkdownStream",
    "TextStream",
    "closed",
    "code",
    "css",
    "escape",
    "json_tree",
    "plain",
    "render",
    "strip_controls",
    "typeset",
    "wrap",
]

# Bounds in characters, so that work grows with the text and not with its square, whatever it says.
_URL: Final = 2_048
_FORMULA: Final = 2_048
_HIGHLIGHT: Final = 65_536
_NESTING: Final = 40  # levels of the block parser; a list takes two
_BRACKETS: Final = 500  # in a piece of text; more are no links, and would be slow to tell
_REFERENCE_BUDGET: Final = 100_000  # of URL, beyond the length of the text itself


# --- HTML ---------------------------------------------------------------------------------------

CODE_HEAD: Final = '<div class="runagent-code-head">'
"""What a block of code begins with; text cannot contain it, as its ``<`` is escaped."""


def _own(*names: str) -> frozenset[str]:
    return frozenset(f"runagent-{name}" for name in names)


# Of highlighted code. Short, because there is one for every word: Pygments' own names, prefixed.
_TOKENS: Final = frozenset(
    {"ra-cp", "ra-err", "ra-gd", "ra-gi", "ra-k", "ra-m"}
    | {"ra-na", "ra-nb", "ra-nd", "ra-nf", "ra-nt", "ra-s"}
)
# Shorter still, for what is most of the code; seen without the style sheet too.
_TOKEN_ELEMENTS: Final[Mapping[str, str]] = {"ra-c": "i", "ra-k": "b", "ra-s": "samp"}
_CLASSES: Final[Mapping[str, frozenset[str]]] = {
    "div": _own("code", "continued", "code-head", "math", "table", "tree"),
    "details": _own("json"),
    "li": _own("task"),
    "p": _own("continued"),
    "pre": _own("pre", "plain"),
    "span": _own("cut", "key", "language", "mark", "math", "count") | _TOKENS,
    "sup": _own("footnote"),
    "td": _own("center", "right"),
    "th": _own("center", "right"),
}
_DIR: Final = {"dir"}

# The second wall. It trusts nothing of what made the HTML: not the parser, not the highlighter,
# not this file. There is no image, no style, no id and no form in it.
_cleaner = nh3.Cleaner(
    tags={
        *("a", "b", "blockquote", "br", "code", "details", "div", "em", "h1", "h2", "h3", "h4"),
        *("h5", "h6", "hr", "i", "li", "ol", "p", "pre", "s", "samp", "span", "strong"),
        *("summary", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul"),
    },
    clean_content_tags=set(),
    attributes={
        "a": {"href", "title"},
        "details": {"open"},
        "ol": {"start", *_DIR},
        **{f"h{level}": _DIR for level in range(1, 7)},
        **dict.fromkeys(("blockquote", "p", "pre", "span", "table", "ul"), _DIR),
    },
    set_tag_attribute_values={"a": {"target": "_blank"}},
    link_rel="noopener noreferrer nofollow",
    allowed_classes=_CLASSES,
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
)

_ACTIVE_IN_TEX = re.compile(r"[$\\]")
_EMPTY_LINE = re.compile(r"\n([ \t]*)\n")
_HARMLESS = re.compile(r"[\w \n.,:;!?()/*+=\[\]{}|-]*", re.ASCII)


def escape(text: str) -> str:
    r"""Text as HTML that shows exactly this text.

    A page's TeX typesetter looks for ``$``, ``\(`` and ``\begin`` in running text, and does not
    join text over element boundaries: each of these characters gets an element of its own.

    Args:
        text: Any text.

    Returns:
        HTML for the content of an element. It is safe in a quoted attribute too, but not pretty.
    """
    if _HARMLESS.fullmatch(text):
        return text
    return _ACTIVE_IN_TEX.sub(r"<span>\g<0></span>", html.escape(strip_controls(text), quote=True))


def plain(text: str) -> str:
    """Text as it is, in a ``<pre>``.

    Args:
        text: Any text.

    Returns:
        Safe HTML.
    """
    return f'<pre class="runagent-plain" dir="auto">{html.escape(strip_controls(text))}</pre>\n'


def code(text: str, language: str = "", *, continued: bool = False) -> str:
    """A block of code, highlighted by classes, with its language as a label.

    The structure is stable, for what adds a copy button: ``div.runagent-code`` holds `CODE_HEAD`
    and ``pre > code``; a block with the class ``runagent-continued`` continues the one before it.

    Args:
        text: The code. More than 65,536 characters are shown without highlighting.
        language: The info string of a fence; its first word names the language.
        continued: Whether this continues the block of code before it.

    Returns:
        Safe HTML.
    """
    return _cleaner.clean(_code(strip_controls(text), strip_controls(language), continued))


def _code(text: str, language: str, continued: bool = False) -> str:
    words = language.split(maxsplit=1)
    label = words[0][:30] if words else ""
    head = f'<span class="runagent-language">{escape(label)}</span>' if label else ""
    head = "" if continued else f"{CODE_HEAD}{head}</div>"
    return (
        f'<div class="runagent-code{" runagent-continued" if continued else ""}">{head}'
        f'<pre class="runagent-pre" dir="ltr"><code>{_highlight(text, label)}</code></pre></div>\n'
    )


def wrap(content: str, *, styled: bool = True) -> str:
    """The root element that this module's HTML and CSS live in.

    Args:
        content: HTML from this module, or made with its `escape`.
        styled: Whether to put the style sheet into it, for HTML that has to stand alone. Where a
            viewer removes the style sheet, the HTML is plain and readable.

    Returns:
        HTML that touches nothing outside itself.
    """
    style = f"<style>{css()}</style>\n" if styled else ""
    # A notebook exported as Markdown has this HTML in it, and an empty line would end it there.
    content = _EMPTY_LINE.sub(r"\n\1&#10;", content)
    return f'{style}<div class="runagent-markdown">{content}</div>\n'


@functools.cache
def css() -> str:
    """The style sheet, every rule of it below ``.runagent-markdown``; the chat shares its colours.

    Returns:
        CSS. It follows JupyterLab's theme, elsewhere ``prefers-color-scheme``.
    """
    sheet = resources.files(__package__).joinpath("static/markdown.css").read_text("utf-8")
    # Every output carries it, so without comments and most white space.
    sheet = re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)
    sheet = re.sub(r"\s*([{};,])\s*", r"\1", sheet).strip()
    return re.sub(r"([{;][\w-]+): ", r"\1:", sheet).replace(";}", "}")


# --- Highlighting -------------------------------------------------------------------------------

# The agent names the language, so only lexers that people meet are loaded.
_LANGUAGES: Final = frozenset(
    """
    asm bash bat bibtex c c# c++ cfg clojure cmake cmd console cpp cs csharp css csv cython dart
    diff docker dockerfile elixir elm erlang f# fortran fsharp go golang graphql groovy haskell
    hcl hs html http ini ipython ipython3 java javascript jinja jl js json json5 jsonc jsonl jsx
    julia kotlin kt latex less lua make makefile markdown matlab md mysql nginx nim objc ocaml
    octave perl php plaintext postgresql powershell prolog proto protobuf ps1 py py3 pycon
    python python3 r rb rs rst ruby rust sass scala scheme scss sh shell solidity sql sqlite3
    svg swift tcl terraform tex text toml ts tsx typescript verilog vhdl vim vue xml yaml yml
    zig zsh
    """.split()  # noqa: SIM905  # a table of words
)


@functools.cache
def _token_classes() -> tuple[tuple[Any, str], ...]:
    from pygments.token import Comment, Error, Generic, Keyword, Literal, Name, Operator  # noqa: PLC0415  # loaded late

    return (
        (Comment.Preproc, "ra-cp"),
        (Comment, "ra-c"),
        (Keyword, "ra-k"),
        (Operator.Word, "ra-k"),
        (Literal.String, "ra-s"),
        (Literal.Number, "ra-m"),
        (Name.Function, "ra-nf"),
        (Name.Class, "ra-nf"),
        (Name.Builtin, "ra-nb"),
        (Name.Exception, "ra-nb"),
        (Name.Decorator, "ra-nd"),
        (Name.Tag, "ra-nt"),
        (Name.Attribute, "ra-na"),
        (Generic.Deleted, "ra-gd"),
        (Generic.Inserted, "ra-gi"),
        (Generic.Heading, "ra-cp"),
        (Generic.Subheading, "ra-cp"),
        (Generic.Prompt, "ra-c"),
        (Generic.Error, "ra-err"),
        (Generic.Traceback, "ra-err"),
        (Error, ""),
    )


@functools.cache
def _token_class(token_type: Any) -> str:
    return next((name for root, name in _token_classes() if token_type in root), "")


@functools.cache
def _lexer(language: str) -> Any:
    from pygments.lexers import get_lexer_by_name  # noqa: PLC0415  # loaded late
    from pygments.util import ClassNotFound  # noqa: PLC0415

    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def _highlight(text: str, language: str) -> str:
    language = language.lower()
    lexer = _lexer(language) if language in _LANGUAGES and len(text) <= _HIGHLIGHT else None
    if lexer is None:
        return html.escape(text)
    out: list[str] = []
    run: list[str] = []
    run_class = ""
    for _, token_type, value in lexer.get_tokens_unprocessed(text):
        name = _token_class(token_type)
        if name != run_class and not (value.isspace() and run):
            out.append(_span(run_class, "".join(run)))
            run, run_class = [], name
        run.append(value)
    out.append(_span(run_class, "".join(run)))
    return "".join(out)


def _span(name: str, text: str) -> str:
    content = html.escape(text)
    if not name or not text:
        return content
    if element := _TOKEN_ELEMENTS.get(name):
        return f"<{element}>{content}</{element}>"
    return f'<span class="{name}">{content}</span>'


# --- Markdown, one piece at a time --------------------------------------------------------------

_SAFE_URL = re.compile(
    r"https?://[^\s/?#@\\%<>\"]+(?:[/?#][^\s\\<>\"]*)?|mailto:[^\s\\<>\"?]+(?:\?[^\s\\<>\"]*)?",
    re.IGNORECASE,
)
_BARE_URL = re.compile(r"://[^\s<>\"`\\$|{}^\x00-\x20]+")


class _Parser(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802  # markdown-it's name
        """Only absolute http, https and mailto, without a user name to pose as a host."""
        return len(url) <= _URL and _SAFE_URL.fullmatch(url) is not None


class _References:
    """Link reference definitions: the finished ones, and over them those of one piece.

    Remembers which labels were looked up in vain, and how much text the definitions have put into
    the page: a long address used thousands of times must not blow up the page.
    """

    def __init__(self, below: _References | None = None, budget: int = 0) -> None:
        self.own: dict[str, dict[str, Any]] = {}
        self.missed: set[str] = set()
        self.spent = 0
        self._budget = budget
        self._below = below.own if below else {}

    def __contains__(self, label: str) -> bool:
        return label in self.own or label in self._below

    def __setitem__(self, label: str, definition: dict[str, Any]) -> None:
        self.own[label] = definition

    def get(self, label: str, default: None = None) -> dict[str, Any] | None:
        """The definition of a label, as long as the budget lasts."""
        found = self._below.get(label) or self.own.get(label)
        if found is None:
            self.missed.add(label)
        elif self.spent < self._budget:
            self.spent += len(found["href"])
            return found
        return default


def _link(url: str) -> str:
    shown = html.escape(url)
    return f'<a href="{shown}" title="{shown}">' if url else "<a>"


def _open_link(_: Any, tokens: Sequence[Token], idx: int, _options: Any, env: Any) -> str:
    env["in_link"] = True
    return _link(str(tokens[idx].attrGet("href") or ""))


def _close_link(_: Any, _tokens: Sequence[Token], _idx: int, _options: Any, env: Any) -> str:
    env["in_link"] = False
    return "</a>"


def _image(
    renderer: RendererHTML, tokens: Sequence[Token], idx: int, options: Any, env: Any
) -> str:
    """A link to the image: loading it would tell its server what the agent has read."""
    shown = f"[image: {escape(renderer.renderInlineAsText(tokens[idx].children, options, env))}]"
    url = str(tokens[idx].attrGet("src") or "")
    return shown if env.get("in_link") else f"{_link(url)}{shown}</a>"


def _math(tag: str, tex: str) -> str:
    return f'<{tag} class="runagent-math">{html.escape(tex)}</{tag}>'


# Text contains no such element: its ``<`` is escaped.
_FORMULA_ELEMENT = re.compile(
    r'(<(?:span|div) class="runagent-math">)\\([(\[])([^<]*)\\[)\]](?=</(?:span|div)>)'
)


def typeset(content: str) -> str:
    """HTML of this module with its formulas as MathML, for pages that typeset no TeX.

    Args:
        content: Safe HTML, with formulas as TeX.

    Returns:
        Safe HTML. Formulas that cannot be converted are TeX still.
    """
    return _FORMULA_ELEMENT.sub(_typeset, content) if "runagent-math" in content else content


def _typeset(match: re.Match[str]) -> str:
    made = to_mathml(html.unescape(match[3]), block=match[2] == "[")
    return match[0] if made is None else match[1] + made


def _task_mark(box: str) -> str:
    return f'<span class="runagent-mark">{box}</span> '


def _footnote_mark(label: str) -> str:
    return f'<sup class="runagent-footnote">{escape(label)}</sup>'


_RENDER_RULES: Final[Mapping[str, Callable[..., str]]] = {
    "text": lambda _, tokens, idx, *_rest: escape(tokens[idx].content),
    "code_inline": lambda _, tokens, idx, *_rest: (
        f"<code>{html.escape(tokens[idx].content)}</code>"
    ),
    "code_block": lambda _, tokens, idx, *_rest: _code(tokens[idx].content, ""),
    "fence": lambda _, tokens, idx, *_rest: _code(tokens[idx].content, tokens[idx].info),
    "link_open": _open_link,
    "link_close": _close_link,
    "image": _image,
    "math_inline": lambda _, tokens, idx, *_rest: _math("span", tokens[idx].content),
    "math_block": lambda _, tokens, idx, *_rest: _math("div", tokens[idx].content) + "\n",
    "footnote": lambda _, tokens, idx, *_rest: _footnote_mark(tokens[idx].content),
    "task": lambda _, tokens, idx, *_rest: _task_mark(tokens[idx].content),
    "table_open": lambda *_: '<div class="runagent-table"><table dir="auto">\n',
    "table_close": lambda *_: "</table></div>\n",
}


_DOLLAR_MATH = re.compile(r"\$(?![\s$])(?:[^$\\]|\\.){1,2048}(?<!\s)\$(?![\w$])", re.DOTALL)


def _math_inline(state: StateInline, silent: bool) -> bool:
    r"""``$…$``, ``$$…$$``, ``\(…\)`` and ``\[…\]`` in running text."""
    src, start = state.src, state.pos
    if src[start] not in "$\\":
        return False
    opener = src[start : start + 2]
    if opener in MATH_CLOSERS:
        end = src.find(MATH_CLOSERS[opener], start + 2, min(start + _FORMULA, state.posMax))
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


def _math_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    r"""``$$`` or ``\[`` at the start of a line, up to the closing one at the end of a line."""
    first = state.bMarks[start] + state.tShift[start]
    opener = state.src[first : first + 2]
    if opener not in {"$$", "\\["} or state.is_code_block(start):
        return False
    closer = MATH_CLOSERS[opener]
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
    safe = len(tex) <= _FORMULA and is_safe_tex(tex)
    token = state.push("math_block" if safe else "fence", "", 0)
    token.content = f"\\[{tex}\\]" if safe else f"{opener}\n{tex}\n{closer}\n"
    token.info = "" if safe else "latex"
    token.map = [start, number + 1]
    state.line = number + 1
    return True


def _bare_url(state: StateInline, silent: bool) -> bool:
    """``https://…`` in running text."""
    if state.src[state.pos] != ":" or silent or state.linkLevel:
        return False
    scheme = re.search(r"(?<![\w.+-])https?\Z", state.pending[-8:], re.IGNORECASE)
    match = scheme and _BARE_URL.match(state.src, state.pos, min(state.pos + _URL, state.posMax))
    if not scheme or not match or len(match[0]) > _URL - len("https"):
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


_FOOTNOTE = re.compile(r"\[\^([^\s\[\]]{1,50})\]")


def _footnote(state: StateInline, silent: bool) -> bool:
    """``[^1]``, where it is used and where it is explained: notes stay where they were written."""
    match = _FOOTNOTE.match(state.src, state.pos, state.posMax)
    if not match:
        return False
    if not silent:
        state.push("footnote", "", 0).content = match[1]
    state.pos = match.end()
    return True


def _has_links(state: StateInline) -> bool:
    return state.src[state.pos] in "![" and state.src.count("[") <= _BRACKETS


def _inline_link(state: StateInline, silent: bool) -> bool:
    return _has_links(state) and link(state, silent)


def _inline_image(state: StateInline, silent: bool) -> bool:
    return _has_links(state) and image(state, silent)


def _reference(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    footnote = state.src.startswith("[^", state.bMarks[start] + state.tShift[start])
    return not footnote and reference(state, start, end, silent)


def _table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A table, unless most of its cells would be made up to fill short rows."""
    columns = state.src.count("|", state.bMarks[start], state.eMarks[start])
    filled = columns * (end - start) <= state.eMarks[end - 1] - state.bMarks[start]
    return filled and table(state, start, end, silent)


# The first letter that has a direction: Hebrew, Arabic and their kin, or any other.
_STRONG: Final = re.compile(
    r"([\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff])|[^\W\d_]"
)
_ALIGN: Final = {"text-align:center": "runagent-center", "text-align:right": "runagent-right"}


def _mark_up(state: StateCore) -> None:
    """Direction, alignment and task lists, in attributes that the second wall lets through."""
    tokens = state.tokens
    # A browser looks for the direction of a list or a quote in none of its paragraphs.
    direction = "auto"
    for token in reversed(tokens):
        if token.type == "inline" and (strong := _STRONG.search(token.content)):
            direction = "rtl" if strong[1] else "auto"
        elif token.nesting == 1 and token.tag in {"blockquote", "ol", "ul"}:
            token.attrs["dir"] = direction
    for index, token in enumerate(tokens):
        if token.tag in {"th", "td"}:
            if align := _ALIGN.get(str(token.attrs.pop("style", ""))):
                token.attrs["class"] = align
        elif token.nesting == 1 and token.tag not in {"li", "table", "thead", "tbody", "tr"}:
            token.attrs.setdefault("dir", "auto")
        elif (
            index > 1
            and token.type == "inline"
            and token.children
            and token.children[0].type == "text"
            and tokens[index - 2].type == "list_item_open"
            and (match := re.match(r"\[([ xX])\]\s+", token.children[0].content))
        ):
            token.children[0].content = token.children[0].content[match.end() :]
            mark = Token("task", "", 0, content="\u2610" if match[1] == " " else "\u2611")
            token.children.insert(0, mark)
            tokens[index - 2].attrs["class"] = "runagent-task"


@functools.cache
def _parser() -> _Parser:
    parser = _Parser("commonmark", {"html": False, "xhtmlOut": False, "maxNesting": _NESTING})
    for name, rule in _RENDER_RULES.items():
        parser.add_render_rule(name, rule)
    parser.enable(["table", "strikethrough"]).disable(["html_block", "html_inline"])
    parser.block.ruler.at("reference", _reference)
    parser.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})
    parser.block.ruler.before(
        "fence", "math", _math_block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    parser.inline.ruler.before("escape", "math", _math_inline)
    parser.inline.ruler.before("escape", "bare_url", _bare_url)
    parser.inline.ruler.before("link", "footnote", _footnote)
    parser.inline.ruler.at("link", _inline_link)
    parser.inline.ruler.at("image", _inline_image)
    parser.core.ruler.push("mark_up", _mark_up)
    return parser


# --- The stream ---------------------------------------------------------------------------------


def render(text: str) -> str:
    """Markdown as safe HTML.

    CommonMark with tables, strikethrough, task lists, footnote marks, bare links and TeX formulas.
    HTML in it is shown as text, an image as a link to it. Nothing is loaded, nothing runs.

    Args:
        text: Any text, of any size: the work grows linearly.

    Returns:
        HTML to be put into `wrap`.
    """
    stream = MarkdownStream()
    stream.feed(text)
    stream.finish()
    return stream.html()


class MarkdownStream:
    """Markdown that comes in chunks, as HTML that grows at its end.

    The text is cut into blocks: paragraphs, lists, …; one longer than about 8,000 characters into
    several. A finished block does not change any more, with one exception: links by reference whose
    definition came later (``[text][1]``, and at the end ``[1]: https://…``) get filled in by
    `finish`.

    A display shows each block that `feed` returns once, and below them `tail`, as often as it
    likes: that costs in proportion to `tail_size`, which stays below about 17,000 characters, but
    for a single list item that is longer: below 41,000. At the end it removes the tail, shows the
    blocks that `finish` returns and replaces those in `revised`, or simply shows `html`. The blocks
    are then the same, byte for byte, for every way to cut the text into chunks, and `render`'s.
    """

    def __init__(self) -> None:
        self._controls = TextStream()
        self._splitter = Splitter()
        self._references = _References()
        self._spent = 0
        self._waiting: dict[int, tuple[Piece, set[str]]] = {}
        self._blocks: list[str] = []
        self.revised: dict[int, str] = {}
        """After `finish`: by position, the new HTML of blocks returned earlier."""

    @property
    def blocks(self) -> Sequence[str]:
        """The HTML of all finished blocks so far."""
        return self._blocks

    @property
    def tail_size(self) -> int:
        """How many characters are waiting in the tail."""
        return self._splitter.size

    def feed(self, chunk: str) -> list[str]:
        """Take the next chunk.

        Returns:
            The HTML of the blocks that it finished, in order.
        """
        return self._commit(self._splitter.feed(self._controls.feed(chunk)))

    def tail(self) -> str:
        """The unfinished rest as it looks now, what is open in it closed.

        Returns:
            HTML to show below the finished blocks until the next call; empty after `finish`.
        """
        references = self._lookup()
        return "".join(_render_piece(piece, references) for piece in self._splitter.preview())

    def finish(self) -> list[str]:
        """End the text.

        Returns:
            The HTML of the last blocks. Earlier ones that got their links only now: `revised`.
        """
        pieces = self._splitter.feed(self._controls.finish())
        last = self._commit(pieces + self._splitter.finish())
        for position, (piece, missed) in self._waiting.items():
            if any(label in self._references for label in missed):
                revised = self._render(piece)[0]
                self._blocks[position] = self.revised[position] = revised
        self._waiting.clear()
        return last

    def html(self) -> str:
        """All that has come so far.

        Returns:
            The finished blocks and the tail, as one HTML text.
        """
        return "".join(self._blocks) + self.tail()

    def _lookup(self) -> _References:
        budget = _REFERENCE_BUDGET + self._splitter.seen - self._spent
        return _References(self._references, budget)

    def _render(self, piece: Piece) -> tuple[str, _References]:
        references = _References(self._references, _REFERENCE_BUDGET + piece.end - self._spent)
        rendered = _render_piece(piece, references)
        self._spent += references.spent
        return rendered, references

    def _commit(self, pieces: Iterable[Piece]) -> list[str]:
        first = len(self._blocks)
        for piece in pieces:
            rendered, references = self._render(piece)
            self._references.own.update(references.own)
            if references.missed:
                self._waiting[len(self._blocks)] = piece, references.missed
            if rendered:
                self._blocks.append(rendered)
        return self._blocks[first:]


def _render_piece(piece: Piece, references: _References) -> str:
    if piece.kind == "fence":
        return _cleaner.clean(_code(piece.text, piece.info, piece.continued))
    parser = _parser()
    env: dict[str, Any] = {"references": references}
    if piece.kind == "rest":
        tokens = parser.parseInline(piece.text, env)
        content = parser.renderer.render(tokens, parser.options, env)
        return _cleaner.clean(f'<p class="runagent-continued" dir="auto">{content}</p>\n')
    tokens = parser.parse(piece.text, env)
    if any(token.level >= _NESTING - 1 for token in tokens):
        return plain(piece.text)  # the parser leaves out what is nested deeper
    return _cleaner.clean(parser.renderer.render(tokens, parser.options, env))


# --- Values -------------------------------------------------------------------------------------

_DEPTH: Final = 24
_ITEMS: Final = 200  # of one list or dict
_NODES: Final = 5_000  # of the whole tree
_STRING: Final = 4_000  # characters of one string
_CHARACTERS: Final = 200_000  # of all of them


def json_tree(value: Any) -> str:
    """A value as a tree that unfolds without a script.

    Args:
        value: What JSON can say; anything else is shown by its ``repr``. Shown are at most 24
            levels, 200 items of each, 4,000 characters of a string, 5,000 values and 200,000
            characters in all.

    Returns:
        Safe HTML. Where something is left out, it says how much.
    """
    return _cleaner.clean(f'<div class="runagent-tree">{_Tree().node("", value, 0)}</div>\n')


class _Tree:
    def __init__(self) -> None:
        self._nodes = 0
        self._characters = 0

    def node(self, label: str, value: Any, depth: int) -> str:
        self._nodes += 1
        if isinstance(value, Mapping | list | tuple):
            return self._branch(label, value, depth)
        if isinstance(value, str):
            return label + self._text(value, "ra-s", "&quot;")
        if value is None or isinstance(value, bool):
            word = {None: "null", True: "true", False: "false"}[value]
            return f'{label}<span class="ra-k">{word}</span>'
        return label + self._text(_shown(value), "ra-m")

    def _text(self, text: str, name: str, quote: str = "") -> str:
        size = max(0, min(_STRING, _CHARACTERS - self._characters))
        self._characters += min(size, len(text))
        shown = f"{quote}{escape(text[:size])}{quote}"
        cut = _cut(len(text) - size, "character")
        return f'<span class="{name}" dir="auto">{shown}</span>{cut}'

    def _branch(self, label: str, value: Mapping[Any, Any] | Sequence[Any], depth: int) -> str:
        keyed = isinstance(value, Mapping)
        noun = "key" if keyed else "item"
        left, right = "{}" if keyed else "[]"
        total = len(value)
        if not total:
            return f"{label}{left}{right}"
        if depth >= _DEPTH:
            return f"{label}{left}{_cut(total, noun)}{right}"
        pairs: Iterable[tuple[Any, Any]] = (
            value.items() if isinstance(value, Mapping) else enumerate(value)
        )
        items: list[str] = []
        for key, item in islice(pairs, _ITEMS):
            if self._nodes >= _NODES:
                break
            head = self._text(key if isinstance(key, str) else _shown(key), "runagent-key") + ": "
            items.append(f"<li>{self.node(head, item, depth + 1)}</li>\n")
        if rest := _cut(total - len(items), noun):
            items.append(f"<li>{rest}</li>\n")
        count = f'<span class="runagent-count">{_count(total, noun)}</span>'
        return (
            f'<details class="runagent-json"{" open" if depth == 0 else ""}>'
            f"<summary>{label}{left}\u2026{right} {count}</summary>"
            f"<ul>\n{''.join(items)}</ul></details>"
        )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _cut(number: int, noun: str) -> str:
    """What says that something was left out, if so."""
    if number <= 0:
        return ""
    more = _count(number, f"more {noun}")
    return f'<span class="runagent-cut"> \u2026 {more}</span>'


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001  # any object may come from an agent in this process
        return f"<{type(value).__name__}: its repr raised {type(error).__name__}>"
