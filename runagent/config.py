"""Where settings come from, in which order: argument, environment, file, default."""

from __future__ import annotations

import inspect
import ipaddress
import json
import logging
import math
import os
import re
import stat
import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast, get_args
from urllib.parse import quote, urlsplit

from runagent import registry
from runagent.errors import AuthenticationError, ValidationError
from runagent.wire import GENERIC, GENERIC_STREAM, STREAM_SUFFIX


class Secret(str):
    """A string that no traceback shows: its `repr` hides it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class Concealed(dict[str, Any]):
    """A dictionary whose values no traceback shows."""

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{name!r}: ***' for name in self)}}}"


def conceal(value: Any) -> Any:
    """Return a string as a `Secret`, a mapping as `Concealed`, anything else as it is."""
    if isinstance(value, str):
        return Secret(value)
    return Concealed(value) if isinstance(value, Mapping) else value


class _Default:
    """Marks a default in a signature, so that the same value given by the user is told apart."""


class _DefaultStr(_Default, str):
    __slots__ = ()


class _DefaultInt(_Default, int):
    pass


class _DefaultFloat(_Default, float):
    pass


DEFAULT_BASE_URL = _DefaultStr("https://api.run-agent.ai")
DEFAULT_TIMEOUT = _DefaultInt(30)
DEFAULT_MAX_RETRIES = _DefaultInt(3)
DEFAULT_RETRY_DELAY = _DefaultFloat(1.0)
DEFAULT_RETRY_BACKOFF = _DefaultFloat(2.0)

ProtocolName = Literal["auto", "rest", "server"]
DEFAULT_PROTOCOL = cast("ProtocolName", _DefaultStr("auto"))
PROTOCOLS: tuple[ProtocolName, ...] = get_args(ProtocolName)

_FILE_KEYS = frozenset({"api_key", "api_url", "timeout", "retry_config", "protocol", "allow_http"})
_RETRY_KEYS = frozenset({"max_retries", "retry_delay", "retry_backoff"})


def config_path() -> Path:
    """Return where the configuration file is looked for: `~/.runagent/config.json`."""
    return Path("~/.runagent/config.json").expanduser()


@dataclass(frozen=True)
class Settings:
    """What one client works with, every value checked.

    Attributes:
        agent_id: The agent's id.
        api_key: The bearer key, `None` to send none.
        api_key_source: Where `api_key` was set, for messages.
        base_url: Without a trailing slash or `/v1`.
        base_url_source: Where `base_url` was set, for messages.
        timeout: Seconds, `math.inf` for no limit.
        max_retries: Attempts after the first.
        retry_delay: Seconds before the first retry, at most.
        retry_backoff: Factor from one retry's delay to the next.
        protocol: `"auto"`, `"rest"` or `"server"`.
        headers: Sent with every request.
        allow_http: Whether the key may travel unencrypted to another machine.
    """

    agent_id: str
    api_key: str | None = field(repr=False)
    base_url: str
    api_key_source: str
    base_url_source: str
    timeout: float
    max_retries: int
    retry_delay: float
    retry_backoff: float
    protocol: ProtocolName
    headers: Mapping[str, str] = field(repr=False)
    allow_http: bool

    @property
    def quoted_agent_id(self) -> str:
        """The agent's id as one segment of a URL's path."""
        return quote(self.agent_id, safe="")


def resolve(
    *,
    agent_id: str,
    api_key: str | None = None,
    base_url: str | None = DEFAULT_BASE_URL,
    timeout: float | None = DEFAULT_TIMEOUT,
    max_retries: int | None = DEFAULT_MAX_RETRIES,
    retry_delay: float | None = DEFAULT_RETRY_DELAY,
    retry_backoff: float | None = DEFAULT_RETRY_BACKOFF,
    protocol: ProtocolName | None = DEFAULT_PROTOCOL,
    headers: Mapping[str, str] | None = None,
    allow_http: bool | None = None,
) -> Settings:
    """Return the settings for one client.

    Raises:
        ValidationError: A value is not valid; the message names it and where it came from.
        AuthenticationError: There is no API key for a server that is not on this machine.
    """
    configure_logging()
    agent_id = check_agent_id(agent_id)
    checked_headers = check_headers(headers, "headers")
    file = _read_file(config_path())
    find = _Finder(file)
    retry = _Finder(file.get("retry_config") or {})

    explicit_url = base_url is not None and not isinstance(base_url, _Default)
    embedded = None if explicit_url else registry.lookup(agent_id)
    if embedded is not None:
        url_source = key_source = "the agents served by this process"
        url, key = embedded.base_url, conceal(embedded.api_key)
    else:
        url, url_source = find(
            _text, "base_url", base_url, DEFAULT_BASE_URL, "RUNAGENT_API_URL", key="api_url"
        )
        key, key_source = find(_key, "api_key", api_key, None, "RUNAGENT_API_KEY")
    url = check_base_url(url, url_source)
    key = _sendable(key, key_source)
    may_use_http, _ = find(_flag, "allow_http", allow_http, False, "RUNAGENT_ALLOW_HTTP")
    if not is_loopback(url):
        _check_remote(
            url,
            authorised=bool(key)
            or any(name.lower() == "authorization" for name in checked_headers),
            keyless=key == "",
            allow_http=may_use_http,
        )
    return Settings(
        agent_id=agent_id,
        api_key=key or None,
        api_key_source=key_source,
        base_url=url,
        base_url_source=url_source,
        timeout=find(check_timeout, "timeout", timeout, DEFAULT_TIMEOUT, "RUNAGENT_TIMEOUT")[0],
        max_retries=retry(check_retries, "max_retries", max_retries, DEFAULT_MAX_RETRIES)[0],
        retry_delay=retry(check_delay, "retry_delay", retry_delay, DEFAULT_RETRY_DELAY)[0],
        retry_backoff=retry(check_backoff, "retry_backoff", retry_backoff, DEFAULT_RETRY_BACKOFF)[
            0
        ],
        protocol=find(check_protocol, "protocol", protocol, DEFAULT_PROTOCOL, "RUNAGENT_PROTOCOL")[
            0
        ],
        headers=checked_headers,
        allow_http=may_use_http,
    )


@dataclass(frozen=True)
class _Finder:
    """Finds the first place where a setting is set: argument, environment, file, default."""

    file: Mapping[str, Any]

    def __call__(
        self,
        check: Callable[[Any, str], Any],
        name: str,
        argument: object,
        default: object,
        variable: str = "",
        *,
        key: str = "",
    ) -> tuple[Any, str]:
        """Return the value, checked, and where it was set."""
        key = key or name
        if argument is not None and not isinstance(argument, _Default):
            return check(argument, f"{name}="), f"the {name} argument"
        if os.environ.get(variable, "").strip():
            return check(os.environ[variable].strip(), f"{variable}="), variable
        if self.file.get(key) is not None:
            return check(self.file[key], f'{config_path()}: "{key}": '), str(config_path())
        # Checked too, which makes a plain value of one that is marked as a default.
        return None if default is None else check(default, f"{name}="), "the default"


def _refuse(source: str, value: object, problem: str, hint: str | None = None) -> NoReturn:
    raise ValidationError(f"{source}{value!r} {problem}.", code="INVALID_SETTING", hint=hint)


def _text(value: object, source: str) -> str:
    if not isinstance(value, str):
        _refuse(source, value, "is not a string")
    return value


def _key(value: object, source: str) -> str:
    # The value is in no message: it may be a key that was passed in the wrong form.
    if not isinstance(value, str):
        raise ValidationError(
            f"{source}… is of type {type(value).__name__}; an API key is a string.",
            code="INVALID_SETTING",
        )
    return Secret(value.strip())


def _sendable(key: str | None, source: str) -> str | None:
    if key is not None and not re.fullmatch(r"[\x21-\x7e]*", key):
        raise ValidationError(
            f"The API key from {source} has characters that no HTTP header can carry "
            "(a space, a line break, or a character that is not ASCII).",
            code="INVALID_SETTING",
            hint="Copy it again; it may have been cut or joined with something else.",
        )
    return key


def _flag(value: object, source: str) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).lower()
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("0", "false", "no", "off"):
        return False
    _refuse(source, value, "is neither true nor false")


def _number(value: object, source: str, what: str) -> float:
    if isinstance(value, bool):
        return math.nan
    try:
        return float(value)  # type: ignore[arg-type] # of text, or of numpy's numbers, for one
    except OverflowError:
        return math.inf if value > 0 else -math.inf  # type: ignore[operator] # it is an int
    except (TypeError, ValueError):
        _refuse(source, value, f"is not {what}")


def check_timeout(value: object, source: str = "timeout=") -> float:
    """Return a timeout in seconds; `math.inf` means no limit."""
    seconds = _number(value, source, "a number of seconds")
    if math.isnan(seconds) or seconds <= 0:
        _refuse(
            source,
            value,
            "is not a number of seconds above zero",
            'For no limit, pass float("inf").',
        )
    return seconds if seconds < threading.TIMEOUT_MAX else math.inf


def check_retries(value: object, source: str = "max_retries=") -> int:
    """Return a number of retries: zero or more."""
    number = _number(value, source, "a whole number")
    if not number.is_integer() or number < 0:
        _refuse(source, value, "is not a whole number of retries, zero or more")
    return int(number)


def check_delay(value: object, source: str = "retry_delay=") -> float:
    """Return a delay in seconds: zero or more."""
    seconds = _number(value, source, "a number of seconds")
    if not math.isfinite(seconds) or seconds < 0:
        _refuse(source, value, "is not a number of seconds, zero or more")
    return seconds


def check_backoff(value: object, source: str = "retry_backoff=") -> float:
    """Return a factor: one or more."""
    factor = _number(value, source, "a number")
    if not math.isfinite(factor) or factor < 1:
        _refuse(source, value, "is not a factor of one or more")
    return factor


def check_protocol(value: object, source: str = "protocol=") -> ProtocolName:
    """Return the name of a protocol."""
    for name in PROTOCOLS:
        if value == name:
            return name
    _refuse(source, value, f"is not a protocol; known are {', '.join(PROTOCOLS)}")


def check_count(value: object, source: str) -> int:
    """Return a whole number of one or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        _refuse(source, value, "is not a whole number of one or more")
    return value


