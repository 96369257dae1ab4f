"""How the tokens of parsed Markdown become HTML, where markdown-it's own way is not used."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from runagent_jupyter.data_uris import number_of
from runagent_jupyter.html.code_block import code_block
from runagent_jupyter.html.escaping import escape
from runagent_jupyter.html.formulas import formula
from runagent_jupyter.html.links import link_tag


def _open_link(_: Any, tokens: Sequence[Token], idx: int, _options: Any, env: Any) -> str:
    env["in_link"] = True
    url = str(tokens[idx].attrGet("href") or "")
    return link_tag("" if number_of(url) is not None else url)


def _close_link(_: Any, _tokens: Sequence[Token], _idx: int, _options: Any, env: Any) -> str:
    env["in_link"] = False
    return "</a>"


def _image(
    renderer: RendererHTML, tokens: Sequence[Token], idx: int, options: Any, env: Any
) -> str:
    """Show an image that comes as data, and link to any other one.

    Loading it would tell its server what the agent has read.
    """
    url = str(tokens[idx].attrGet("src") or "")
    if (number := number_of(url)) is not None:
        alt = renderer.renderInlineAsText(tokens[idx].children, options, env)
        return str(env["uris"].image(number, alt))
    shown = f"[image: {escape(renderer.renderInlineAsText(tokens[idx].children, options, env))}]"
    return shown if env.get("in_link") else f"{link_tag(url)}{shown}</a>"


def _task_mark(box: str) -> str:
    return f'<span class="runagent-mark">{box}</span> '


def _footnote_mark(label: str) -> str:
    return f'<sup class="runagent-footnote">{escape(label)}</sup>'


RENDER_RULES: Final[Mapping[str, Callable[..., str]]] = {
    "text": lambda _, tokens, idx, *_rest: escape(tokens[idx].content),
    "code_inline": lambda _, tokens, idx, *_rest: (
        f"<code>{html.escape(tokens[idx].content)}</code>"
    ),
    "code_block": lambda _, tokens, idx, _options, env: code_block(
        env["uris"].expanded(tokens[idx].content), ""
    ),
    "fence": lambda _, tokens, idx, _options, env: code_block(
        env["uris"].expanded(tokens[idx].content), tokens[idx].info
    ),
    "link_open": _open_link,
    "link_close": _close_link,
    "image": _image,
    "math_inline": lambda _, tokens, idx, *_rest: formula("span", tokens[idx].content),
    "math_block": lambda _, tokens, idx, *_rest: formula("div", tokens[idx].content) + "\n",
    "footnote": lambda _, tokens, idx, *_rest: _footnote_mark(tokens[idx].content),
    "task": lambda _, tokens, idx, *_rest: _task_mark(tokens[idx].content),
    "table_open": lambda *_: '<div class="runagent-table"><table dir="auto">\n',
    "table_close": lambda *_: "</table></div>\n",
}
"""By type of token."""
