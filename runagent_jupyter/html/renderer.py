"""Writes tokens as HTML, as markdown-it does but with less work for each of them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token


class Renderer(RendererHTML):
    """The renderer of markdown-it, for text with very many blocks."""

    def __init__(self, parser: Any = None) -> None:
        super().__init__(parser)
        self.rules.pop("list_item_open", None)  # tasks have a mark of their own

    def renderToken(  # noqa: N802  # markdown-it's name
        self, tokens: Sequence[Token], idx: int, options: Any, env: Any
    ) -> str:
        """Write a token that has no rule of its own.

        Args:
            tokens: All tokens.
            idx: The position of the token.
            options: Those of the parser.
            env: The surroundings of the text.
        """
        del options, env
        token = tokens[idx]
        if token.hidden:
            return ""
        nesting, tag = token.nesting, token.tag
        attrs = token.attrs
        written = _attributes(tuple(attrs.items())) if attrs else ""
        if not token.block:
            return f"</{tag}>" if nesting == -1 else f"<{tag}{written}>"
        if nesting == -1:
            return f"</{tag}>\n"
        before = "\n" if idx and tokens[idx - 1].hidden else ""
        following = tokens[idx + 1] if nesting == 1 and idx + 1 < len(tokens) else None
        is_inside = following is not None and (
            following.type == "inline"
            or following.hidden
            or (following.nesting == -1 and following.tag == tag)
        )
        return f"{before}<{tag}{written}>" if is_inside else f"{before}<{tag}{written}>\n"


@functools.lru_cache(maxsize=256)
def _attributes(attributes: tuple[tuple[str, str | int | float], ...]) -> str:
    return "".join(f' {escapeHtml(key)}="{escapeHtml(str(value))}"' for key, value in attributes)
