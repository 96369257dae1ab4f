"""Checks of single settings: each returns a valid value, or raises and names the source."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Mapping
from typing import Literal, NoReturn, get_args

from runagent.errors import ValidationError
from runagent.secrecy import Concealed, Secret
from runagent.wire import GENERIC, GENERIC_STREAM, STREAM_SUFFIX

ProtocolName = Literal["auto", "rest", "server"]
PROTOCOLS: tuple[ProtocolName, ...] = get_args(ProtocolName)

_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"([\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?)?")
_FRAMING = frozenset({"connection", "content-length", "transfer-encoding", "upgrade"})


def refuse(source: str, value: object, problem: str, hint: str | None = None) -> NoReturn:
    """Raise a `ValidationError` that says where a value came from and what is wrong with it.

    Args:
        source: Where the value came from; stands right before the value in the message.
        value: The value, shown by its `repr`.
        problem: The fault, as a predicate: "is not a string".
        hint: What to do about it.

    Raises:
        ValidationError: Always.
    """
    raise ValidationError(f"{source}{value!r} {problem}.", code="INVALID_SETTING", hint=hint)


def check_text(value: object, source: str) -> str:
    """Return a string."""
    if not isinstance(value, str):
        refuse(source, value, "is not a string")
    return value


def check_key(value: object, source: str) -> str:
    """Return an API key without surrounding white space, as a `Secret`."""
    # No message shows the value: it may be a key of the wrong type.
    if not isinstance(value, str):
        raise ValidationError(
            f"{source}… is of type {type(value).__name__}; an API key is a string.",
            code="INVALID_SETTING",
        )
    return Secret(value.strip())


def is_sendable_key(key: str) -> bool:
    """Whether an HTTP header can carry an API key."""
    return re.fullmatch(r"[\x21-\x7e]+", key) is not None


def check_key_is_sendable(key: str | None, source: str) -> str | None:
    """Return an API key that an HTTP header can carry."""
    if key and not is_sendable_key(key):
        raise ValidationError(
            f"The API key from {source} has characters that no HTTP header can carry "
            "(a space, a line break, or a character that is not ASCII).",
            code="INVALID_SETTING",
            hint="Copy it again; it may have been cut off or joined with something else.",
        )
    return key


def check_flag(value: object, source: str) -> bool:
    """Return a boolean, also from text such as `"yes"` or `"0"`."""
    if isinstance(value, bool):
        return value
    text = str(value).lower()
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("0", "false", "no", "off"):
        return False
    refuse(source, value, "is neither true nor false")


def _number(value: object, source: str, expected: str) -> float:
    if isinstance(value, bool):
        return math.nan
    try:
        return float(value)  # type: ignore[arg-type] # also text, or a number of numpy's
    except OverflowError:
        return math.inf if value > 0 else -math.inf  # type: ignore[operator] # it is an int
    except (TypeError, ValueError):
        refuse(source, value, f"is not {expected}")


def check_timeout(value: object, source: str = "timeout=") -> float:
    """Return a timeout in seconds; `math.inf` means no limit."""
    seconds = _number(value, source, "a number of seconds")
    if math.isnan(seconds) or seconds <= 0:
        refuse(
            source,
            value,
            "is not a number of seconds above zero",
            'For no limit, pass float("inf").',
        )
    return seconds if seconds < threading.TIMEOUT_MAX else math.inf


def check_total_timeout(value: object, default: float) -> float:
    """Return a timeout for a whole stream in seconds, `default` for `None`."""
    return default if value is None else check_timeout(value, "total_timeout=")


def check_user_id(value: object) -> str | None:
    """Return a user's id, `None` for none."""
    if value is not None and (not isinstance(value, str) or not value.strip()):
        refuse("user_id=", value, "is not a string that names a user")
    return value


