"""Finding the JSON in the text of an answer: the whole of it, its fenced block, or a bare one."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

TEXT_FIELDS = ("answer", "content", "text", "output", "response", "result")
"""Names under which agents put the text of an answer that is an object."""

_FENCE = re.compile(r"[ \t>]*(`{3,}|~{3,})[ \t]*([\w-]*)[^`\n]*\Z")
_QUOTED = re.compile(r"[ \t]*>[ \t]?")
_TRIALS = 200
"""Brackets at which a bare block is looked for."""

_decoder = json.JSONDecoder()


def obvious_text(value: Any) -> str | None:
    """Find the text of an object.

    Args:
        value: Any value.

    Returns:
        The object's string under one of the usual names, or `None` if it has none or several.
    """
    if not isinstance(value, dict):
        return None
    found = [value[name] for name in TEXT_FIELDS if isinstance(value.get(name), str)]
    return found[0] if len(found) == 1 else None


def json_in(text: str) -> Any:
    """Read the one JSON block in a text.

    Args:
        text: The text. It is JSON as a whole; or it has one fenced block of JSON; or no fenced
            block, and one object or list of objects in its sentences.

    Returns:
        The value.

    Raises:
        ValueError: There is no such block, or more than one, or it is not valid.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass  # it is not JSON as a whole
    fenced = _fenced(text)
    blocks = [content for language, content in fenced if language.lower().startswith("json")]
    if len(blocks) == 1:
        return _loaded(blocks[0])
    found: list[Any] = []
    if not blocks:
        unnamed = [content for language, content in fenced if not language]
        named = [content for language, content in fenced if language]
        found = _parsed(unnamed) or _parsed(named) or _bare(text)
    count = len(blocks) or len(found)
    if count != 1:
        raise ValueError(
            "its text has no JSON" if not count else f"its text has {count} blocks of JSON"
        )
    return found[0]


def _loaded(content: str) -> Any:
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
    except ValueError as exc:
        raise ValueError(f"its block of JSON is not valid: {exc}") from None


def _parsed(contents: list[str]) -> list[Any]:
    """Return the objects and lists among contents of blocks; others are no JSON."""
    found = []
    for content in contents:
        with contextlib.suppress(ValueError, RecursionError):
            found.append(json.loads(content))
    return [value for value in found if isinstance(value, (dict, list))]


def _fenced(text: str) -> list[tuple[str, str]]:
    """Return the language and the content of each fenced block."""
    blocks: list[tuple[str, str]] = []
    lines: list[str] = []
    marker = language = ""
    is_quoted = False
    for line in text.split("\n"):
        match = _FENCE.match(line.rstrip())
        if not marker:
            if match:
                marker, language, lines = match[1], match[2], []
                is_quoted = line.lstrip().startswith(">")
        elif match and not match[2] and match[1].startswith(marker):
            blocks.append((language, "\n".join(lines)))
            marker = ""
        else:
            lines.append(_QUOTED.sub("", line) if is_quoted else line)
    if marker:  # an answer that ends within its block
        blocks.append((language, "\n".join(lines)))
    return blocks


def _bare(text: str) -> list[Any]:
    """Return the objects and lists of objects that stand in a text."""
    found: list[Any] = []
    position = 0
    for _ in range(_TRIALS):
        match = re.compile(r"[\[{]").search(text, position)
        if match is None:
            break
        try:
            value, position = _decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            position = match.end()
            continue
        items = value if isinstance(value, list) else [value]
        if items and all(isinstance(item, dict) for item in items):
            found.append(value)
    return found
