"""Completes options of the magics, agents that this process serves, and names of variables."""

from __future__ import annotations

import argparse
import re
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher
from IPython.core.getipython import get_ipython

from runagent.registry import agent_ids
from runagent_jupyter.options import parser_of

# The magic before the cursor, the whole words after it, and the word that is being typed.
_LINE = re.compile(r"%%?(runagent(?:_config)?)\s+((?:\S+\s+)*)(\S*)\Z")


@context_matcher()
def complete(context: CompletionContext) -> dict[str, Any]:
    """Complete the word before the cursor on the line of a magic.

    Returns:
        Completions in the form of IPython's matchers.
    """
    line = _LINE.search(context.text_until_cursor)
    if not line:
        return {"completions": []}
    magic, before, word = line.groups()
    fitting = [text for text in _candidates(magic, before.split(), word) if text.startswith(word)]
    return {
        "completions": [SimpleCompletion(text=text) for text in fitting],
        "matched_fragment": word,
        "suppress": bool(fitting),
        "ordered": True,
    }


def _candidates(magic: str, before: list[str], word: str) -> list[str]:
    """Return everything that may stand in the place of `word`, after the words `before` it."""
    options: dict[str, argparse.Action] = parser_of(magic)._option_string_actions  # noqa: SLF001
    last = options.get(before[-1]) if before else None
    if last is not None and last.nargs is None:  # it takes a value
        if last.dest in ("input", "out", "proc"):
            shell = get_ipython()
            return sorted(n for n in getattr(shell, "user_ns", {}) if not n.startswith("_"))
        return list(last.choices or ()) or (agent_ids() if last.dest == "agent" else [])
    if word.startswith("-"):
        return sorted(option for option in options if option.startswith("--"))
    positional = [
        text
        for text, previous in zip(before, ["", *before], strict=False)
        if not text.startswith("--") and getattr(options.get(previous), "nargs", 0) is not None
    ]
    return agent_ids() if magic == "runagent" and not positional else []
