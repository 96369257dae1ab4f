"""Added to parsed Markdown: directions, alignment of cells, marks of tasks, notes and alerts."""

from __future__ import annotations

import re
from typing import Final

from markdown_it.rules_core import StateCore
from markdown_it.token import Token

# The first letter that has a direction: Hebrew, Arabic or a related script (group 1), or another.
_STRONG: Final = re.compile(
    r"([\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff])|[^\W\d_]"
)
_ALIGNMENT: Final = {
    "text-align:center": "center",
    "text-align:right": "right",
}


_HUES: Final = {
    "note": "",
    "tip": "ra-nb",
    "important": "ra-cp",
    "warning": "ra-warning",
    "caution": "ra-err",
}
"""The class that gives an alert its colour; most of these colours are those of code."""

_ALERT = re.compile(
    r"\[!(note|tip|important|warning|caution)\][ \t]*(?:\n|\Z)", re.IGNORECASE | re.ASCII
)


def annotate(state: StateCore) -> None:
    """Add directions, alignment and marks to the tokens, in ways that the sanitizer allows."""
    tokens = state.tokens
    if "[^" in state.src:
        _mark_notes(tokens)
    if "[!" in state.src:
        _mark_alerts(tokens)
    # With dir="auto", a browser does not look into the paragraphs of a list or a quote.
    direction = "auto"
    for token in reversed(tokens):
        if token.type == "inline" and (strong := _STRONG.search(token.content)):
            direction = "rtl" if strong[1] else "auto"
        elif token.nesting == 1 and token.tag in {"blockquote", "ol", "ul"}:
            token.attrs["dir"] = direction
    for index, token in enumerate(tokens):
        if token.tag in {"th", "td"}:
            if name := _ALIGNMENT.get(str(token.attrs.pop("style", ""))):
                token.attrs["align"] = name  # viewers that remove classes and styles keep it
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
            tokens[index - 2].attrs["class"] = "ra-task"


def _mark_notes(tokens: list[Token]) -> None:
    """Put the label of each footnote before its text, or above its first block."""
    for index in range(len(tokens) - 1, -1, -1):
        if tokens[index].type != "note_open":
            continue
        label = Token("footnote", "", 0, content=tokens[index].content)
        if tokens[index + 1].type == "paragraph_open":
            space = Token("text", "", 0, content=" ")
            tokens[index + 2].children = [label, space, *(tokens[index + 2].children or ())]
        else:
            tokens[index + 1 : index + 1] = [
                Token("paragraph_open", "p", 1, block=True),
                Token("inline", "", 0, children=[label]),
                Token("paragraph_close", "p", -1, block=True),
            ]


def _mark_alerts(tokens: list[Token]) -> None:
    """Make alerts of the quotes whose first line is ``[!NOTE]`` or the like, as GitHub does."""
    for index, token in enumerate(tokens[:-2]):
        inline = tokens[index + 2]
        if token.type != "blockquote_open" or token.level or inline.type != "inline":
            continue
        match = _ALERT.match(inline.content)
        if not match or not inline.children:
            continue
        kind = match[1].lower()
        token.attrs["class"] = f"ra-alert {_HUES[kind]}".rstrip()
        breaks = [i for i, child in enumerate(inline.children) if child.type.endswith("break")]
        rest = inline.children[breaks[0] + 1 :] if breaks else []
        title = [
            Token("strong_open", "strong", 1),
            Token("text", "", 0, content=kind.capitalize()),
            Token("strong_close", "strong", -1),
        ]
        inline.children = [*title, *([Token("hardbreak", "br", 0)] if rest else []), *rest]
