"""Judges the moments of a stream: each may show less than the finished text, but nothing else."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

from runagent_jupyter.html import MarkdownStream, render

_BLOCKS = {
    *("blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "ul"),
    *("details", "table", "tr"),
}
_LONGEST_HIDDEN = 120
"""Characters that may be missing in a moment."""
_DEFINITION = re.compile(r"^[> ]*\[[^\[\]^]+\]:.*\n?", re.MULTILINE)
_IMAGE = re.compile(r'<img[^>]* alt="([^"]*)"[^>]*>')


@dataclass(frozen=True)
class Fault:
    """A moment that shows something wrong."""

    text: str
    """The text so far."""
    problem: str

    def __str__(self) -> str:
        return f"{self.text!r}: {self.problem}"


def faults(text: str) -> Iterator[Fault]:
    """Judge all moments of a stream, character by character.

    Args:
        text: The whole text.

    Yields:
        The faults of moments in which there is text that the finished text does not show, and of
        those in which a block changes its kind for the second time.
    """
    stream = MarkdownStream()
    moments: list[str] = []
    committed: list[str] = []
    for character in text:
        committed += stream.feed(character)
        moments.append(stream.html())
    committed += stream.finish()
    # A link by reference is text until its definition comes.
    undefined = ("".join(committed), render(_DEFINITION.sub("", text)))
    finished = {_visible(content) for content in (stream.html(), *undefined)}
    kinds: dict[tuple[int, ...], list[str]] = {}
    previous = ""
    for size, moment in enumerate([*moments, stream.html()], 1):
        if moment == previous:
            continue
        previous = moment
        shown = _visible(moment)
        reached = _most_shown(text[:size])
        if not any(_is_within(shown, whole[:reached]) for whole in finished):
            yield Fault(text[:size], f"shows {shown!r}")
        # Addresses are hidden, and a label for some time. Rendering the text takes longest.
        elif (
            len(shown) < reached - _LONGEST_HIDDEN
            and len(shown) < len(_visible(render(text[:size]))) - _LONGEST_HIDDEN
        ):
            yield Fault(text[:size], f"shows no more than {shown!r}")
        for place, kind in _Outline.of(moment).items():
            known = kinds.setdefault(place, [])
            if not known or known[-1] != kind:
                known.append(kind)
                if len(known) > 2:
                    yield Fault(text[:size], f"block {place} was {' and '.join(known)}")


def _most_shown(text: str) -> int:
    """The most characters that this much Markdown can be shown as, without white space."""
    size = len("".join(text.split()))
    size += text.count("\\begin") * len("\\[\\]ed")
    return size + text.count("![") * len("[image:]") + text.count("$") * len("\\(")


def _visible(content: str) -> str:
    """The text that a reader sees, without white space."""
    content = _IMAGE.sub(r"[image: \1]", content)
    return "".join(html.unescape(re.sub(r"<[^>]*>", "", content)).split())


def _is_within(part: str, whole: str) -> bool:
    """Whether a text comes about when characters of another one are left out."""
    rest = iter(whole)
    return all(character in rest for character in part)


@dataclass
class _Outline(HTMLParser):
    """The kinds of the blocks of a page, by their places: each block's number in the one around it.

    Text right in a list item counts as a paragraph.
    """

    kinds: dict[tuple[int, ...], str] = field(default_factory=dict)
    open: list[tuple[str, bool]] = field(default_factory=list)
    counts: list[int] = field(default_factory=lambda: [0])
    in_text: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    @classmethod
    def of(cls, content: str) -> dict[tuple[int, ...], str]:
        outline = cls()
        outline.feed(content)
        outline.close()
        return outline.kinds

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs).get("class") or ""
        kind = tag
        if tag == "div":
            kind = next((name for name in ("code", "math") if f"ra-{name}" in names), "")
        is_block = tag in _BLOCKS or (tag == "div" and kind != "")
        if is_block:
            self._add(kind)
            self.in_text = False
        elif any(name == "li" for name, _ in self.open[-1:]):
            self._text()
        if tag not in {"br", "hr", "img"}:
            self.open.append((tag, is_block))
            if is_block:
                self.counts.append(0)
        elif is_block:
            self.counts[-1] += 1

    def handle_endtag(self, tag: str) -> None:
        _, is_block = self.open.pop()
        if is_block:
            self.counts.pop()
            self.counts[-1] += 1
            self.in_text = False

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open and self.open[-1][0] == "li":
            self._text()

    def _text(self) -> None:
        if not self.in_text:
            self._add("p")
            self.counts[-1] += 1
            self.in_text = True

    def _add(self, kind: str) -> None:
        self.kinds[tuple(self.counts)] = kind