def check_retries(value: object, source: str = "max_retries=") -> int:
    """Return a number of retries: zero or more."""
    number = _number(value, source, "a whole number")
    if not number.is_integer() or number < 0:
        refuse(source, value, "is not a whole number of retries, zero or more")
    return int(number)


def check_delay(value: object, source: str = "retry_delay=") -> float:
    """Return a delay in seconds: zero or more."""
    seconds = _number(value, source, "a number of seconds")
    if not math.isfinite(seconds) or seconds < 0:
        refuse(source, value, "is not a number of seconds, zero or more")
    return seconds


def check_backoff(value: object, source: str = "retry_backoff=") -> float:
    """Return a factor: one or more."""
    factor = _number(value, source, "a number")
    if not math.isfinite(factor) or factor < 1:
        refuse(source, value, "is not a factor of one or more")
    return factor


def check_protocol(value: object, source: str = "protocol=") -> ProtocolName:
    """Return the name of a protocol."""
    for name in PROTOCOLS:
        if value == name:
            return name
    refuse(source, value, "is not a protocol", f"Use one of {', '.join(PROTOCOLS)}.")


def check_count(value: object, source: str) -> int:
    """Return a whole number of one or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        refuse(source, value, "is not a whole number of one or more")
    return value


def check_entrypoint(tag: object, *, streams: bool) -> str | None:
    """Return the tag of an entrypoint that streams or does not, `None` for the usual one."""
    if tag is None or tag == (GENERIC_STREAM if streams else GENERIC):
        return None
    if not isinstance(tag, str) or not tag:
        refuse("entrypoint=", tag, "is not the tag of an entrypoint")
    if tag.endswith(STREAM_SUFFIX) and not streams:
        refuse("entrypoint=", tag, "streams its answer", "Call it with run_stream.")
    if streams and not tag.endswith(STREAM_SUFFIX):
        refuse(
            "entrypoint=",
            tag,
            f"does not stream: its tag does not end in {STREAM_SUFFIX!r}",
            "Call it with run.",
        )
    return tag


def check_agent_id(agent_id: object) -> str:
    """Return an agent's id that is safe in a URL's path."""
    if not isinstance(agent_id, str):
        refuse("agent_id=", agent_id, "is not a string")
    if not agent_id.strip():
        refuse("agent_id=", agent_id, "is empty")
    if not agent_id.isprintable() or agent_id != agent_id.strip():
        refuse("agent_id=", agent_id, "has control characters or surrounding white space")
    if {".", ".."} & set(re.split(r"[/\\]", agent_id)):
        refuse("agent_id=", agent_id, "is a relative path, not an id")
    return agent_id


def check_headers(headers: object, name: str) -> dict[str, str]:
    """Return headers that can be sent unchanged; no message shows their values."""
    checked = Concealed()
    if headers is None:
        return checked
    if not isinstance(headers, Mapping):
        raise ValidationError(
            f"{name} is not a dictionary of names and values.",
            code="INVALID_SETTING",
        )
    for key in headers:
        if not isinstance(key, str) or not _HEADER_NAME.fullmatch(key):
            raise ValidationError(
                f"{name}: {key!r} is not the name of a header.", code="INVALID_SETTING"
            )
        if key.lower() in _FRAMING:
            raise ValidationError(
                f"{name}: {key!r} belongs to the connection and cannot be set.",
                code="INVALID_SETTING",
            )
        if not _is_header_value(headers[key]):
            raise ValidationError(
                f"{name}[{key!r}]: the value is not a string of printable ASCII; a header can "
                "carry nothing else.",
                code="INVALID_SETTING",
            )
        if key.lower() in map(str.lower, checked):
            raise ValidationError(
                f"{name}: {key!r} is there twice; upper and lower case make no difference.",
                code="INVALID_SETTING",
            )
        checked[key] = Secret(headers[key])
    return checked


def _is_header_value(value: object) -> bool:
    return isinstance(value, str) and _HEADER_VALUE.fullmatch(value) is not None
