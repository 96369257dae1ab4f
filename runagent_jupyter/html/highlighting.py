"""Syntax highlighting: source code as HTML whose elements and classes give it colour.

Many of Pygments' lexers take time in proportion to the square of a text, or worse. So a lexer works
in small steps that look at a bounded stretch of the text, and code that takes it too long is shown
without colour.
"""

from __future__ import annotations

import functools
import hashlib
import html
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

LONGEST: Final = 24_576
"""Characters of a block of code that are highlighted at most."""

# Seconds of CPU time that a lexer may take for a block: 0.16 s for the longest one. Ordinary code
# takes from 0.5 to 3 microseconds a character, and a slow or busy machine several times as much.
_SECONDS: Final = 0.04
_SECONDS_PER_CHARACTER: Final = 5e-6

# The same for all blocks of a document together, so that many small ones are no way around it.
_SECONDS_OF_DOCUMENT: Final = 0.1

# White space that is in no code. Many lexers look through all of it again and again.
_BLANKS: Final = re.compile(r"\s{256}")

# Characters behind its position that a rule of a lexer sees. A token that is longer, such as a
# script in HTML, is not recognized as one. Rules with many repetitions, such as those for the
# header of a function in C, and the rules of some lexers take more than 20 ms for so many.
_WINDOW: Final = 8_192
_SMALL_WINDOW: Final = 512
_MANY_REPETITIONS: Final = 16
_SLOW_LEXERS: Final = frozenset({"INI", "Matlab", "OCaml", "Terraform"})

# Lexers without rules get a few lines at a time, but for those that read a text once.
_LINES: Final = 1_024  # characters; with a line that is longer, the code is not highlighted
_READ_ONCE: Final = frozenset({"JSON", "Text only"})

# The most frequent classes have elements instead: they are shorter, and viewers without the style
# sheet show them differently too.
_ELEMENTS: Final[Mapping[str, str]] = {"ra-c": "i", "ra-k": "b", "ra-s": "samp"}

# The agent names the language, so only the lexers of common languages are ever loaded.
_LANGUAGES: Final = frozenset(
    """
    asm bash bat bibtex c c# c++ cfg clojure cmake cmd console cpp cs csharp css csv cython dart
    diff docker dockerfile elixir elm erlang f# fortran fsharp go golang graphql groovy haskell
    hcl hs html http ini ipython ipython3 java javascript jinja jl js json json5 jsonc jsonl jsx
    julia kotlin kt latex less lua make makefile markdown matlab md mysql nginx nim objc ocaml
    octave perl php plaintext postgresql powershell prolog proto protobuf ps1 py py3 pycon
    python python3 r rb rs rst ruby rust sass scala scheme scss sh shell solidity sql sqlite3
    svg swift tcl terraform tex text toml ts tsx typescript verilog vhdl vim vue xml yaml yml
    zig zsh
    """.split()  # noqa: SIM905  # a table of words
)


@functools.cache
def _classes() -> tuple[tuple[Any, str], ...]:
    from pygments.token import Comment, Error, Generic, Keyword, Literal, Name, Operator  # noqa: PLC0415  # loaded late

    return (
        (Comment.Preproc, "ra-cp"),
        (Comment, "ra-c"),
        (Keyword, "ra-k"),
        (Operator.Word, "ra-k"),
        (Literal.String, "ra-s"),
        (Literal.Number, "ra-m"),
        (Name.Function, "ra-nf"),
        (Name.Class, "ra-nf"),
        (Name.Builtin, "ra-nb"),
        (Name.Exception, "ra-nb"),
        (Name.Decorator, "ra-nd"),
        (Name.Tag, "ra-nt"),
        (Name.Attribute, "ra-na"),
        (Generic.Deleted, "ra-gd"),
        (Generic.Inserted, "ra-gi"),
        (Generic.Heading, "ra-cp"),
        (Generic.Subheading, "ra-cp"),
        (Generic.Prompt, "ra-c"),
        (Generic.Error, "ra-err"),
        (Generic.Traceback, "ra-err"),
        (Error, ""),
    )


@functools.cache
def _class_of(token_type: Any) -> str:
    return next((name for root, name in _classes() if token_type in root), "")


class _GivenUpError(Exception):
    """A lexer takes too long for a text, or loses some of it."""


# Whether code is highlighted, by its digest: of code that was too slow, or nearly was. So the same
# code has the same look when its stream has ended, and when it is shown again.
_verdicts: dict[bytes, bool] = {}
_MOST_VERDICTS: Final = 20_000


class Allowance:
    """The CPU time that highlighting may take in one document."""

    def __init__(self) -> None:
        self._left = _SECONDS_OF_DOCUMENT

    def of(self, text: str) -> float:
        """Return the seconds for a block of code; each one brings some along."""
        self._left += _SECONDS_PER_CHARACTER * len(text)
        return self._left

    def spend(self, seconds: float) -> bool:
        """Take off the time that a block took.

        Returns:
            Whether so little is left that it may be too little at another time.
        """
        self._left -= seconds
        return self._left < _SECONDS_OF_DOCUMENT / 2


