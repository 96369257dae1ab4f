"""Formulas in HTML: their delimiters, their element, and their conversion from TeX to MathML."""

from __future__ import annotations

import html
import re
from typing import Final

from runagent_jupyter.html.mathml import to_mathml
from runagent_jupyter.html.tex_allowlist import ENVIRONMENTS

CLOSERS: Final = {"$$": "$$", "\\[": "\\]", "\\(": "\\)"}
"""The closing delimiter of a formula, by its opening delimiter."""

LONGEST_FORMULA: Final = 2_048
"""Characters of a formula; a longer one is code."""

_BEGIN = re.compile(rf"\\begin\{{((?:{'|'.join(sorted(ENVIRONMENTS))})\*?)\}}")

# Text cannot contain such an element, because ``<`` is escaped there.
_ELEMENT = re.compile(
    r'(?P<element><(?:span|div) class="ra-math">)'
    r"(?P<formula>\\(?P<open>[(\[])(?P<tex>[^<]*)\\[)\]])(?=</(?:span|div)>)"
)


def math_marks(text: str) -> tuple[str, str] | None:
    """Find the delimiters of a formula on lines of its own.

    Args:
        text: The line on which it may begin.

    Returns:
        The opening and the closing one, or `None` if no such formula begins here. An environment
        for formulas needs no other delimiters than its own.
    """
    if text[:2] in {"$$", "\\["}:
        return text[:2], CLOSERS[text[:2]]
    match = _BEGIN.match(text)
    return (match[0], f"\\end{{{match[1]}}}") if match else None


def is_math_mark(line: str) -> bool:
    """Check whether a line has nothing in it but the opening delimiter of a formula.

    Such a formula may have empty lines in it. Behind another line, an empty one shows that the
    delimiter was none.
    """
    content = line.strip()
    marks = math_marks(content)
    return marks is not None and marks[0] == content


def formula(tag: str, tex: str) -> str:
    """Put a formula into its element.

    Args:
        tag: ``span`` within a line, ``div`` on a line of its own.
        tex: The formula with its delimiters.

    Returns:
        HTML to be sanitized.
    """
    return f'<{tag} class="ra-math">{html.escape(tex)}</{tag}>'


def typeset(content: str) -> str:
    """Convert the formulas in HTML to MathML, which needs no typesetter, and keep their TeX.

    The TeX is there for copying, and for viewers that remove MathML. The style sheet shows the
    MathML alone. JupyterLab removes MathML and styles from notebooks that it does not trust, but
    not `style="display:none"`; and it typesets the TeX, because it removes the unknown element and
    with it the class that keeps typesetters away.

    Args:
        content: Sanitized HTML of this package, with its formulas as TeX.

    Returns:
        Safe HTML. Formulas that cannot be converted stay TeX.
    """
    return _ELEMENT.sub(_converted, content) if "ra-math" in content else content


def _converted(match: re.Match[str]) -> str:
    mathml = to_mathml(html.unescape(match["tex"]), block=match["open"] == "[")
    if mathml is None:
        return match[0].replace('-math"', '-math ra-raw"', 1)
    # Not the attribute `hidden`, because marimo has a rule for it that no style sheet can undo.
    return (
        f'{match["element"]}<ra-tex class="mathjax_ignore tex2jax_ignore" aria-hidden="true">'
        f"{match['formula']}</ra-tex>"
        f'<span style="display:none">{mathml}</span>'
    )
