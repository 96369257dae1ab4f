"""JSON and text as both wires read them, and how messages quote them."""

from __future__ import annotations

import json
from typing import Any


def parse_json(body: bytes | str) -> Any:
    """Return decoded JSON.

    Raises:
        ValueError: A text that is not JSON, or is nested beyond Python's limit.
    """
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def as_dict(value: Any) -> dict[str, Any]:
    """Return a dictionary as it is, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def as_text(value: Any) -> str | None:
    """Return the text of a value, `None` for `None`."""
    return None if value is None else str(value)


def excerpt(body: bytes | str, length: int = 200) -> str:
    """Return the first characters of a body as one line for a message."""
    text = body[: 4 * length].decode("utf-8", "replace") if isinstance(body, bytes) else body
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return text if len(text) <= length else f"{text[:length]}…"


def describe(body: bytes) -> str:
    """Describe an unreadable body for a message."""
    return f"{excerpt(body)!r}" if body.strip() else "an empty body"


def chunk_text(value: Any) -> str | None:
    """Return the text a chunk's value adds to the answer.

    A string is itself. An object with a string under `content`, `delta` or `text` is that string.
    `None` adds nothing. Anything else is its JSON text.
    """
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, dict):
        for key in ("content", "delta", "text"):
            if isinstance(value.get(key), str):
                return str(value[key])
    return json.dumps(value, ensure_ascii=False)
