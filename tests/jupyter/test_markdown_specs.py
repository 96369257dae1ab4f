"""The examples of the specifications: rendered as they say, or different for a reason named here."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt
from specifications import examples

from runagent_jupyter.html import render
from runagent_jupyter.html.parser import parser

_BLOCKS = {
    *("blockquote", "br", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre"),
    *("table", "tbody", "td", "th", "thead", "tr", "ul"),
}
_SAFE = re.compile(r"https?://[^@\\]+|mailto:.*", re.IGNORECASE)


class _Seen(HTMLParser):
    """Reads HTML as a list of what a reader sees, in the one form that both sides are brought to.

    That form leaves out what is different everywhere, by design: an image that is not data is a
    link to it, a link to a relative or unsafe address is its words, the title of a link is its
    address, and the language of code is written above it.
    """

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._links: list[str] = []
        self._hidden = 0
        self._in_code = False
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = {name: value or "" for name, value in attrs}
        tag = "s" if tag == "del" else tag
        if self._hidden or facts.get("class") == "ra-code-head":
            self._hidden += tag not in {"br", "img", "hr"}
        elif tag == "img":
            shown = f"[image: {facts.get('alt', '')}]"
            address = facts.get("src", "")
            is_link = _SAFE.fullmatch(address) and not any(self._links)
            self._say(f"<a {address}>{shown}</a>" if is_link else shown)
        elif tag == "a":
            address = facts.get("href", "")
            self._links.append(address if _SAFE.fullmatch(address) else "")
            self._say(f"<a {address}>" if self._links[-1] else "")
        elif tag == "input":
            self._say("\u2611" if "checked" in facts else "\u2610")
        elif tag not in {"div", "span"} | ({"b", "i", "samp"} if self._in_code else set()):
            self._in_code = self._in_code or tag == "pre"
            start = f" {facts['start']}" if "start" in facts else ""
            align = f" {facts['align']}" if facts.get("align", "left") != "left" else ""
            self._block(tag, f"<{tag}{start}{align}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        tag = "s" if tag == "del" else tag
        if self._hidden:
            self._hidden -= 1
        elif tag == "a":
            self._say("</a>" if self._links and self._links.pop() else "")
        elif tag not in {"div", "span"} | ({"b", "i", "samp"} if self._in_code else set()):
            self._in_code = self._in_code and tag != "pre"
            self._block(tag, f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._say(data if self._in_code else re.sub(r"\s+", " ", data))

    def _say(self, text: str) -> None:
        self.parts.append(text)

    def _block(self, tag: str, text: str) -> None:
        self.parts.append(f"\n{text}\n" if tag in _BLOCKS else text)

    def text(self) -> str:
        return re.sub(r" *\n\s*", "\n", "".join(self.parts)).strip()


def seen(content: str) -> str:
    return _Seen(content).text()


COMMONMARK = examples("commonmark")
GFM = examples("gfm")
HTML_IS_TEXT = "HTML is shown as text, but for a few tags without attributes"
DIFFERENT = {
    HTML_IS_TEXT: {
        *(21, 31, 344, 475, 476, 477, 491, 524, 536, 642, 643),
        *(*range(148, 179), *range(180, 183), *range(184, 192)),
        *(*range(613, 618), 623, *range(626, 632)),
    },
    "an address in running text is a link": {602, 606, 608, 611, 612},
    "text in angle brackets is a link only to the web and to mail, as it may be XML": {
        *(346, 596, 598, 599, 601),
    },
    "backslashes before brackets enclose a formula": {12},
}
"""The examples of CommonMark that are shown differently by design, by the reason."""


@pytest.mark.parametrize("number", COMMONMARK)
def test_commonmark(number: int) -> None:
    """An example is shown as the specification says, except for those listed above."""
    example = COMMONMARK[number]
    is_equal = seen(render(example["markdown"], line_breaks=False)) == seen(example["html"])
    assert is_equal == all(number not in numbers for numbers in DIFFERENT.values())


@pytest.mark.parametrize("number", GFM)
def test_the_extensions_of_github(number: int) -> None:
    example = GFM[number]
    is_equal = seen(render(example["markdown"], line_breaks=False)) == seen(example["html"])
    assert is_equal == (example["section"] != "Disallowed Raw HTML (extension)"), HTML_IS_TEXT


@pytest.mark.parametrize(
    "number",
    [
        number
        for number, example in COMMONMARK.items()
        if example["section"] in {"Links", "Images", "Link reference definitions"}
        and number not in DIFFERENT[HTML_IS_TEXT]
    ],
)
def test_links_have_the_addresses_of_the_specification(number: int) -> None:
    """Before anything unsafe is left out, that is: all the examples have relative addresses."""
    example = COMMONMARK[number]
    stock = MarkdownIt("commonmark")
    tokens = parser(line_breaks=False).parse(example["markdown"])
    made = stock.renderer.render(tokens, stock.options, {})
    address = re.compile(r"<(?:a|img) [^>]*>")
    assert address.findall(made) == address.findall(example["html"])


def test_the_end_of_a_line_is_kept_where_nobody_asks_for_less() -> None:
    assert render("a\nb") == '<p dir="auto">a<br>\nb</p>\n'
    assert render("a\nb", line_breaks=False) == '<p dir="auto">a\nb</p>\n'
