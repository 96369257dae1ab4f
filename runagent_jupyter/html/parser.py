"""The Markdown parser: markdown-it with CommonMark, tables, strikethrough and our own rules."""

from __future__ import annotations

import functools
from typing import Final

from markdown_it import MarkdownIt

from runagent_jupyter.data_uris import number_of
from runagent_jupyter.html import syntax
from runagent_jupyter.html.annotations import annotate
from runagent_jupyter.html.links import is_safe_url
from runagent_jupyter.html.open_syntax import add_open_syntax
from runagent_jupyter.html.render_rules import RENDER_RULES

NESTING: Final = 40
"""Levels of blocks that are parsed; a list takes two."""


class _Parser(MarkdownIt):
    def normalizeLink(self, url: str) -> str:  # noqa: N802  # markdown-it's name
        return url if number_of(url) is not None else super().normalizeLink(url)

    def validateLink(self, url: str) -> bool:  # noqa: N802
        return is_safe_url(url) or number_of(url) is not None


@functools.cache
def parser(*, is_open: bool = False) -> MarkdownIt:
    """Build the parser, once.

    Args:
        is_open: Whether the text breaks off, so that what is open at its end has to be closed.

    Returns:
        The parser. HTML in Markdown is text to it.
    """
    made = _Parser("commonmark", {"html": False, "xhtmlOut": False, "maxNesting": NESTING})
    for name, rule in RENDER_RULES.items():
        made.add_render_rule(name, rule)
    made.enable(["table", "strikethrough"]).disable(["html_block", "html_inline"])
    made.block.ruler.at("reference", syntax.reference_definition)
    made.block.ruler.at("table", syntax.bounded_table, {"alt": ["paragraph", "reference"]})
    made.block.ruler.before("fence", "math", syntax.math_block, {"alt": syntax.FORMULA_ENDS})
    made.inline.ruler.before("escape", "math", syntax.math_inline)
    made.inline.ruler.before("escape", "bare_url", syntax.bare_url)
    made.inline.ruler.before("link", "footnote", syntax.footnote)
    made.inline.ruler.at("link", syntax.bounded_link)
    made.inline.ruler.at("image", syntax.bounded_image)
    made.core.ruler.push("annotate", annotate)
    if is_open:
        add_open_syntax(made)
    return made
