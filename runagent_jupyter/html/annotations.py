"""Attributes added to parsed Markdown: writing direction, alignment of cells, task list marks."""

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


def annotate(state: StateCore) -> None:
    """Add direction, alignment and task marks to the tokens, in ways that the sanitizer allows."""
    tokens = state.tokens
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
            tokens[index - 2].attrs["class"] = "runagent-task"
