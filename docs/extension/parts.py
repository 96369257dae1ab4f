"""The parts of the site that are made from the code, by name."""

from __future__ import annotations

from collections.abc import Callable

from extension.codes import error_codes
from extension.commands import command_local, command_map
from extension.elsewhere import contributing, conversions, fronts
from extension.magics import config_options, magic_options, magic_setup
from extension.promises import promises
from extension.settings import settings, variables

PARTS: dict[str, Callable[[], str]] = {
    "command-local": command_local,
    "command-map": command_map,
    "config-options": config_options,
    "conversions": conversions,
    "contributing": contributing,
    "error-codes": error_codes,
    "fronts": fronts,
    "magic-options": magic_options,
    "magic-setup": magic_setup,
    "promises": promises,
    "settings": settings,
    "variables": variables,
}
