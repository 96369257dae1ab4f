"""Leaves a question mark at the end of a magic's line to the magic; IPython would show help."""

from __future__ import annotations

import re
import sys
import tokenize
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.getipython import get_ipython
from IPython.core.inputtransformer2 import (
    TokenTransformBase,
    assemble_continued_line,
    find_end_of_continued_line,
)

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

# A magic of ours with something behind its name, also behind another magic: %time %runagent ...
# `%runagent?` and `%runagent ?` have no more than the question mark: they do ask for help.
_CALL = re.compile(r"%(\w+)[ \t]+(?!\?+\s*\Z)(\S.*)", re.DOTALL)
_OURS = re.compile(r"runagent(?:_\w+)?\Z")
_OURS_WITHIN = re.compile(r"(?<!\S)%runagent(?:_\w+)?[ \t]+(?!\?+\s*\Z)\S")

_QUESTION = re.compile(
    r"^[ \t]*(?:[^\s=#'\"][^=#'\"\n]*=[ \t]*|return[ \t]+)?"
    r"(%runagent[ \t]+(?!\?)(\S[^\n]*\?))[ \t]*$",
    re.MULTILINE,
)
"""A line that asks a question."""

_OPENING = {"(", "[", "{"}
_CLOSING = {")", "]", "}"}
_INDENTATION = {tokenize.INDENT, tokenize.DEDENT, tokenize.NL, tokenize.COMMENT}


def add(shell: InteractiveShell) -> None:
    """Have a shell's cells call our magics where their lines end in a question mark.

    Args:
        shell: The IPython shell. Nothing changes if it does so already.
    """
    remove(shell)  # one of a module that has been loaded again is another class
    shell.input_transformer_manager.token_transformers.append(MagicLine)


def check_running_cell() -> None:
    """Refuse to be added by a cell that also asks: IPython has taken its question marks already.

    Raises:
        UsageError: Such a cell. Its question would be lost, and help for its last word shown.
    """
    source, transformed = _running_cell()
    for line in _QUESTION.finditer(source):
        if f"run_line_magic('runagent', {line[2]!r})" not in transformed:
            raise UsageError(
                f"{line[1]!r} ends in a question mark, which IPython takes for a request for help "
                "until runagent_jupyter is loaded. Put %load_ext runagent_jupyter into a cell of "
                "its own, above this one."
            )


def _running_cell() -> tuple[str, str]:
    """Return the code of the cell or script that runs, as written and as IPython runs it."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - no other way leads to a script's
    while frame is not None:
        if frame.f_code.co_name == "run_cell_async":
            return str(frame.f_locals.get("raw_cell", "")), str(frame.f_locals.get("cell", ""))
        frame = frame.f_back
    return "", ""


def remove(shell: InteractiveShell) -> None:
    """Leave question marks at the end of our magics' lines to IPython again."""
    transformers = shell.input_transformer_manager.token_transformers
    transformers[:] = [t for t in transformers if t.__module__ != __name__]


class MagicLine(TokenTransformBase):
    """Turns a line of our magics into a call, before IPython looks for a question mark in it."""

    def __init__(self, token: tokenize.TokenInfo, *, prefix: str = "") -> None:
        """Begin at a token.

        Args:
            token: The first one of the magic.
            prefix: The text that belongs before it.
        """
        super().__init__(token.start)  # type: ignore[no-untyped-call]
        self._column = token.start[1]
        self._prefix = prefix
        # IPython takes the transformer with the lowest place: help is asked for from column 0 on.
        self.start_col = -1

    @classmethod
    def find(cls, tokens_by_line: list[list[tokenize.TokenInfo]]) -> TokenTransformBase | None:
        """Return a transformer for the first line of our magics, `None` if there is none."""
        for line in tokens_by_line:
            calls = [token for token in line if token.string == "%" and _is_ours(_rest(token))]
            if calls:
                beginning = next((t for t in _beginnings(line) if t in calls), None)
                if beginning is not None:
                    return cls(beginning)
                if len(line) > 1 and line[-2].string == "?":
                    return _MisplacedLine(line)
        if _is_automagic(tokens_by_line):
            return cls(tokens_by_line[0][0], prefix="%")
        return None

    def transform(self, lines: list[str]) -> list[str]:
        """Return the lines of a cell with the call in the place of the magic's line."""
        end = find_end_of_continued_line(lines, self.start_line)
        start = self.start_line, self._column
        call = _CALL.match(self._prefix + assemble_continued_line(lines, start, end))
        if call is None:
            raise SyntaxError("not a magic's line")  # IPython then tries the others
        before = lines[self.start_line][: self._column]
        made = f"{before}get_ipython().run_line_magic({call[1]!r}, {call[2]!r})\n"
        return [*lines[: self.start_line], made, *lines[end + 1 :]]


class _MisplacedLine(TokenTransformBase):
    """Fails where IPython has no magics, as in `print(%runagent demo Why?)`, and shows no help."""

    def __init__(self, line: list[tokenize.TokenInfo]) -> None:
        first = next(token for token in line if token.type not in _INDENTATION)
        super().__init__(first.start)  # type: ignore[no-untyped-call]
        self._column = first.start[1]
        self._end = line[-2].start[0]
        self.start_col = -1

    def transform(self, lines: list[str]) -> list[str]:
        """Return the lines of a cell with an error in the place of this one."""
        indentation = lines[self.start_line][: self._column]
        problem = "A magic stands alone on its line, or behind = or return: x = %runagent ..."
        made = f"{indentation}raise SyntaxError({problem!r})\n"
        return [*lines[: self.start_line], made, *lines[self._end :]]


def _rest(token: tokenize.TokenInfo) -> str:
    """Return the text from a token to the end of its line."""
    # The line of a token may be several: of a string over lines, or of lines that go on with \\.
    return token.line.split("\n")[0][token.start[1] :]


def _beginnings(line: list[tokenize.TokenInfo]) -> Iterator[tokenize.TokenInfo]:
    """Find the tokens of a line with which a magic may begin: its first, behind `=`, `return`."""
    first = 0
    while first < len(line) and line[first].type in _INDENTATION:
        first += 1
    yield from line[first : first + 1]
    depth = 0
    for before, token in zip(line[first:], line[first + 1 :], strict=False):
        depth += (before.string in _OPENING) - (before.string in _CLOSING)
        if before.string in {"=", "return"} and depth == 0:
            yield token


def _is_ours(text: str) -> bool:
    call = _CALL.match(text)
    return call is not None and bool(_OURS.match(call[1]) or _OURS_WITHIN.search(text))


def _is_automagic(tokens_by_line: list[list[tokenize.TokenInfo]]) -> bool:
    """Whether a cell is one line like `runagent demo Why?`, which IPython reads as a magic."""
    shell: Any = get_ipython()
    line = tokens_by_line[0] if tokens_by_line else []
    if not (shell is not None and shell.automagic and line[2:] and line[0].start[1] == 0):
        return False
    if any(token.string.strip() for other in tokens_by_line[1:] for token in other):
        return False  # IPython has automatic magics in cells of one line only
    name, behind = line[0].string, line[1]
    return (
        bool(_OURS.match(name))
        and behind.start[1] > line[0].end[1]
        and behind.type in {tokenize.NAME, tokenize.STRING, tokenize.NUMBER}
        and line[0].line.rstrip().endswith("?")
        and name not in shell.user_ns
    )