def check_entrypoint(tag: object, *, streams: bool) -> str | None:
    """Return the tag of an entrypoint that streams or does not, `None` for the usual one."""
    if tag is None or tag == (GENERIC_STREAM if streams else GENERIC):
        return None
    if not isinstance(tag, str) or not tag:
        _refuse("entrypoint=", tag, "is not the tag of an entrypoint")
    if tag.endswith(STREAM_SUFFIX) and not streams:
        _refuse("entrypoint=", tag, "streams its answer", "Call it with run_stream.")
    if streams and not tag.endswith(STREAM_SUFFIX):
        _refuse(
            "entrypoint=",
            tag,
            f"does not stream: its tag does not end in {STREAM_SUFFIX!r}",
            "Call it with run.",
        )
    return tag


def check_agent_id(agent_id: object) -> str:
    """Return an agent's id that is safe to put into a path."""
    if not isinstance(agent_id, str):
        _refuse("agent_id=", agent_id, "is not a string")
    if not agent_id.strip():
        _refuse("agent_id=", agent_id, "is empty")
    if not agent_id.isprintable() or agent_id != agent_id.strip():
        _refuse("agent_id=", agent_id, "has control characters or surrounding white space")
    if {".", ".."} & set(re.split(r"[/\\]", agent_id)):
        _refuse("agent_id=", agent_id, "is a relative path, not an id")
    return agent_id


