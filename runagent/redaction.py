"""Secrets that a server echoes, in whatever encoding, are taken out of errors and log lines.

Answers are left alone: they are the user's data, and a client that changed them would lie.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from runagent.locks import ForkSafeLock

_LONG = 8
"""The length from which on a secret is part of no ordinary word, and its encodings are unique."""

_SHORT = 3
"""The length up to which a secret is a word of its own everywhere, such as "a" and "is"."""

_PLACEHOLDER = re.compile(r"(\[(?:api key|proxy password|header [!-Z^-~]+)\])")

_PUBLIC = re.compile(
    r"accept|accept-.*|baggage|b3|cache-control|content-.*|date|from|host|idempotency-key|origin"
    r"|pragma|prefer|priority|referer|request-id|sec-ch-.*|te|traceparent|tracestate|user-agent"
    r"|via|x-amzn-trace-id|x-b3-.*|x-cloud-trace-context|x-correlation-id|x-request-id",
    re.IGNORECASE,
)
"""Names of headers whose values a server may repeat, and a reader of errors wants to see."""

_CONFIDENTIAL = re.compile(r"auth|cookie|cred|key|pass|secret|session|sign|token", re.IGNORECASE)
"""Parts of the names of headers whose values are secret however short they are."""


class Redactor:
    """Takes the secrets of one client out of texts.

    They are the API key, the password of the proxy, and the values of headers other than those
    that carry no secrets (`Accept`, `User-Agent`, ids of traces and requests and the like). A value
    of fewer than 8 characters counts only if the name of its header says that it is secret.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        """Take these secrets out; each has a placeholder that goes into its place."""
        # A part of a secret is looked for after the whole.
        self._secrets = dict(sorted(secrets.items(), key=lambda item: -len(item[0])))
        with _lock:
            _all.add(self)

    @classmethod
    def of(
        cls, api_key: str | None, headers: Mapping[str, str], proxies: Iterable[str] = ()
    ) -> Redactor:
        """Return a redactor for the secrets among the settings of a client."""
        secrets: dict[str, str] = {}
        for url in proxies:
            secrets.update(_in_proxy(url))
        secrets.update(_in_headers(headers))
        if api_key:
            secrets[str(api_key)] = "[api key]"
        return cls(secrets)

    def with_headers(self, headers: Mapping[str, str]) -> Redactor:
        """Return a redactor for the values of these headers as well."""
        return Redactor({**_in_headers(headers), **self._secrets}) if headers else self

    def __call__(self, value: Any) -> Any:
        """Return a value without secrets in its strings, in dictionaries and lists at any depth.

        A secret is found as it is, in upper or lower case, and as it stands in URLs, JSON, HTML,
        base64 or hexadecimal. A value without secrets is returned as it is, not as a copy.
        """
        if not self._secrets:
            return value
        text = "\n".join(_strings(value))
        lower = text.lower()
        found = [
            (form.pattern(), placeholder)
            for secret, placeholder in self._secrets.items()
            for form in _forms(secret)
            if form.witness in (lower if form.any_case else text)
        ]
        return _replaced(value, lambda string: _redacted(string, found)) if found else value


def _redacted(text: str, found: Iterable[tuple[re.Pattern[str], str]]) -> str:
    for pattern, placeholder in found:
        if "[" not in text:
            text = pattern.sub(placeholder, text)
            continue
        # An error may be redacted twice, and a placeholder may contain a secret by chance.
        parts = _PLACEHOLDER.split(text)
        parts[::2] = [pattern.sub(placeholder, part) for part in parts[::2]]
        text = "".join(parts)
    return text


