"""Text as HTML that shows exactly that text."""

from __future__ import annotations

import html
import re

from runagent_jupyter.control_characters import strip_controls

_ACTIVE_IN_TEX = re.compile(r"[$\\]")
_HARMLESS = re.compile(r"[\w \n.,:;!?()/*+=\[\]{}|-]*", re.ASCII)


def escape(text: str) -> str:
    r"""Escape text for use inside an element.

    A page's TeX typesetter looks for ``$``, ``\(`` and ``\begin`` in running text, and does not
    join text across element boundaries. Each ``$`` and each backslash therefore gets an element of
    its own.

    Args:
        text: Any text.

    Returns:
        HTML for the content of an element. It is safe in a quoted attribute too, but not pretty.
    """
    if _HARMLESS.fullmatch(text):
        return text
    return _ACTIVE_IN_TEX.sub(r"<span>\g<0></span>", html.escape(strip_controls(text), quote=True))


def plain(text: str) -> str:
    """Show text with its line breaks and spaces, in a ``<pre>``.

    Args:
        text: Any text.

    Returns:
        Safe HTML.
    """
    return f'<pre class="runagent-plain" dir="auto">{html.escape(strip_controls(text))}</pre>\n'
