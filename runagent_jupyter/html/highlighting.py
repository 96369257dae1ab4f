"""Syntax highlighting: source code as HTML whose elements and classes give it colour."""

from __future__ import annotations

import functools
import html
from collections.abc import Mapping
from typing import Any, Final

_LONGEST: Final = 65_536  # characters; longer code is shown without highlighting

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


@functools.cache
def _lexer(language: str) -> Any:
    from pygments.lexers import get_lexer_by_name  # noqa: PLC0415  # loaded late
    from pygments.util import ClassNotFound  # noqa: PLC0415

    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def highlight(text: str, language: str) -> str:
    """Mark up source code.

    Args:
        text: The code. More than 65,536 characters are shown without highlighting.
        language: Its language, by a name that Pygments knows. Code in a language that is not in
            the list above is shown without highlighting.

    Returns:
        HTML for the content of a ``<code>``, not sanitized yet.
    """
    language = language.lower()
    lexer = _lexer(language) if language in _LANGUAGES and len(text) <= _LONGEST else None
    if lexer is None:
        return html.escape(text)
    out: list[str] = []
    run: list[str] = []
    run_class = ""
    for _, token_type, value in lexer.get_tokens_unprocessed(text):
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