_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"([\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?)?")
_FRAMING = frozenset({"connection", "content-length", "transfer-encoding", "upgrade"})


def check_headers(headers: object, name: str) -> dict[str, str]:
    """Return headers that can be sent as they are; their values are in no message."""
    checked = Concealed()
    if headers is None:
        return checked
    if not isinstance(headers, Mapping):
        raise ValidationError(
            f"{name} is of type {type(headers).__name__}, not a dictionary of names and values.",
            code="INVALID_SETTING",
        )
    for key in headers:
        if not isinstance(key, str) or not _HEADER_NAME.fullmatch(key):
            raise ValidationError(
                f"{name}: {key!r} is not a header's name.", code="INVALID_SETTING"
            )
        if key.lower() in _FRAMING:
            raise ValidationError(
                f"{name}: {key!r} belongs to the connection and cannot be set.",
                code="INVALID_SETTING",
            )
        if not _is_header_value(headers[key]):
            raise ValidationError(
                f"{name}[{key!r}]: the value is not a string of printable ASCII, which is all a "
                "header can carry.",
                code="INVALID_SETTING",
            )
        checked[key] = headers[key]
    return checked


def _is_header_value(value: object) -> bool:
    return isinstance(value, str) and _HEADER_VALUE.fullmatch(value) is not None


_MAX_LABEL = 63


