"""The allow-list that all rendered HTML passes: tags, attributes, classes and URL schemes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import nh3


def _own(*names: str) -> frozenset[str]:
    return frozenset(f"runagent-{name}" for name in names)


# Text has many elements and is saved with a style sheet of its own, so the names of its classes are
# short. Those of highlighted code are Pygments' names with the same prefix.
def _of_text(*names: str) -> frozenset[str]:
    return frozenset(f"ra-{name}" for name in names)


_TOKENS: Final = ("cp", "err", "gd", "gi", "k", "m", "na", "nb", "nd", "nf", "nt", "s")
_CLASSES: Final[Mapping[str, frozenset[str]]] = {
    "blockquote": _of_text("alert", "warning", "cp", "err", "nb"),
    "div": _own("records", "tree")
    | _of_text("annotation", "code", "code-head", "continued", "language", "math", "table"),
    "details": _own("json") | _of_text("fold", "thought"),
    "li": _of_text("task"),
    "p": _of_text("continued"),
    "pre": _own("plain") | _of_text("pre"),
    "span": _own("cut", "key", "count", "slot") | _of_text("mark", "math", *_TOKENS),
    "sup": _of_text("footnote"),
}
_DIR: Final = {"dir"}
_ALIGNED: Final = {"align": {"center", "right"}}

_ABSOLUTE: Final = re.compile(r"(?:https?|mailto):", re.IGNORECASE)


def _without_relative_url(_: str, attribute: str, value: str) -> str | None:
    return value if attribute != "href" or _ABSOLUTE.match(value) else None


# Pyodide has nh3 0.3.4, which cannot refuse relative URLs by itself; a filter in Python is slower.
_CAN_REFUSE: Final = "url_relative" in (nh3.Cleaner.__text_signature__ or "")
_REFUSES_RELATIVE_URLS: Final[Mapping[str, Any]] = (
    {"url_relative": "deny"} if _CAN_REFUSE else {"attribute_filter": _without_relative_url}
)

_cleaner = nh3.Cleaner(
    tags={
        *("a", "b", "blockquote", "br", "code", "details", "div", "em", "h1", "h2", "h3", "h4"),
        *("h5", "h6", "hr", "i", "kbd", "li", "mark", "ol", "p", "pre", "s", "samp", "span"),
        *("strong", "sub", "summary", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul"),
    },
    clean_content_tags=set(),
    attributes={
        "a": {"href", "title"},
        "details": {"open"},
        "ol": {"start", *_DIR},
        **{f"h{level}": _DIR for level in range(1, 7)},
        **dict.fromkeys(("blockquote", "p", "pre", "span", "table", "ul"), _DIR),
    },
    tag_attribute_values={"td": _ALIGNED, "th": _ALIGNED},
    set_tag_attribute_values={"a": {"target": "_blank"}},
    link_rel="noopener noreferrer nofollow",
    allowed_classes=_CLASSES,
    url_schemes={"http", "https", "mailto"},
    **_REFUSES_RELATIVE_URLS,
)


def sanitize(content: str) -> str:
    """Remove everything from HTML that is not on the allow-list.

    This is the second line of defence. It trusts neither the Markdown parser nor the highlighter
    nor this package's own code. It allows no image, style, id or form.

    Args:
        content: Any HTML.

    Returns:
        Safe HTML.
    """
    return _cleaner.clean(content)
