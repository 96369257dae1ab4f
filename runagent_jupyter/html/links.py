"""Links: the addresses they may have, and the definitions that reference links look up."""

from __future__ import annotations

import html
import re
from typing import Any, Final

from runagent_jupyter.html.cjk import is_cjk

LONGEST_URL: Final = 2_048
"""Characters of an address; a longer one is no link."""

_PART_OF_MARK: Final = "%EF%B7%90"
"""In an address that has a mark of `data_uris` in its middle, which would be lost there."""

_SAFE_URL = re.compile(
    r"https?://[^\s/?#@\\%<>\"]+(?:[/?#][^\s\\<>\"]*)?|mailto:[^\s\\<>\"?]+(?:\?[^\s\\<>\"]*)?",
    re.IGNORECASE,
)


def is_safe_url(url: str) -> bool:
    """Check the address of a link.

    Args:
        url: The address.

    Returns:
        Whether it is an absolute http, https or mailto address of bounded length, without a user
        name that could pose as a host.
    """
    is_whole = _PART_OF_MARK not in url
    return len(url) <= LONGEST_URL and is_whole and _SAFE_URL.fullmatch(url) is not None


_END_MARKS: Final = ".,;:!?'\"*_~"
_ENTITY = re.compile(r"&[A-Za-z0-9]{1,32};\Z")
_HOST = re.compile(r"(?:[a-z]+://)?([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)", re.IGNORECASE)

CJK_MARKS: Final = (
    r"\u3000-\u303f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\u2018-\u201f\u2026"
)
"""For a class of characters: the punctuation of Chinese, Japanese and Korean text."""


def bare_address(text: str) -> str:
    """Find the end of an address that stands in running text.

    Args:
        text: The text from the address on, up to a space or a character that no address has.

    Returns:
        The address without the punctuation behind it. A name of a host in ASCII ends where Chinese,
        Japanese or Korean text goes on.
    """
    host = _HOST.match(text)
    if host and is_cjk(text[host.end() : host.end() + 1] or " "):
        return host[0]
    surplus = text.count(")") - text.count("(")
    end = len(text)
    while end:
        entity = _ENTITY.search(text, max(0, end - 34), end)
        if entity:
            end = entity.start()
        elif text[end - 1] in _END_MARKS:
            end -= 1
        elif text[end - 1] == ")" and surplus > 0:
            end -= 1
            surplus -= 1
        else:
            break
    return text[:end]


def link_tag(url: str) -> str:
    """Begin a link, whose title shows the address.

    Args:
        url: The address; empty for none.

    Returns:
        The opening tag, to be sanitized.
    """
    shown = html.escape(url)
    return f'<a href="{shown}" title="{shown}">' if url else "<a>"


class References:
    """Link reference definitions: those of one piece, on top of those of the finished pieces.

    A long address that is used thousands of times must not blow up the page. So the definitions
    have a budget, and this counts the text they have put into the page. It also remembers the
    labels that were looked up and not found.

    Args:
        below: The definitions of the finished pieces.
        budget: Characters of addresses that may be put into the page.
    """

    def __init__(self, below: References | None = None, budget: int = 0) -> None:
        self.own: dict[str, dict[str, Any]] = {}
        self.missed: set[str] = set()
        self.spent = 0
        self._budget = budget
        self._below = below.own if below else {}

    def __contains__(self, label: str) -> bool:
        return label in self.own or label in self._below

    def __setitem__(self, label: str, definition: dict[str, Any]) -> None:
        self.own[label] = definition

    def get(self, label: str, default: None = None) -> dict[str, Any] | None:
        """Look up a label, as long as the budget lasts.

        Args:
            label: The label.
            default: The result for a label without a definition.

        Returns:
            The definition, or the default.
        """
        found = self._below.get(label) or self.own.get(label)
        if found is None:
            self.missed.add(label)
        elif self.spent < self._budget:
            self.spent += len(found["href"])
            return found
        return default
