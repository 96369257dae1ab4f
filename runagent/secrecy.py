"""Secrets: values that no traceback shows, and texts from which a key is taken out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote


class Secret(str):
    """A string whose `repr` hides it, so that no traceback shows it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class Concealed(dict[str, Any]):
    """A dictionary whose `repr` hides the values, so that no traceback shows them."""

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{name!r}: ***' for name in self)}}}"


def conceal(value: Any) -> Any:
    """Return a string as a `Secret`, a mapping as `Concealed`, anything else unchanged."""
    if isinstance(value, str):
        return Secret(value)
    return Concealed(value) if isinstance(value, Mapping) else value


_REDACTED = "[api key]"

_LONG_KEY = 8
"""The length from which on a key is part of no ordinary word."""


def redact(value: Any, secret: str | None) -> Any:
    """Return a value without a secret in its strings, those in dictionaries and lists included.

    The secret may stand there as it is, or quoted for a URL.
    """
    if not secret:
        return value
    if isinstance(value, str):
        return _occurrence(secret).sub(_REDACTED, value)
    if isinstance(value, dict):
        return {redact(key, secret): redact(item, secret) for key, item in value.items()}
    if isinstance(value, list):
        return [redact(item, secret) for item in value]
    return value


def _occurrence(secret: str) -> re.Pattern[str]:
    """Return a pattern that finds a secret as it is, or quoted: a page may show a request's URL."""
    pattern = f"(?:{re.escape(quote(secret, safe=''))}|{re.escape(secret)})"
    if len(secret) < _LONG_KEY:
        # A key like "k" or "test", as in development, is also part of words, and there it tells
        # nothing. A server that repeats a key puts it alone, as after "Bearer " or "token%3D".
        pattern = rf"(?:(?<![^\W_])|(?<=%[0-9A-Fa-f]{{2}})){pattern}(?![^\W_])"
    # The replacement itself is left alone: an error may be redacted twice.
    return re.compile(f"{re.escape(_REDACTED)}|{pattern}")