def _strings(value: Any) -> Iterator[str]:
    """Yield all strings in a value, without recursion: a server may nest what it sends."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            todo += item.keys()
            todo += item.values()
        elif isinstance(item, list):
            todo += item


def _replaced(value: Any, replace: Callable[[str], str]) -> Any:
    """Return a copy of a value with every string in it replaced."""
    root = [value]
    todo: list[Any] = [root]
    while todo:
        holder = todo.pop()
        for place, item in list(holder.items() if isinstance(holder, dict) else enumerate(holder)):
            if isinstance(item, str):
                holder[place] = replace(item)
            elif isinstance(item, dict):
                holder[place] = {
                    # A name as short as that is one, also if it is the same as a short secret.
                    replace(key) if isinstance(key, str) and len(key) >= _SHORT else key: inner
                    for key, inner in item.items()
                }
                todo.append(holder[place])
            elif isinstance(item, list):
                holder[place] = list(item)
                todo.append(holder[place])
    return root[0]


_lock = ForkSafeLock(reentrant=True)  # closing what the garbage collector finds is logged too
_all: weakref.WeakSet[Redactor] = weakref.WeakSet()


class _LogFilter(logging.Filter):
    """Takes the secrets of all clients out of what the layers below log of a server's answers."""

    def filter(self, record: logging.LogRecord) -> bool:
        with _lock:
            redactors = list(_all)
        message = shown = record.getMessage()
        for redact in redactors:
            shown = redact(shown)
        if shown is not message:
            record.msg, record.args = shown, ()
        return True


# A logger's filters are for its own records only, so that each of theirs needs one.
for _name in (
    "httpx2",
    "httpcore2.connection",
    "httpcore2.http11",
    "httpcore2.http2",
    "httpcore2.proxy",
    "httpcore2.socks",
):
    logging.getLogger(_name).addFilter(_LogFilter())


# Where the secrets are


def confidential(headers: Mapping[str, str]) -> set[str]:
    """Return the names of the headers whose values are secret, or may be."""
    return {name for name, value in headers.items() if _in_headers({name: value})}


def _in_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets in the values of headers, and a placeholder for each."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        if _PUBLIC.fullmatch(name) or not value:
            continue
        placeholder = f"[header {name}]"
        if _CONFIDENTIAL.search(name):
            for part in _parts(value):
                found.setdefault(part, placeholder)
        elif len(value) >= _LONG:
            found.setdefault(str(value), placeholder)
    return found


