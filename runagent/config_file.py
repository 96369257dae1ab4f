"""The configuration file, `~/.runagent/config.json`."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runagent.errors import ValidationError
from runagent.secrecy import Concealed, Secret
from runagent.warn import warn_user

_FILE_KEYS = frozenset({"api_key", "api_url", "timeout", "retry_config", "protocol", "allow_http"})
_RETRY_KEYS = frozenset({"max_retries", "retry_delay", "retry_backoff"})

_PATH = Path("~/.runagent/config.json")
"""Made once: Python keeps the names in paths in a table, which grows if they come and go."""

_MAX_SIZE = 1024 * 1024
"""Bytes: far more than any settings take."""

_warned: set[str] = set()


def config_path() -> Path:
    """Return the path of the configuration file: `~/.runagent/config.json`.

    The `~` is still in it where the user has no home directory: without `HOME`, and with a user id
    that the system does not know, as containers often have.
    """
    try:
        return _PATH.expanduser()
    except RuntimeError:
        return _PATH


def read_config_file(path: Path) -> Mapping[str, Any]:
    """Return the settings in the configuration file; none if there is no file.

    Warns once of a file that cannot be read, that others may read, or with unknown settings.

    Raises:
        ValidationError: The file is not JSON, not a JSON object, or larger than 1 MiB.
    """
    if path.parts[0] == "~":
        return {}
    try:
        with open(path, "rb", opener=_open_at_once) as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if not stat.S_ISREG(mode):
                _warn_once(f"{path} is not used: it is not a regular file.")
                return {}
            # No variable holds the text, because a traceback with variables would show the key.
            values, problem = _parse(stream.read(_MAX_SIZE + 1))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as exc:
        _warn_once(f"{path} is not used: {exc.strerror or exc}.")
        return {}
    if problem:
        raise ValidationError(
            f"{path} is not a configuration file: {problem}.",
            code="INVALID_CONFIG_FILE",
            hint="Correct the file or remove it.",
        )
    _check_object(path, "", values, _FILE_KEYS)
    if values.get("retry_config") is not None:
        _check_object(path, "retry_config.", values["retry_config"], _RETRY_KEYS)
    if values.get("api_key") and os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        _warn_once(
            f"{path} holds an API key and others on this machine may read it: chmod 600 {path}."
        )
    return Concealed(values)


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting: a pipe would wait for somebody to write to it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _parse(data: bytes) -> tuple[Any, str]:
    """Return a file's values, and the problem with it: an exception would hold the key."""
    if len(data) > _MAX_SIZE:
        return None, "it is larger than 1 MiB"
    try:
        return _concealed(json.loads(data.decode("utf-8-sig"))), ""
    except UnicodeDecodeError:
        return None, "it is not UTF-8"
    except (ValueError, RecursionError) as exc:
        return None, f"it is not JSON: {exc}"


def _concealed(value: Any) -> Any:
    """Return a file's values as tracebacks do not show them; messages show single ones."""
    if isinstance(value, dict):
        return Concealed(value)
    return Secret(value) if isinstance(value, str) else value


def _json_kind(value: object) -> str:
    """Return JSON's name for a value that is not an object."""
    if isinstance(value, list):
        return "an array"
    if isinstance(value, str):
        return "a string"
    return json.dumps(value) if value is None or isinstance(value, bool) else "a number"


def _check_object(path: Path, prefix: str, values: object, known: frozenset[str]) -> None:
    if not isinstance(values, dict):
        name = f'"{prefix.rstrip(".")}" in {path}' if prefix else str(path)
        raise ValidationError(
            f"{name} is not a JSON object but {_json_kind(values)}.",
            code="INVALID_CONFIG_FILE",
        )
    unknown = [json.dumps(prefix + key) for key in sorted(set(values) - known)]
    if unknown:
        verdict = "is not a setting" if len(unknown) == 1 else "are not settings"
        _warn_once(
            f"{path}: {', '.join(unknown)} {verdict}; known are "
            f"{', '.join(prefix + key for key in sorted(known))}."
        )


def _warn_once(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        warn_user(message)
