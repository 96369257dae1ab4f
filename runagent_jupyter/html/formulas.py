"""Formulas in HTML: their delimiters, their element, and their conversion from TeX to MathML."""

from __future__ import annotations

import html
import re
from typing import Final

from runagent_jupyter.html.mathml import to_mathml

CLOSERS: Final = {"$$": "$$", "\\[": "\\]", "\\(": "\\)"}
"""The closing delimiter of a formula, by its opening delimiter."""

# Text cannot contain such an element, because ``<`` is escaped there.
_ELEMENT = re.compile(
    r'(<(?:span|div) class="runagent-math">)\\([(\[])([^<]*)\\[)\]](?=</(?:span|div)>)'
)


def formula(tag: str, tex: str) -> str:
    """Put a formula into its element.

    Args:
        tag: ``span`` within a line, ``div`` on a line of its own.
        tex: The formula with its delimiters.

    Returns:
        HTML to be sanitized.
    """
    return f'<{tag} class="runagent-math">{html.escape(tex)}</{tag}>'


def typeset(content: str) -> str:
    """Convert the formulas in HTML to MathML, for pages without a TeX typesetter.

    Args:
        content: Sanitized HTML of this package, with its formulas as TeX.

    Returns:
        Safe HTML. Formulas that cannot be converted stay TeX.
    """
    return _ELEMENT.sub(_converted, content) if "runagent-math" in content else content


def _converted(match: re.Match[str]) -> str:
    mathml = to_mathml(html.unescape(match[3]), block=match[2] == "[")
    return match[0] if mathml is None else match[1] + mathml
