"""Judges HTML made from untrusted text with a reading of its own, stricter than any browser's."""

from __future__ import annotations

import html
import re

TAGS = {
    *("a", "b", "blockquote", "br", "code", "details", "div", "em", "h1", "h2", "h3", "h4", "h5"),
    *("h6", "hr", "i", "kbd", "li", "mark", "ol", "p", "pre", "s", "samp", "span", "strong", "sub"),
    *("summary", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}
MATHML = {
    "ra-tex",
    *(
        "math",
        "menclose",
        "mfrac",
        "mi",
        "mn",
        "mo",
        "mover",
        "mpadded",
        "mphantom",
        "mroot",
        "mrow",
    ),
    *("mspace", "msqrt", "mstyle", "msub", "msubsup", "msup", "mtable", "mtd", "mtext", "mtr"),
    *("munder", "munderover"),
}
"""Only in a formula."""
HANDLES = re.compile(r"on.*|style|id|name|href|src|class|action.*|xlink.*|data.*", re.IGNORECASE)
TEX = ' class="mathjax_ignore tex2jax_ignore" aria-hidden="true"'
"""The attributes of a formula's TeX: typesetters leave it alone, and screen readers too."""
ATTRIBUTES = {
    "align": re.compile("center|right"),
    "class": re.compile(r"((ra|runagent)-[a-z-]+( (ra|runagent)-[a-z-]+)*)?"),
    "dir": re.compile("auto|ltr|rtl"),
    "tabindex": re.compile("0"),
    "href": re.compile(r"(https?://[^/@\s\\]+([/?#][^\s\\]*)?|mailto:[^\s\\]+)", re.IGNORECASE),
    "open": re.compile(""),
    "rel": re.compile("noopener noreferrer nofollow"),
    "start": re.compile("[0-9]{1,9}"),
    "style": re.compile("display:none"),
    "target": re.compile("_blank"),
    "title": re.compile(r"(https?://|mailto:)\S*", re.IGNORECASE),
}
PICTURE = {
    "alt": re.compile(r".+", re.DOTALL),
    "class": re.compile("runagent-picture"),
    "height": re.compile("[0-9]{1,5}"),
    "src": re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}"),
    "width": re.compile("[0-9]{1,5}"),
}
"""The attributes of a picture, all of which it must have. Its address holds its data."""
_PART = re.compile(
    r"<(?P<close>/?)(?P<tag>[a-z][a-z0-9-]*)(?P<attributes>(?: [a-z-]+=\"[^\"<>]*\")*)>"
    r"|(?P<text>[^<>]+)"
)
_ATTRIBUTE = re.compile(r" ([a-z-]+)=\"([^\"]*)\"")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ACTIVE_TEX = re.compile(
    r"href|url|class|css|style|html|data|graphics|require|unicode|def|let|newcommand|newenvironment|"
    r"label|ref|tip|toggle|bbox|action|catcode|csname|input|include|write|special",
    re.IGNORECASE,
)
_DRAWING_TEX = {
    *("bullet", "curlyvee", "curlywedge", "daleth", "displaystyle", "scriptscriptstyle"),
    *("scriptstyle", "textstyle", "therefore"),
}
"""Commands with such a word in their names that only draw."""


def problems(content: str) -> list[str]:
    """Return the faults of HTML that should be safe; nothing if it is.

    Every ``<`` and ``>`` must belong to a known tag with known attributes in double quotes; tags are
    balanced; links lead to http, https or mail; a typesetter finds no TeX but in known formulas.
    """
    found: list[str] = []
    position = 0
    stack: list[tuple[str, str]] = []
    while position < len(content):
        match = _PART.match(content, position)
        if not match:
            return [*found, f"not understood: {content[position : position + 80]!r}"]
        position = match.end()
        tag = match["tag"]
        if tag is None:
            found += _text_problems(match["text"], stack)
        elif tag == "img":
            found += _picture_problems(match)
        elif tag not in TAGS | (MATHML if _is_formula(stack) else set()):
            found.append(f"tag: {match[0]!r}")
        elif match["close"]:
            if not stack or stack.pop()[0] != tag:
                return [*found, f"unbalanced: {match[0]!r} at {position}"]
        else:
            found += _attribute_problems(tag, match["attributes"])
            if tag not in {"br", "hr"}:
                stack.append((tag, match["attributes"]))
    if stack:
        found.append(f"unclosed: {stack}")
    if _CONTROL.search(content) or re.search("&#(?!x27;|39;)", content):
        found.append("control characters, or references to some")
    return found


def text_of(content: str) -> str:
    """The text that a reader sees."""
    return html.unescape(re.sub(r"<[^>]*>", "", content))


def _is_formula(stack: list[tuple[str, str]]) -> bool:
    return any('class="ra-math"' in attributes for _, attributes in stack)


def _attribute_problems(tag: str, attributes: str) -> list[str]:
    if tag == "ra-tex":
        return [] if attributes == TEX else [f"attributes: {tag} {attributes!r}"]
    found = []
    for name, value in _ATTRIBUTE.findall(attributes):
        if tag in MATHML:
            if HANDLES.fullmatch(name) or not re.fullmatch(r"[\w.+ -]*", value, re.ASCII):
                found.append(f"attribute: {tag} {name}={value!r}")
            continue
        pattern = ATTRIBUTES.get(name)
        if not pattern or not pattern.fullmatch(html.unescape(value)):
            found.append(f"attribute: {tag} {name}={value!r}")
    if "href=" in attributes and not ("rel=" in attributes and "target=" in attributes):
        found.append(f"link without rel or target: {attributes!r}")
    return found


def _picture_problems(match: re.Match[str]) -> list[str]:
    attributes = dict(_ATTRIBUTE.findall(match["attributes"]))
    is_whole = not match["close"] and attributes.keys() == PICTURE.keys()
    if is_whole and all(
        p.fullmatch(html.unescape(attributes[name])) for name, p in PICTURE.items()
    ):
        return []
    return [f"tag: {match[0]!r}"]


def _text_problems(text: str, stack: list[tuple[str, str]]) -> list[str]:
    text = html.unescape(text)
    attributes = stack[-1][1] if stack else ""
    if any(tag in {"pre", "code"} for tag, _ in stack):
        return []  # where typesetters do not look
    if "ra-math" in attributes or attributes == TEX:
        inner = text[2:-2]
        shape = (text[:2], text[-2:]) in {("\\(", "\\)"), ("\\[", "\\]")}
        commands = re.findall(r"\\([A-Za-z]+)", inner.replace("\\\\", ""))
        active = [
            name for name in commands if _ACTIVE_TEX.search(name) and name not in _DRAWING_TEX
        ]
        closed = "\\)" not in inner and "\\]" not in inner and "$" not in inner.replace("\\$", "")
        return [] if shape and closed and not active else [f"formula: {text!r}"]
    if ("$" in text or "\\" in text) and text not in {"$", "\\"}:
        return [f"TeX in running text: {text!r}"]
    return []