@functools.cache
def _lexer(language: str, is_long: bool) -> Any:
    from pygments.lexer import RegexLexer  # noqa: PLC0415  # loaded late
    from pygments.lexers import get_lexer_by_name  # noqa: PLC0415
    from pygments.util import ClassNotFound  # noqa: PLC0415

    try:
        lexer: Any = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None
    if isinstance(lexer, RegexLexer):
        rules: Any = lexer
        rules._tokens = {  # noqa: SLF001  # Pygments has no other way to bound a rule
            state: [(_bounded(match, lexer.name, is_long), *then) for match, *then in found]
            for state, found in rules._tokens.items()  # noqa: SLF001
        }
    return lexer


def _bounded(match: Any, name: str, is_long: bool) -> Callable[..., Any]:
    """Have a rule look no further than a window.

    Args:
        match: The method of a compiled pattern.
        name: The name of the lexer.
        is_long: Whether texts may be longer than the usual window.
    """
    pattern = str(match.__self__.pattern)
    is_slow = pattern.count("*") + pattern.count("+") > _MANY_REPETITIONS
    window = _SMALL_WINDOW if is_slow or name in _SLOW_LEXERS else _WINDOW
    if window == _WINDOW and not is_long:
        return match  # type: ignore[no-any-return]

    def bounded(text: str, position: int, end: int | None = None) -> Any:
        last = position + window
        return match(text, position, last if end is None or end > last else end)

    return bounded


def highlight(text: str, language: str, before: int = 0, allowance: Allowance | None = None) -> str:
    """Mark up source code.

    The same code gets the same result each time, until thousands of slow texts have come between.

    Args:
        text: The code. It is shown without highlighting if its lexer takes too long.
        language: Its language, by a name that Pygments knows. Code in a language that is not in
            the list above is shown without highlighting.
        before: The number of characters of the same block that come before this code. What lies
            beyond `LONGEST` is shown without highlighting.
        allowance: The time that is left for the document, if the code is a part of one.

    Returns:
        HTML for the content of a ``<code>``, not sanitized yet.
    """
    language = language.lower()
    is_short = before + len(text) <= LONGEST
    is_known = is_short and language in _LANGUAGES
    lexer = _lexer(language, len(text) > _WINDOW) if is_known else None
    if lexer is None or _BLANKS.search(text):
        return html.escape(text)
    allowance = allowance or Allowance()
    longest = (0 if before else _SECONDS) + _SECONDS_PER_CHARACTER * len(text)
    allowed = min(longest, allowance.of(text))
    key = hashlib.blake2b(f"{language}\n{text}".encode("utf-8", "replace"), digest_size=16).digest()
    verdict = _verdicts.get(key)
    if verdict is False:
        return html.escape(text)
    began = time.thread_time()
    try:
        if allowed <= 0 and not verdict:
            raise _GivenUpError
        # Code that was fast enough once may be a little slower the next time.
        shown = _marked_up(_tokens(lexer, text, 1.2 * longest if verdict else allowed))
    except _GivenUpError:
        shown, verdict = html.escape(text), False
    took = time.thread_time() - began
    is_close = allowance.spend(took) or took > allowed / 4
    if verdict is False or is_close:
        if len(_verdicts) >= _MOST_VERDICTS:
            _verdicts.clear()
        _verdicts[key] = verdict is not False
    return shown


def _tokens(lexer: Any, text: str, seconds: float) -> Iterator[tuple[Any, str]]:
    """Yield the tokens of a text, as long as they take no more CPU time than allowed."""
    clock = time.perf_counter  # it is read far more quickly than the CPU time
    began, worked = clock(), time.thread_time()
    for part in _parts(lexer, text):
        left = len(part)
        for _, token_type, value in lexer.get_tokens_unprocessed(part):
            if clock() - began > seconds and time.thread_time() - worked > seconds:
                raise _GivenUpError
            yield token_type, value[:left]  # some lexers add a newline
            left -= len(value)
        if left > 0:
            raise _GivenUpError


def _parts(lexer: Any, text: str) -> Iterator[str]:
    """Cut a text into the parts that a lexer gets one by one."""
    if hasattr(lexer, "_tokens") or lexer.name in _READ_ONCE:
        yield text
        return
    lines = text.splitlines(keepends=True)
    if max(map(len, lines), default=0) > _LINES:
        raise _GivenUpError
    part = ""
    for line in lines:
        if len(part) + len(line) > _LINES:
            yield part
            part = ""
        part += line
    yield part


def _marked_up(tokens: Iterator[tuple[Any, str]]) -> str:
    out: list[str] = []
    run: list[str] = []
    run_class = ""
    for token_type, value in tokens:
        name = _class_of(token_type)
        if name != run_class and not (value.isspace() and run):
            out.append(_marked(run_class, "".join(run)))
            run, run_class = [], name
        run.append(value)
    out.append(_marked(run_class, "".join(run)))
    return "".join(out)


def _marked(name: str, text: str) -> str:
    content = html.escape(text)
    if not name or not text:
        return content
    if element := _ELEMENTS.get(name):
        return f"<{element}>{content}</{element}>"
    return f'<span class="{name}">{content}</span>'
