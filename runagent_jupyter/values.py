"""The value an agent answers with, as text: the obvious text of an object, or its JSON."""

from __future__ import annotations

import json
from typing import Any

TEXT_FIELDS = ("answer", "content", "text", "output", "response", "result")
"""Names under which agents put the text of an answer that is an object."""


def json_of(value: Any) -> str:
    """Write a value as JSON for people to read.

    Args:
        value: Any value; a value that is not JSON is written as its `repr`.

    Returns:
        Indented JSON, or JSON on one line if indentation would be most of the text.
    """
    line = json.dumps(value, ensure_ascii=False, default=repr)
    text = json.dumps(value, ensure_ascii=False, default=repr, indent=2)
    return text if len(text) < 5 * len(line) + 1_000 else line


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
