"""How the tokens of parsed Markdown become HTML, where markdown-it's own way is not used."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from runagent_jupyter.data.data_uris import number_of
from runagent_jupyter.html.code_block import code_block
from runagent_jupyter.html.escaping import escape
from runagent_jupyter.html.formulas import formula
from runagent_jupyter.html.links import is_safe_url, link_tag


def _open_link(_: Any, tokens: Sequence[Token], idx: int, _options: Any, env: Any) -> str:
    """Begin a link; of one that must not lead anywhere, only the words are shown."""
    url = str(tokens[idx].attrGet("href") or "")
    is_data = number_of(url) is not None
    env["in_link"] = is_data or is_safe_url(url)
    return link_tag("" if is_data else url) if env["in_link"] else ""


def _close_link(_: Any, _tokens: Sequence[Token], _idx: int, _options: Any, env: Any) -> str:
    was_in_link, env["in_link"] = env["in_link"], False
    return "</a>" if was_in_link else ""


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
    is_link = is_safe_url(url) and not env.get("in_link")
    return f"{link_tag(url)}{shown}</a>" if is_link else shown


def _task_mark(box: str) -> str:
    return f'<span class="ra-mark">{box}</span> '


def _footnote_mark(label: str) -> str:
    return f'<sup class="ra-footnote">{escape(label)}</sup>'


RENDER_RULES: Final[Mapping[str, Callable[..., str]]] = {
    "text": lambda _, tokens, idx, *_rest: escape(tokens[idx].content),
    "code_inline": lambda _, tokens, idx, *_rest: (
        f"<code>{html.escape(tokens[idx].content)}</code>"
    ),
    "code_block": lambda _, tokens, idx, _options, env: code_block(
        env["uris"].expanded(tokens[idx].content), ""
    ),
    "fence": lambda _, tokens, idx, _options, env: code_block(
        env["uris"].expanded(tokens[idx].content), tokens[idx].info, allowance=env["allowance"]
    ),
    "link_open": _open_link,
    "link_close": _close_link,
    "image": _image,
    "math_inline": lambda _, tokens, idx, *_rest: formula("span", tokens[idx].content),
    "math_block": lambda _, tokens, idx, *_rest: formula("div", tokens[idx].content) + "\n",
    "footnote": lambda _, tokens, idx, *_rest: _footnote_mark(tokens[idx].content),
    "task": lambda _, tokens, idx, *_rest: _task_mark(tokens[idx].content),
    "note_open": lambda *_: '<div class="ra-annotation">\n',
    "note_close": lambda *_: "</div>\n",
    "table_open": lambda *_: '<div class="ra-table"><table dir="auto">\n',
    "table_close": lambda *_: "</table></div>\n",
}
"""By type of token."""
