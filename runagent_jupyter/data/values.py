"""The value an agent answers with, as text: the obvious text of an object, or its JSON."""

from __future__ import annotations

import json
import operator
from typing import Any

from runagent import ValidationError
from runagent.encode import to_json
from runagent.json_blocks import obvious_text
from runagent_jupyter.data.pictures import is_picture_uri, markdown_of, uri_in, words_for

__all__ = [
    "as_data",
    "as_markdown",
    "json_beginning",
    "json_of",
    "obvious_text",
    "without_pictures",
]

_LONG = 1_000_000
"""Characters of JSON beyond which it is not indented: nobody reads it, and it takes far longer."""


def as_data(value: Any) -> Any:
    """Return a value as JSON has it.

    Args:
        value: Any value, such as an instance of a model or a list of them.

    Returns:
        The same value if it is a string, a number, a dictionary or a list of such; otherwise the
        form in which it would be sent, or itself if there is none.
    """
    first = value[0] if isinstance(value, list) and value else value
    if first is None or isinstance(first, (str, int, float, dict, list)):
        return value
    try:
        return json.loads(to_json(value))
    except ValidationError:
        return value


def json_of(value: Any) -> str:
    """Write a value as JSON for people to read.

    Args:
        value: Any value; a value that is not JSON is written as its `repr`.

    Returns:
        Indented JSON, or JSON on one line if indentation would be most of the text, or if there
        are more than a million characters.
    """
    value = as_data(value)
    line = json.dumps(value, ensure_ascii=False, default=repr)
    if len(line) > _LONG:
        return line
    text = json.dumps(value, ensure_ascii=False, default=repr, indent=2)
    return text if len(text) < 5 * len(line) + 1_000 else line


def json_beginning(value: Any, most: int) -> tuple[str, bool]:
    """Write the beginning of what `json_of` writes, at little cost however large the value is.

    Args:
        value: Any value.
        most: The most characters.

    Returns:
        The text, and whether it is the whole.
    """
    value = as_data(value)
    line, line_is_whole = _written(value, most, None)
    text, text_is_whole = _written(value, most, 2)
    if len(text) < 5 * len(line) + 1_000:
        return text, text_is_whole
    return line, line_is_whole


def _written(value: Any, most: int, indent: int | None) -> tuple[str, bool]:
    encoder = json.JSONEncoder(ensure_ascii=False, default=repr, indent=indent)
    pieces: list[str] = []
    size = 0
    for piece in encoder.iterencode(value):
        pieces.append(piece)
        size += len(piece)
        if size > most:
            return "".join(pieces)[:most], False
    return "".join(pieces), True


def as_markdown(value: Any) -> str | None:
    """Write a value as Markdown, if it consists of text and pictures.

    Args:
        value: A string; an object with one text, with pictures, or with both; or a list of texts
            and pictures as chat protocols send them.

    Returns:
        The text, with each picture as an image whose address holds its data; `None` for any other
        value.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _object_as_markdown(value)
    if not isinstance(value, list) or not any(map(markdown_of, value)):
        return None
    parts = [_block(item) for item in value]
    return None if None in parts else "\n\n".join(part for part in parts if part)


def without_pictures(value: Any, levels: int = 24) -> Any:
    """Replace the pictures in a value by words.

    Args:
        value: A value of JSON.
        levels: Levels of lists and objects in which they are looked for: those that a tree shows.

    Returns:
        The same value if there are none in it; otherwise a copy, with a text in the place of each.
    """
    found = uri_in(value)
    if found or (isinstance(value, str) and is_picture_uri(value)):
        return words_for(*(found or (value,)))
    if not levels:
        return value
    if isinstance(value, dict):
        fields = {name: without_pictures(item, levels - 1) for name, item in value.items()}
        return value if all(fields[name] is value[name] for name in value) else fields
    if isinstance(value, list):
        items = [without_pictures(item, levels - 1) for item in value]
        return value if all(map(operator.is_, items, value)) else items
    return value


def _object_as_markdown(value: dict[str, Any]) -> str | None:
    own = markdown_of(value)
    others = [
        item for part in value.values() for item in (part if isinstance(part, list) else [part])
    ]
    pictures = [own] if own else [found for found in map(markdown_of, others) if found]
    text = obvious_text(value)
    if text is None:
        return own
    is_data = own is not None and "".join(text.split()) in own
    return "\n\n".join(pictures if is_data else [text, *pictures])


def _block(value: Any) -> str | None:
    """Write an item of a list of texts and pictures."""
    if isinstance(value, dict) and isinstance(value.get("text"), str) and not markdown_of(value):
        return str(value["text"]) if set(value) <= {"type", "text", "annotations"} else None
    return value if isinstance(value, str) else markdown_of(value)
