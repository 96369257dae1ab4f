"""The Markdown parser: markdown-it with CommonMark, tables, strikethrough and our own rules."""

from __future__ import annotations

import functools
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.ruler import RuleOptionsType

from runagent_jupyter.data.data_uris import number_of
from runagent_jupyter.html import block_syntax, syntax
from runagent_jupyter.html.annotations import annotate
from runagent_jupyter.html.cjk import InlineParser
from runagent_jupyter.html.first_characters import run_by_first_character
from runagent_jupyter.html.inline_tags import inline_tag, pair_tags
from runagent_jupyter.html.open_syntax import add_open_syntax
from runagent_jupyter.html.render_rules import RENDER_RULES
from runagent_jupyter.html.renderer import Renderer
from runagent_jupyter.html.text_marks import mark_text

NESTING: Final = 40
"""Levels of blocks that are parsed; a list takes two."""


_ENDS_PARAGRAPH: Final[RuleOptionsType] = {"alt": ["paragraph", "reference", "blockquote", "list"]}

_ASKED: Final = ("tasklists", "strikethrough_single_tilde")
"""Options that are off, and that rules ask for at every list item or text: markdown-it takes three
times as long to find one that is not set."""


class _Parser(MarkdownIt):
    def configure(self, *args: Any, **kwargs: Any) -> MarkdownIt:
        self.inline = InlineParser()
        return super().configure(*args, **kwargs)

    def normalizeLink(self, url: str) -> str:  # noqa: N802  # markdown-it's name
        return url if number_of(url) is not None else super().normalizeLink(url)

    def validateLink(self, url: str) -> bool:  # noqa: N802
        """Take any address for one; those that are not safe are left out when a link is shown."""
        del url
        return True


@functools.cache
def parser(*, line_breaks: bool = True, is_open: bool = False) -> MarkdownIt:
    """Build the parser, once.

    Args:
        line_breaks: Whether the end of a line in running text is kept.
        is_open: Whether the text breaks off, so that what is open at its end has to be closed.

    Returns:
        The parser. HTML in Markdown is text to it, except for the few tags that become tokens.
    """
    options = {"html": False, "xhtmlOut": False, "maxNesting": NESTING, "breaks": line_breaks}
    options |= dict.fromkeys(_ASKED, False)
    made = _Parser("commonmark", options, renderer_cls=Renderer)
    for name, rule in RENDER_RULES.items():
        made.add_render_rule(name, rule)
    made.enable(["table", "strikethrough"]).disable(["html_block", "html_inline"])
    block = made.block.ruler
    block.at("reference", block_syntax.reference_definition)
    block.at("table", block_syntax.bounded_table, {"alt": ["paragraph", "reference"]})
    block.at("fence", block_syntax.markdown_fence, _ENDS_PARAGRAPH)
    block.before("fence", "math", block_syntax.math_block, _ENDS_PARAGRAPH)
    block.before("fence", "fold", block_syntax.fold_block, _ENDS_PARAGRAPH)
    block.before("fence", "note", block_syntax.note, _ENDS_PARAGRAPH)
    inline = made.inline.ruler
    inline.before("escape", "math", syntax.math_inline)
    inline.before("escape", "bare_url", syntax.bare_url)
    inline.before("link", "footnote", syntax.footnote)
    inline.before("autolink", "tag", inline_tag)
    inline.at("link", syntax.bounded_link)
    inline.at("image", syntax.bounded_image)
    inline.at("autolink", syntax.safe_autolink)
    made.inline.ruler2.push("tags", pair_tags)
    made.core.ruler.push("marks", mark_text)
    made.core.ruler.push("annotate", annotate)
    if is_open:
        add_open_syntax(made, _ENDS_PARAGRAPH)
    run_by_first_character(made)
    return made
