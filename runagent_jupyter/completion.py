"""Completes options of the magics, agents that this process serves, and names of variables."""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Iterable
from typing import Any

from IPython.core import completer
from IPython.core.getipython import get_ipython

from runagent.registry import DEMO_AGENT_ID, agent_ids
from runagent_jupyter.magic_line.options import parser_of

# The magic before the cursor, the whole words after it, and the word that is being typed.
_LINE = re.compile(r"%%?(runagent(?:_config)?)\s+((?:\S+\s+)*)(\S*)\Z")

_HOOK = r".*%runagent(_config)?\s"
"""The lines that IPython before 8.6 asks `_complete_before_8_6` about."""

_EXPLANATION = 36
"""Characters of an explanation: a narrow menu shows no more."""


def add(shell: Any) -> None:
    """Let a shell complete the lines of the magics."""
    remove(shell)
    if hasattr(completer, "context_matcher"):
        shell.Completer.custom_matchers.append(completer.context_matcher()(complete))
    else:
        shell.set_hook("complete_command", _complete_before_8_6, re_key=_HOOK)


def remove(shell: Any) -> None:
    """Undo `add`."""
    matchers = shell.Completer.custom_matchers
    matchers[:] = [matcher for matcher in matchers if matcher is not complete]
    hooks = shell.strdispatchers.get("complete_command")
    if hooks is not None:
        hooks.regexs.pop(re.compile(_HOOK), None)


def complete(context: Any) -> dict[str, Any]:
    """Complete the word before the cursor on the line of a magic.

    Args:
        context: IPython's `CompletionContext`, which exists since IPython 8.6.

    Returns:
        Completions in the form of IPython's matchers, each with its type and a few words about it.
    """
    word, candidates = _fitting(context.text_until_cursor)
    fitting = [
        # A menu has one line for each, and JupyterLab would break it at a space.
        completer.SimpleCompletion(text=text, type=about.replace(" ", "\N{NO-BREAK SPACE}"))
        for text, about in candidates
    ]
    return {
        "completions": fitting,
        "matched_fragment": word,
        "suppress": bool(fitting),
        "ordered": True,
    }


def _complete_before_8_6(_: Any, event: Any) -> list[str]:
    """Do what `complete` does, as a hook, to which explanations are unknown."""
    return [text for text, _ in _fitting(event.text_until_cursor)[1]]


def _fitting(line: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the last word of a line, and what may stand in its place."""
    found = _LINE.search(line)
    if not found:
        return "", []
    magic, before, word = found.groups()
    candidates = _candidates(magic, before.split(), word)
    return word, [(text, about) for text, about in candidates if text.startswith(word)]


def _candidates(magic: str, before: list[str], word: str) -> list[tuple[str, str]]:
    """Return everything that may stand in the place of `word`, and what each of it is.

    IPython has one field for both a type and an explanation, which menus show beside the text.
    """
    options: dict[str, argparse.Action] = parser_of(magic)._option_string_actions  # noqa: SLF001
    last = options.get(before[-1]) if before else None
    if last is not None and last.nargs is None:  # it takes a value
        if last.dest in ("each", "input", "out", "proc"):
            return _variables()
        if last.dest == "id":
            return _columns(before)
        if last.dest == "agent":
            return _agents()
        return [(choice, f"value of {before[-1]}") for choice in last.choices or ()]
    if word.startswith("-"):
        return [
            (name, f"option: {_explanation(action)}")
            for name, action in sorted(options.items())
            if name.startswith("--")
        ]
    positional = [
        text
        for text, previous in zip(before, ["", *before], strict=False)
        if not text.startswith("--") and getattr(options.get(previous), "nargs", 0) is not None
    ]
    return _agents() if magic == "runagent" and not positional else []


def _agents() -> list[tuple[str, str]]:
    built_in = "agent: built in, needs no key"
    here = "agent: served by this process"
    return [(agent, built_in if agent == DEMO_AGENT_ID else here) for agent in agent_ids()]


def _variables() -> list[tuple[str, str]]:
    variables: dict[str, Any] = getattr(get_ipython(), "user_ns", {})
    hidden: dict[str, Any] = getattr(get_ipython(), "user_ns_hidden", {})
    return [
        (name, f"variable: {type(value).__name__}")
        for name, value in sorted(variables.items())
        if not name.startswith("_") and name not in hidden
    ]


def _columns(before: list[str]) -> list[tuple[str, str]]:
    """Return the names of the columns of the table that `--each` names on the line."""
    named = dict(itertools.pairwise(before)).get("--each", "")
    table = getattr(get_ipython(), "user_ns", {}).get(named)
    first = table[0] if isinstance(table, list) and table else None
    names = getattr(table, "column_names", None) or getattr(table, "columns", first)
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        return []
    return [(name, f"column of {named}") for name in names if isinstance(name, str)]


def _explanation(action: argparse.Action) -> str:
    """Return the first words of an option's help."""
    sentence = re.split(r"[:;,.](?:\s|$)", (action.help or "").replace("%%", "%"))[0]
    short = sentence[:1].lower() + sentence[1:]
    if len(short) > _EXPLANATION:
        short = f"{short[:_EXPLANATION].rpartition(' ')[0]} …"
    return short
