"""Reads the line of a magic: options before and behind the question, and slips in them."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Mapping

from runagent import ValidationError
from runagent_jupyter.failure import shortly
from runagent_jupyter.magic_line.words import MAYBE_OPTION, Word, word_at

_NEAR = 0.7
_SHOWN = 40


class LineReader:
    """Reads the line of a magic.

    Args:
        magic: The name of the magic.
        line: The text behind it.
        known: Its options by name.
        others: The options of other magics, with the names of those.

    Attributes:
        words: The options and their values, as argparse reads them.
    """

    def __init__(
        self,
        magic: str,
        line: str,
        known: Mapping[str, argparse.Action],
        others: Mapping[str, str],
    ) -> None:
        self.words: list[str] = []
        self._magic = magic
        self._line = line
        self._known = known
        self._others = others
        self._position = 0
        self._last_value: tuple[str, str, int] | None = None
        self._given: set[str] = set()  # the options that were given and may be given once
        self._question = ""

    def read(self, *, positions: int, is_cell: bool = False) -> str:
        """Read the line.

        Args:
            positions: How many words that are no option come before the question.
            is_cell: Whether the question is in a cell below the line.

        Returns:
            The question.

        Raises:
            ValidationError: A word looks like an option and is none, a word is no option where only
                options may be, or a quote is not closed.
        """
        taken = 0
        while word := self._next():
            if word.text == "--" and not word.is_quoted:
                return self._line[word.end :].strip()
            if self._take_option(word):
                continue
            if taken == positions:
                break
            taken += 1
            self._take(word)
        hint = self._quoting_hint()
        if hint and is_cell:
            rest = self._line[self._position :].strip()
            raise misused(self._magic, f"{rest!r} stands where options are expected", hint)
        start = self._position
        if not MAYBE_OPTION.search(self._line, start):  # as in almost every question
            return self._line[start:].strip()
        while word := self._next():
            if self._is_option(word):
                self._question = self._line[start : self._position].strip()
                self._read_options()
                return self._question
            self._position = word.end
        return self._line[start:].strip()

    def _next(self, *, is_assignment: bool = False) -> Word | None:
        return word_at(self._line, self._position, is_assignment=is_assignment)

    def _take(self, word: Word) -> None:
        self.words.append(word.text)
        self._position = word.end

    def _is_option(self, word: Word) -> bool:
        option = f"--{word.dashless}"
        if word.dashless and option in self._known:
            raise misused(self._magic, f"{word.text!r} begins with another dash", f"Write {option}")
        return word.is_option

    def _take_option(self, word: Word) -> bool:
        """Take an option and its value; return whether the word is an option."""
        if not self._is_option(word):
            return False
        self._position = word.end
        if word.option not in self._known:
            raise self._unknown(word)
        self.words.append(word.text)
        if not self._takes_value(word.option):
            return True
        self._check_once(word.option)
        value = word
        if "=" not in word.text:
            following = self._next(is_assignment=word.option == "--set")
            if following is None or (following.is_option and following.option in self._known):
                return True  # argparse says that the value is missing
            value = following
            self._take(value)
        if value.is_open:
            raise misused(self._magic, f"nothing ends the quotation in {value.text!r}")
        given = word.text.partition("=")[2] if value is word else value.text
        self._last_value = word.option, given, self._position
        return True

    def _read_options(self) -> None:
        """Read the rest of the line, behind the question."""
        while word := self._next():
            if not self._take_option(word):
                raise misused(
                    self._magic,
                    f"{word.text!r} stands among the options behind the question",
                    self._quoting_hint() or self._dashes_hint(),
                )

    def _quoting_hint(self) -> str:
        """Return the hint for a value that was cut at a space; empty if none was."""
        word = self._next()
        if self._last_value is None or self._last_value[2] != self._position or word is None:
            return ""
        option, value, _ = self._last_value
        key, equals, text = value.partition("=")
        whole = f'{key}="{text} {word.text}"' if equals else f'"{value} {word.text}"'
        return f"Put a value with spaces in quotes: {option} {whole}"

    def _unknown(self, word: Word) -> ValidationError:
        """Return the error about an option that the magic does not have."""
        option, _, value = word.text.partition("=")
        name = option.strip("-").replace("_", "-").lower()
        following = self._next()
        if not value and following is not None and not following.is_option:
            value = following.text
        names = {known.lstrip("-"): known for known in self._known}
        near = difflib.get_close_matches(name, names, n=1, cutoff=_NEAR)
        hints = []
        if near:
            hints.append(f"Did you mean {names[near[0]]}?")
        elif option in self._others:
            hints.append(f"{option} is an option of %{self._others[option]}.")
        is_meant = near and (name == near[0] or not value or self._takes_value(names[near[0]]))
        if "--set" in self._known and not (is_meant or option in self._others or name == "help"):
            field = name.replace("-", "_")
            hints.append(f"To send a field along, write --set {field}={value or 'VALUE'}.")
        if self._question:
            hints.append(self._dashes_hint())
        return misused(self._magic, f"unrecognized option {option}", " ".join(hints), is_list=True)

    def _check_once(self, option: str) -> None:
        action = self._known[option]
        if action.dest in self._given:
            raise misused(self._magic, f"{option} is given twice", "Write it once")
        if not isinstance(action.default, list):  # the default of those that add up
            self._given.add(action.dest)

    def _takes_value(self, option: str) -> bool:
        return self._known[option].nargs is None

    def _dashes_hint(self) -> str:
        """Return the hint for a question that has dashes in it."""
        return (
            f"Options come before or behind the question, here {self._question[:_SHOWN]!r}. To ask "
            "something with -- in it, write -- before it, or write it below %%runagent."
        )


def misused(
    magic: str, problem: object, hint: str = "", *, is_list: bool = False
) -> ValidationError:
    """Return the error about a line that cannot be read.

    Args:
        magic: The name of the magic.
        problem: What is wrong, in words without a full stop.
        hint: What to do; by default to look at the list of options.
        is_list: Whether to mention that list behind the hint, too.
    """
    where = f"%{magic}? lists the options."
    if hint:
        hint = hint if hint.endswith((".", "?")) else f"{hint}."
        where = f"{hint} {where}" if is_list else hint
    return shortly(ValidationError(f"%{magic}: {problem}.", code="USAGE", hint=where))