def _parts(value: str) -> Iterator[str]:
    """Yield a credential, and its parts that are secret by themselves."""
    yield str(value)
    scheme, _, rest = value.partition(" ")
    if scheme.lower() == "basic":
        try:
            user = base64.b64decode(rest, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            user = ""
        password = user.partition(":")[2]
        yield from (text for text in (user, password) if len(text) >= _SHORT)
    for part in re.split(r"[\s;,]+", value):
        yield from (text for text in (part, part.partition("=")[2]) if len(text) >= _LONG)


def _in_proxy(url: str) -> dict[str, str]:
    """Return the password in the URL of a proxy, and its placeholder."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return {}
    password = parts.password
    if not password:
        return {}
    both = f"{unquote(parts.username or '')}:{unquote(password)}"  # as the proxy gets them
    return dict.fromkeys((both, password, unquote(password)), "[proxy password]")


# How they may be written


class _Form:
    """One way to write a secret.

    Attributes:
        witness: A text without which the secret is not there in this form.
        any_case: Whether upper and lower case are the same; the witness is in lower case then.
        pattern: Returns the pattern that finds the secret.
    """

    def __init__(self, witness: str, pattern: str, *, any_case: bool) -> None:
        self.witness = witness.lower() if any_case else witness
        self.any_case = any_case
        self._pattern = pattern

    def pattern(self) -> re.Pattern[str]:
        return re.compile(self._pattern)


@lru_cache(maxsize=64)
def _forms(secret: str) -> tuple[_Form, ...]:
    """Return all forms of a secret."""
    if len(secret) < _LONG:
        return tuple(
            _Form(text, _alone(text), any_case=False) for text in {secret, quote(secret, safe="")}
        )
    return (*_written(secret), *_spelled_out(secret), *_hexadecimal(secret), *_base64(secret))


def _alone(secret: str) -> str:
    """Return a pattern for a short secret, which is part of words, and there it tells nothing.

    A server that repeats a key puts it alone, as after "Bearer " or "token%3D". A secret that may
    be a word itself is found only where a key is expected.
    """
    text = re.escape(secret)
    if len(secret) < _SHORT:
        places = ("[\"'`=]", "%3[Dd]", "[Bb]earer ", "[Kk]ey ", "[Tt]oken ")
        before = "|".join(f"(?<={place}{text})" for place in places)
        before += rf"|(?<![\s\S]{text})\Z"  # all there is
    else:
        before = rf"(?<![^\W_]{text})|(?<=%[0-9A-Fa-f]{{2}}{text})"
    # The text comes first, as a pattern that begins with one is found many times faster.
    return rf"{text}(?![^\W_])(?:{before})"


def _written(secret: str) -> Iterator[_Form]:
    """Yield the secret as it is, with any of its special characters escaped in any way."""
    words = re.findall("[0-9A-Za-z]+", secret)
    pattern = "".join(_any_case(char) if char.isalnum() else _escaped(char) for char in secret)
    yield _Form(max(words, key=len, default=""), pattern, any_case=True)


def _any_case(text: str) -> str:
    return "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else re.escape(c) for c in text)


_NAMES = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos", "/": "sol", "=": "equals"}


def _escaped(char: str) -> str:
    """Return a pattern for a character, escaped for a URL, JSON or HTML, perhaps twice, or not."""
    digits = _any_case(f"{ord(char):02x}")
    named = f"|&(?:amp;)?{_NAMES[char]};" if char in _NAMES else ""
    return (
        rf"(?:\\{{0,4}}{re.escape(char)}|%(?:25){{0,3}}{digits}|\\{{1,4}}(?:u00|x){digits}"
        rf"|&(?:amp;)?#(?:0{{0,6}}{ord(char)}|[xX]0{{0,6}}{digits});{named})"
    )


def _spelled_out(secret: str) -> Iterator[_Form]:
    """Yield the secret with each of its characters escaped, ordinary ones too."""
    for before, inside, after in (
        ("%", "{:02x}", ""), ("%25", "{:02x}", ""), ("\\u00", "{:02x}", ""),
        ("\\x", "{:02x}", ""), ("&#", "{:d}", ";"), ("&#x", "{:x}", ";"),
    ):  # fmt: skip
        text = "".join(f"{before}{inside.format(ord(char))}{after}" for char in secret)
        yield _Form(text, _any_case(text), any_case=True)


def _hexadecimal(secret: str) -> Iterator[_Form]:
    """Yield the digits of the secret's bytes, with or without something between the bytes."""
    digits = secret.encode().hex()
    for between in ("", ":", " ", "-"):
        text = between.join(digits[i : i + 2] for i in range(0, len(digits), 2))
        yield _Form(text, _any_case(text), any_case=True)


def _base64(secret: str) -> Iterator[_Form]:
    """Yield the secret as a part of a text in base64, which it may begin anywhere in."""
    data = secret.encode()
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + data).decode().rstrip("=")
        first = (offset * 8 + 5) // 6  # the characters before have bits of other bytes
        last = (offset + len(data)) * 8 // 6
        middle, end = encoded[first:last], encoded[last:]
        words = re.findall("[0-9A-Za-z]+", middle)
        pattern = "".join(map(_of_base64, middle))
        # The last character depends on the byte that follows; it is known if none does.
        pattern += f"(?:{_of_base64(end)}(?:=|%3[Dd])*)?" if end else "(?:=|%3[Dd])*"
        yield _Form(max(words, key=len, default=""), pattern, any_case=False)


def _of_base64(char: str) -> str:
    """Return a pattern for a character of base64 in both alphabets, also in a URL or in JSON."""
    if char == "+":
        return r"(?:[+-]|%2[Bb]|\\u002[Bb])"
    return r"(?:\\?/|_|%2[Ff])" if char == "/" else char
