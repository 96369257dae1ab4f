"""The value an agent answers with, as text: the obvious text of an object, or its JSON."""

from __future__ import annotations

import json
from typing import Any

from runagent.json_blocks import obvious_text

__all__ = ["json_of", "obvious_text"]


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