def check_base_url(url: str, source: str) -> str:
    """Return a base URL without a trailing slash or `/v1`."""
    where = f"The base URL from {source}, "
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        _refuse(where, url, f"is not a URL: {exc}")
    if "@" in parts.netloc:
        raise ValidationError(
            f"The base URL from {source} has a user name or password in it.",
            code="INVALID_SETTING",
            hint="Pass credentials as api_key= or headers=.",
        )
    if parts.scheme not in ("http", "https") or not host:
        _refuse(where, url, "is not a URL that begins with https:// or http://")
    if not all(0 < len(label) <= _MAX_LABEL for label in host.removesuffix(".").split(".")):
        _refuse(where, url, "has a host whose name is not one")
    if parts.query or parts.fragment or not url.isprintable() or " " in url.strip():
        _refuse(where, url, "has more than a scheme, a host and a path")
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path.removesuffix('/v1').rstrip('/')}"


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this very machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_remote(url: str, *, authorised: bool, keyless: bool, allow_http: bool) -> None:
    if not authorised and not keyless:
        raise AuthenticationError(
            f"There is no API key for {url}.",
            code="MISSING_API_KEY",
            hint=(
                'Pass api_key=, set RUNAGENT_API_KEY, or put "api_key" into '
                f'{config_path()}. A server that asks for none takes api_key="".'
            ),
        )
    if authorised and url.startswith("http://") and not allow_http:
        raise ValidationError(
            f"The API key would travel to {url} unencrypted.",
            code="INSECURE_URL",
            hint="Use https://, or pass allow_http=True if the network between is trusted.",
        )


_warned: set[str] = set()


def _warn_once(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        # It is for who made the client: the first frame outside this package.
        frame, level = inspect.currentframe(), 1
        while frame is not None and _is_own(frame):
            frame, level = frame.f_back, level + 1
        warnings.warn(message, UserWarning, stacklevel=level)


def _is_own(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__package__")).partition(".")[0] == __package__


def _read_file(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            values, problem = _parse(stream.read())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as exc:
        _warn_once(f"{path} is not used: {exc.strerror or exc}.")
        return {}
    if problem:
        raise ValidationError(
            f"{path} is not JSON: {problem}.",
            code="INVALID_CONFIG_FILE",
            hint="Mend it, or remove it.",
        )
    _check_shape(path, "", values, _FILE_KEYS)
    if values.get("retry_config") is not None:
        _check_shape(path, "retry_config.", values["retry_config"], _RETRY_KEYS)
    if values.get("api_key") and os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        _warn_once(
            f"{path} holds an API key and others on this machine may read it: chmod 600 {path}."
        )
    return Concealed(values)


def _parse(data: bytes) -> tuple[Any, str]:
    """Return a file's values, and what is wrong with it: an exception would hold the key."""
    try:
        return conceal(json.loads(data.decode("utf-8-sig"))), ""
    except UnicodeDecodeError:
        return None, "it is not UTF-8"
    except (ValueError, RecursionError) as exc:
        return None, str(exc)


def _json_kind(value: object) -> str:
    """Return what JSON calls a value that is no object."""
    if isinstance(value, list):
        return "an array"
    if isinstance(value, str):
        return "a string"
    return json.dumps(value) if value is None or isinstance(value, bool) else "a number"


def _check_shape(path: Path, prefix: str, values: object, known: frozenset[str]) -> None:
    if not isinstance(values, dict):
        name = f'"{prefix.rstrip(".")}" in {path}' if prefix else str(path)
        raise ValidationError(
            f"{name} is not a JSON object but {_json_kind(values)}.",
            code="INVALID_CONFIG_FILE",
        )
    unknown = sorted(set(values) - known)
    if unknown:
        _warn_once(
            f'{path}: "{prefix}{unknown[0]}" is not a setting; known are '
            f"{', '.join(prefix + key for key in sorted(known))}."
        )


# The class is generic to type checkers, but not on Python 3.10.
if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[Any]
else:
    _StreamHandler = logging.StreamHandler


class _LastResort(_StreamHandler):
    """Writes to stderr as long as the program has set up no logging of its own."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            super().emit(record)


def configure_logging() -> None:
    """Apply `RUNAGENT_LOG_LEVEL` to the logger `runagent`, if it is set.

    Raises:
        ValidationError: It is no level's name or number.
    """
    level = os.environ.get("RUNAGENT_LOG_LEVEL", "").strip().upper()
    if not level:
        return
    logger = logging.getLogger("runagent")
    try:
        logger.setLevel(int(level) if level.isdigit() else level)
    except ValueError:
        _refuse(
            "RUNAGENT_LOG_LEVEL=",
            os.environ["RUNAGENT_LOG_LEVEL"],
            "is not a log level",
            "Known are DEBUG, INFO, WARNING, ERROR and CRITICAL.",
        )
    if not any(isinstance(handler, _LastResort) for handler in logger.handlers):
        handler = _LastResort()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
