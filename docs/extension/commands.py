"""The options of the commands: from their parsers."""

from __future__ import annotations

import argparse

from extension.places import table
from runagent import map as map_command
from runagent.local import __main__ as local_command


def command_local() -> str:
    """Return the arguments of `python -m runagent.local`."""
    return _arguments(local_command.parser())


def command_map() -> str:
    """Return the arguments of `python -m runagent.map`."""
    return _arguments(map_command.parser())


def _arguments(parser: argparse.ArgumentParser) -> str:
    rows = []
    for action in parser._actions[1:]:  # noqa: SLF001 - argparse has nothing public; after --help
        names = action.option_strings or [str(action.dest)]
        value = action.metavar or ("|".join(action.choices) if action.choices else "")
        if action.option_strings and not value and action.nargs is None:
            value = action.dest.upper()
        heading = f"`{names[-1]} {value}`" if value else f"`{names[-1]}`"
        rows.append([heading, (action.help or "") % {"default": action.default}])
    return f"{parser.description}\n\n{table(['argument', 'meaning'], rows)}\n"
