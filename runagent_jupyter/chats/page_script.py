"""Joins the chat's scripts into one module, because anywidget loads only one."""

from __future__ import annotations

import re
from importlib import resources

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)
_COMMENT = re.compile(r"^ *(?://[^\n]*|/\*\*.*?\*/)\n", re.MULTILINE | re.DOTALL)
_REMARK = re.compile(r"(?<=[;{,]) //[^\n\"'`]*$", re.MULTILINE)  # a comment behind code
_BLANKS = re.compile(r"^\s+", re.MULTILINE)  # no string of the scripts depends on its indentation
_TEXT = re.compile(r'("(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`)')
# The blank in `a + +b` stays, and so does that in `a - -b`.
_BESIDE_A_SIGN = re.compile(r" *(?<![+-] )([=+\-*/<>!?:;,{}()&|\[\]])(?! [+-]) *")
_BEHIND_A_SIGN = re.compile(r"(?<=[;{},(])\n")  # each statement ends with a semicolon or a brace
_DIGITS = re.compile(r"(?<=\d)_(?=\d)")
_ONE_PARAMETER = re.compile(r"(?<![\w)\]])\((\w+)\)(?==>)")


def joined(script: str) -> str:
    """Replace the imports of an ES module in `static` by the modules themselves, and shorten it.

    Args:
        script: The source of the module.

    Returns:
        A module that imports nothing, without comments and with little white space.
    """
    return _compact(bundled(script))


def bundled(script: str) -> str:
    """Replace the imports of an ES module in `static` by the modules themselves.

    Args:
        script: The source of the module. Its modules share one scope afterwards, so no two of them
            may use the same name at their top level.

    Returns:
        A module that imports nothing, as it was written.
    """
    modules: dict[str, str] = {}
    _collect(script, modules)
    return "".join([*modules.values(), _IMPORT.sub("", script)])


def _compact(script: str) -> str:
    """Remove comments, white space, and parentheses around a single parameter.

    Strings in double quotes stay, and so do templates and regular expressions without blanks.
    """
    script = _BLANKS.sub("", _REMARK.sub("", _COMMENT.sub("", script)))
    parts = _TEXT.split(script)
    for index in range(0, len(parts), 2):
        code = _BEHIND_A_SIGN.sub("", _BESIDE_A_SIGN.sub(r"\1", parts[index]))
        code = _DIGITS.sub("", _ONE_PARAMETER.sub(r"\1", code))
        parts[index] = code.replace(";}", "}")
    return "".join(parts)


def _collect(script: str, modules: dict[str, str]) -> None:
    """Add the modules that a script imports, each behind those that it imports itself."""
    for name in _IMPORT.findall(script):
        if name not in modules:
            source = (
                resources.files("runagent_jupyter").joinpath(f"static/{name}").read_text("utf-8")
            )
            _collect(source, modules)
            modules[name] = _EXPORT.sub("", _IMPORT.sub("", source))
