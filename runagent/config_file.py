"""The configuration file, `~/.runagent/config.json`."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runagent.errors import ValidationError
from runagent.secrecy import Concealed, conceal
from runagent.warn import warn_user

_FILE_KEYS = frozenset({"api_key", "api_url", "timeout", "retry_config", "protocol", "allow_http"})
_RETRY_KEYS = frozenset({"max_retries", "retry_delay", "retry_backoff"})

_warned: set[str] = set()


def config_path() -> Path:
    """Return the path of the configuration file: `~/.runagent/config.json`."""
    return Path("~/.runagent/config.json").expanduser()


def read_config_file(path: Path) -> Mapping[str, Any]:
    """Return the settings in the configuration file, none if there is no file.

    Warns once of a file that cannot be read, that others may read, or with unknown settings.

    Raises:
        ValidationError: The file is not JSON, or not a JSON object.
    """
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
            hint="Correct the file or remove it.",
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
    """Return JSON's name for a value that is not an object."""
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


def _warn_once(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        warn_user(message)
