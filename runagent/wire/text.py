"""JSON and text as both wires read them, and how messages quote them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from itertools import islice
from typing import Any

MAX_NAME = 200
"""Characters that are kept of a server's code, request id or version."""

_SMALL = 1 << 20
"""Characters of a text that takes little memory whatever it contains."""

_SPARE = 32_000_000
"""Bytes of memory that a message may take besides a multiple of the allowed size."""

_WEIGHTS = (("[", 90), ("{", 200), (",", 40), (":", 60), ('"', 28))
"""Bytes of memory that Python takes at most for what each of these characters begins or ends."""

_raw_decode = json.JSONDecoder().raw_decode

_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_HALF = re.compile("[\ud800-\udfff]")


class ExpansionError(ValueError):
    """JSON that would take far more memory than its bytes."""


def parse_json(body: bytes | str, limit: int | None = None, held: int = 0) -> Any:
    """Return decoded JSON.

    `[[],[],…` takes 25 times the memory of its text. The work is in proportion to the memory, so
    that a limit on one is a limit on both.

    Args:
        body: The text.
        limit: The bytes that messages may have, `None` for no limit. Decoded, a message may take
            four times as many bytes of memory.
        held: Bytes of memory that this message takes already, besides `body`.

    Raises:
        ExpansionError: A text that would take more memory than allowed.
        ValueError: A text that is not JSON, or is nested beyond Python's limit.
    """
    try:
        if limit is not None and len(body) > _SMALL:
            if isinstance(body, bytes):
                held += len(body)
                body = body.decode(json.detect_encoding(body), "surrogatepass")
            _check_expansion(body, 4 * limit + _SPARE - held)
        if isinstance(body, str):
            try:
                value, end = _raw_decode(body)  # in half the time that `loads` takes for a chunk
            except ValueError:
                end = -1  # `loads` passes over whitespace, or says what is wrong
            if end == len(body):
                return value
        return json.loads(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _check_expansion(text: str, room: int) -> None:
    """Refuse a text that, with the values in it, would take more bytes of memory than `room`."""
    width = sys.getsizeof(text) // len(text)
    if "\\ud" in text or "\\uD" in text:
        width = 4
    elif "\\u" in text:
        width = max(width, 2)
    expected = sys.getsizeof(text) + width * len(text)
    if width > 1:  # a string that turns out to be wide is copied while it is read
        expected += 3 * width * len(text) // 10
    expected += sum(weight * text.count(character) for character, weight in _WEIGHTS)
    if expected > room:
        raise ExpansionError(f"it would take about {expected:,} bytes of memory")


def as_dict(value: Any) -> dict[str, Any]:
    """Return a dictionary as it is, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def as_text(value: Any) -> str | None:
    """Return the text of a value that names something, `None` for `None`."""
    if value is None:
        return None
    return shortened(value if isinstance(value, str) else brief(value), MAX_NAME)


def brief(value: Any, length: int = MAX_NAME) -> str:
    """Return the first characters of a value's JSON, at little cost however large it is."""
    if isinstance(value, str):
        value = value[:length]
    text = ""
    try:
        for piece in islice(json.JSONEncoder(ensure_ascii=False).iterencode(value), length):
            text += piece[:length]
            if len(text) > length:
                break
    except RecursionError:
        text += "…"
    return shortened(text, length)


def shortened(text: str, length: int) -> str:
    """Return a text, cut after a number of characters."""
    return text if len(text) <= length else f"{text[:length]}…"


def excerpt(body: bytes | str, length: int = 200) -> str:
    """Return the first characters of a body as one line for a message."""
    text = body[: 4 * length]
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return shortened(text, length)


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


def with_pairs_joined(text: str) -> str:
    """Return a text in which the two halves of a character, sent one by one, are one again."""
    if not _PAIR.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


class PairJoiner:
    """Joins the halves of a character that was cut by the end of a chunk.

    JSON writes a character such as an emoji as two escapes. A server that cuts its text between
    them sends two strings that no terminal and no file takes.

    Attributes:
        held: The half of a character that waits for its other half, mostly empty.
    """

    def __init__(self) -> None:
        """Begin with the first chunk."""
        self.held = ""

    def feed(self, text: str) -> str:
        """Return the next chunk's text; the half of a character at its end comes with the next.

        A half whose other half is missing is replaced by U+FFFD.
        """
        if not self.held and not _HALF.search(text):
            return text
        text = with_pairs_joined(self.held + text)
        self.held = ""
        if "\ud800" <= text[-1:] <= "\udbff":
            self.held = text[-1]
            text = text[:-1]
        return _HALF.sub("\ufffd", text)

    def finish(self) -> str:
        """Return the text that still waits for its other half."""
        held, self.held = self.held, ""
        return "\ufffd" if held else ""


def joined(texts: Iterable[str], length: int = 2_000) -> str:
    """Return texts as one, with semicolons, cut after a number of characters."""
    found = ""
    for text in texts:
        found += f"; {text}" if found else text
        if len(found) > length:
            break
    return shortened(found, length)
