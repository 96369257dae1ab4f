"""Takes the data of pictures out of Markdown, so that a line with a picture is short."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

# Noncharacters of Unicode: no text that is meant to be read has them.
_OPEN: Final = "\ufdd0"
_CLOSE: Final = "\ufdd1"
_FOREIGN = re.compile(f"[{_OPEN}{_CLOSE}]")
_SPECIAL = re.compile(f"[(<\\]{_OPEN}{_CLOSE}]")
_MARK = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")

_BEGIN = re.compile(r"data:image/(?:png|jpe?g|gif|webp);base64,", re.IGNORECASE)
_CONTENT = re.compile(r"[A-Za-z0-9+/=]*")
# The beginning of an address that may become one of a picture with the next chunk.
_MAYBE = re.compile(
    r"(?:d|da|dat|data|data:[a-z/]{0,10}|data:[a-z/]{1,10};[a-z0-9]{0,6},?)\Z", re.IGNORECASE
)
_LONGEST_MAYBE: Final = 23

_PLACES: Final = ("(", "<", "]: ", "]:\n")
"""The text before an address in Markdown: `![x](…)`, `![x](<…>)`, and `[x]: …` on a line."""
_LONGEST_PLACE: Final = 3


class DataUris:
    """Replaces each `data:` address of a picture by a short mark.

    What is replaced depends on the text alone, never on the chunks that it came in.

    Attributes:
        found: The addresses, by the numbers of their marks.
    """

    def __init__(self) -> None:
        self.found: list[str] = []
        self._held = ""  # the beginning of an address, perhaps
        self._content: list[str] = []  # of the open address
        self._before = ""  # the end of the text that was returned

    def feed(self, chunk: str) -> str:
        """Take the next chunk.

        Args:
            chunk: Text without control characters.

        Returns:
            The text with marks. An address is held back until it is complete.
        """
        if not (self._held or self._content or _SPECIAL.search(self._before + chunk)):
            self._before = (self._before + chunk)[-_LONGEST_PLACE:]
            return chunk  # as nearly always
        rest = _FOREIGN.sub("\ufffd", chunk)
        out: list[str] = []
        while rest:
            if self._content:
                content = _CONTENT.match(rest)
                assert content
                self._content.append(content[0])
                rest = rest[content.end() :]
                if rest:
                    out.append(self._end())
                continue
            start = len(self._before)
            text = self._before + self._held + rest
            self._held = self._before = ""
            begin = next((m for m in _BEGIN.finditer(text, start) if _is_place(text, m)), None)
            if begin:
                out.append(text[start : begin.start()])
                self._content.append(begin[0])
                rest = text[begin.end() :]
                continue
            maybe = _MAYBE.search(text, max(start, len(text) - _LONGEST_MAYBE))
            if maybe and _is_place(text, maybe):
                self._held = maybe[0]
                text = text[: maybe.start()]
            out.append(text[start:])
            self._before = text[-_LONGEST_PLACE:]
            rest = ""
        return "".join(out)

    def finish(self) -> str:
        """End the text.

        Returns:
            The text that was held back; an address that is not complete counts as one.
        """
        if self._content:
            return self._end()
        held, self._held = self._held, ""
        return held

    def _end(self) -> str:
        self.found.append("".join(self._content))
        self._content.clear()
        return f"{_OPEN}{len(self.found) - 1}{_CLOSE}"


def _is_place(text: str, match: re.Match[str]) -> bool:
    return text.endswith(_PLACES, 0, match.start())


def number_of(address: str) -> int | None:
    """Return the number of the mark that an address is, or `None` if it is another address."""
    match = _MARK.fullmatch(address)
    return int(match[1]) if match else None


def marks_in(text: str) -> list[int]:
    """Return the numbers of the marks in a text."""
    return [int(number) for number in _MARK.findall(text)] if _OPEN in text else []


def with_marks_replaced(text: str, write: Callable[[int], str]) -> str:
    """Replace each mark in a text.

    Args:
        text: Text with marks, or HTML made of it.
        write: Returns the text for the mark with a number.

    Returns:
        The text without marks.
    """
    return _MARK.sub(lambda match: write(int(match[1])), text) if _OPEN in text else text
