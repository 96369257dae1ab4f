"""Splits the line of a magic into words, at spaces that are in no quotes, braces or brackets."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from runagent_jupyter.templates.template import expression_end

_NO_SPACE = re.compile(r"\S")
_QUOTES = r""""((?:[^"\\]|\\.)*)"|'([^']*)'|“([^”]*)”"""
_QUOTED = re.compile(rf"(?:{_QUOTES})(?=\s|\Z)")
# A key as in KEY=VALUE or NAME:VALUE, perhaps behind an option, as in --set=KEY=VALUE.
_KEY = re.compile(r"(?:--[\w-]+=)?[^\s\"'=:{}\[\]“]+[=:]")
_BRACKET = re.compile(r"""'[^']*'|"(?:[^"\\]|\\.)*"|[\[\]{}]""")
_OPTION = re.compile(r"--[A-Za-z][\w-]*(?:=|\Z)")
_MISTYPED = re.compile("(?:[\u2013\u2014]+|-)([A-Za-z][\\w-]+)\\Z")  # one dash, or a long one

MAYBE_OPTION = re.compile("(?<!\\S)[-\u2013\u2014]+[A-Za-z]")
"""The beginning of a word that looks like an option, or like one with another dash."""


@dataclass(frozen=True)
class Word:
    """A word of a line.

    Attributes:
        text: The word, without quotes around it or around its value.
        end: The position behind it.
        is_quoted: Whether it is in quotes as a whole.
        is_open: Whether it begins with a quote that nothing closes.
    """

    text: str
    end: int
    is_quoted: bool = False
    is_open: bool = False

    @property
    def is_option(self) -> bool:
        """Whether it looks like `--option` or `--option=value`."""
        return not self.is_quoted and bool(_OPTION.match(self.text))

    @property
    def option(self) -> str:
        """The option in it, without a value."""
        return self.text.partition("=")[0]

    @property
    def dashless(self) -> str:
        """The name behind a single or a long dash, as in `—out`; empty if it begins otherwise."""
        found = None if self.is_quoted else _MISTYPED.match(self.text)
        return found[1] if found else ""


def word_at(line: str, position: int, *, is_assignment: bool = False) -> Word | None:
    """Read the next word of a line.

    Args:
        line: The line.
        position: Where to begin.
        is_assignment: Whether the word is KEY=VALUE whose value is JSON or text. A value in quotes
            is text then, and becomes a JSON string; only an array or object in single quotes stays
            one.

    Returns:
        The word; `None` at the end of the line.
    """
    first = _NO_SPACE.search(line, position)
    if first is None:
        return None
    start = first.start()
    if quoted := _QUOTED.match(line, start):
        return Word(_unquoted(quoted), quoted.end(), is_quoted=True)
    key = _KEY.match(line, start)
    begin = key.end() if key else start
    if key and (quoted := _QUOTED.match(line, begin)):
        value = _unquoted(quoted)
        if is_assignment or key[0].startswith("--set="):
            is_json = quoted[2] is not None and _is_container(value)
            value = value if is_json else json.dumps(value, ensure_ascii=False)
        return Word(key[0] + value, quoted.end())
    end = _container_end(line, begin) if key else None
    if end is None:
        end = _plain_end(line, start)
    is_open = line[begin] in "\"'“" if begin < len(line) else False
    return Word(line[start:end], end, is_open=is_open)


def _unquoted(quoted: re.Match[str]) -> str:
    double, single, curly = quoted.groups()
    if double is not None:
        return re.sub(r"\\(.)", r"\1", double)
    return single if single is not None else curly


def _is_container(text: str) -> bool:
    try:
        return isinstance(json.loads(text), (list, dict))
    except (ValueError, RecursionError):
        # With expressions in it, it is not JSON yet.
        return "{{" in text and text.lstrip()[:1] in ("[", "{") and not text.startswith("{{")


def _plain_end(line: str, start: int) -> int:
    """Return the end of a word without quotes: the first space that is in no expression."""
    position = start
    while position < len(line) and not line[position].isspace():
        end = expression_end(line, position) if line.startswith("{{", position) else None
        position = position + 1 if end is None else end
    return position


def _container_end(line: str, start: int) -> int | None:
    """Return the end of an array or object that begins here, `None` if it does not end well."""
    if line[start : start + 1] not in ("[", "{"):
        return None
    depth, position = 0, start
    while part := _BRACKET.search(line, position):
        position = part.end()
        depth += (part[0] in "[{") - (part[0] in "]}")
        if depth == 0:
            is_end = position == len(line) or line[position].isspace()
            return position if is_end else None
    return None
