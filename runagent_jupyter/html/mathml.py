"""Converts TeX formulas to MathML, for pages without a TeX typesetter."""

from __future__ import annotations

import functools
import html
import re
from typing import Final
from xml.etree.ElementTree import Element

import nh3

from runagent_jupyter.html.tex_macros import written_out

_TOKENS: Final = frozenset({"mi", "mn", "mo", "mtext"})
_TAGS: Final = _TOKENS | {
    *("math", "menclose", "mfrac", "mover", "mpadded", "mphantom", "mroot", "mrow", "mspace"),
    *("msqrt", "mstyle", "msub", "msubsup", "msup", "mtable", "mtd", "mtr", "munder"),
    "munderover",
}
_ATTRIBUTES: Final = frozenset(
    """
    accent accentunder columnalign columnlines columnspacing depth display displaystyle fence form
    height largeop linethickness lspace mathcolor mathvariant maxsize minsize movablelimits
    notation rowlines rowspacing rspace scriptlevel separator stretchy voffset width
    """.split()  # noqa: SIM905  # a table of words
)
_CHILDREN: Final = {
    **dict.fromkeys(("mfrac", "mover", "mroot", "msub", "msup", "munder"), 2),
    **dict.fromkeys(("msubsup", "munderover"), 3),
    **dict.fromkeys(_TOKENS, 0),
}
_VALUE: Final = re.compile(r"[\w.+ -]{1,40}", re.ASCII)

_cleaner = nh3.Cleaner(
    tags=set(_TAGS),
    attributes={tag: set(_ATTRIBUTES) for tag in _TAGS},
    clean_content_tags=set(),
    link_rel=None,
)


class _BeyondError(Exception):
    """The converter misread the formula, or used MathML that only some browsers support."""


@functools.lru_cache(maxsize=1_024)
def to_mathml(tex: str, *, block: bool) -> str | None:
    """Convert a formula to MathML.

    Args:
        tex: A formula that passes `is_safe_tex`, without its delimiters.
        block: Whether the formula stands on a line of its own.

    Returns:
        Safe HTML, or `None` if the formula cannot be converted and has to be shown as TeX.
    """
    from latex2mathml.converter import convert_to_element  # noqa: PLC0415  # loaded late

    try:
        element = convert_to_element(written_out(tex), display="block" if block else "inline")
        return _cleaner.clean(_serialized(element))
    except Exception:  # noqa: BLE001  # any failure of the converter: the formula stays TeX
        return None


def _serialized(element: Element) -> str:
    tag = element.tag
    if tag == "mo" and not element.text and "fence" in element.attrib:
        return ""  # the dot of `\\left.`, which stands for no delimiter
    attributes = {name: value for name, value in element.attrib.items() if name != "xmlns"}
    # The converter writes characters as character references.
    text = html.unescape(element.text or "")
    if (
        tag not in _TAGS
        or not _ATTRIBUTES.issuperset(attributes)
        or not all(map(_VALUE.fullmatch, attributes.values()))
        or len(element) != _CHILDREN.get(tag, len(element))
        or (tag == "mo" and not text)
        or text == "&"
        or "\\" in text
        or "$" in text
    ):
        raise _BeyondError
    shown = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f"<{tag}{shown}>{html.escape(text)}{''.join(map(_serialized, element))}</{tag}>"
