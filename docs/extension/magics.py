"""The options of the magics: from their parsers, each with an example that the tests run."""

from __future__ import annotations

import argparse

from extension.places import entries, introduction
from runagent_jupyter.magic_line.options import parser_of

EXAMPLES = {"runagent": "magic-examples.md", "runagent_config": "config-examples.md"}


def magic_setup() -> str:
    """Return the blocks that the examples of `%%runagent` build on."""
    return introduction(EXAMPLES["runagent"])


def magic_options() -> str:
    """Return a section for each option of `%%runagent`."""
    return _sections("runagent")


def config_options() -> str:
    """Return a section for each option of `%runagent_config`."""
    return _sections("runagent_config")


def options(magic: str) -> dict[str, argparse.Action]:
    """Return the options of a magic by name, in the order of its help."""
    actions = parser_of(magic)._actions  # noqa: SLF001 - argparse has nothing public
    return {
        action.option_strings[0]: action
        for action in actions
        if action.option_strings and not isinstance(action, argparse._HelpAction)  # noqa: SLF001
    }


def _sections(magic: str) -> str:
    examples = entries(EXAMPLES[magic])
    known = options(magic)
    if examples.keys() != known.keys():
        differing = ", ".join(sorted(examples.keys() ^ known.keys()))
        raise ValueError(f"{EXAMPLES[magic]} and the parser do not agree on: {differing}.")
    sections = (_section(magic, action, examples[name]) for name, action in known.items())
    return "\n".join(sections)


def _section(magic: str, action: argparse.Action, example: str) -> str:
    name = action.option_strings[0]
    value = action.metavar or ("|".join(action.choices) if action.choices else "")
    heading = f"`{name} {value}`" if value else f"`{name}`"
    several = " May be given several times." if isinstance(action, argparse._AppendAction) else ""  # noqa: SLF001
    text = (action.help or "").replace("%%", "%")
    return f"({magic}{name})=\n### {heading}\n\n{_code(text)}{several}\n\n{example}\n"


def _code(text: str) -> str:
    """Return the help with braces, names and options as code, where Markdown would change them."""
    return text.replace("{{column}}", "`{{column}}`").replace("{{ and }}", "`{{` and `}}`")
