"""Keeps replies in a local file, so that the same question is not asked again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runagent import StreamEvent, ValidationError
from runagent.encode import to_json
from runagent_jupyter.answer import FACTS
from runagent_jupyter.event_log import EventLog, answer_of
from runagent_jupyter.reply import Reply

_TABLE = "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, kept REAL, reply TEXT)"
_WAIT = 1.0
"""Seconds to wait for another process that writes into the file."""

_FACTS = ("value", "elapsed", *FACTS)
_NUMBER = (int, float, type(None))
_KINDS: dict[str, Any] = {"usage": dict, "execution_time": _NUMBER, "cost": _NUMBER}


def default_path() -> Path:
    """Return the usual file: `runagent/replies.sqlite` in the user's cache directory."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "runagent" / "replies.sqlite"


class ReplyCache:
    """A file of replies.

    Args:
        path: The file; `~` stands for the user's home directory. It is made when a reply is kept,
            and only its owner can read it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def key(self, question: dict[str, Any]) -> str:
        """Return the key of a question: a digest of everything that may shape the answer."""
        encoded = json.loads(to_json(question, "the question"))
        return hashlib.sha256(json.dumps(encoded, sort_keys=True).encode()).hexdigest()

    def find(self, key: str, reply: Reply) -> bool:
        """Fill a reply in with an earlier answer to the same question.

        Args:
            key: The key of the question.
            reply: The reply; it is changed if there is an earlier answer.

        Returns:
            Whether there is one.

        Raises:
            ValidationError: The file or the answer in it cannot be read; the reply is unchanged.
        """
        with self._explained():
            path = self.path.expanduser()
            if not path.exists():
                return False
            with _opened(path) as database:
                row = database.execute("SELECT kept, reply FROM replies WHERE key = ?", (key,))
                found = row.fetchone()
            if found is None:
                return False
            try:
                kept, events, values = _read(*found)
            except (LookupError, TypeError, ValueError, AttributeError):
                raise ValueError("the answer in it is damaged") from None
        reply.events = events
        for name, value in values.items():
            setattr(reply, name, value)
        reply.cached = kept
        return True

    def keep(self, key: str, reply: Reply) -> None:
        """Keep a reply.

        Raises:
            ValidationError: The file cannot be written.
        """
        with self._explained():
            facts = {name: getattr(reply, name) for name in _FACTS}
            facts["events"] = [asdict(event) for event in reply.events.joined()]
            with _opened(self.path.expanduser()) as database:
                database.execute(
                    "INSERT OR REPLACE INTO replies VALUES (?, ?, ?)",
                    (key, time.time(), json.dumps(facts)),
                )

    def clear(self) -> None:
        """Forget all replies.

        Raises:
            ValidationError: The file holds something else than replies, or cannot be removed.
        """
        with self._explained():
            path = self.path.expanduser()
            if not path.exists():
                return
            try:
                with _opened(path):
                    pass  # it is ours
            except sqlite3.DatabaseError as exc:
                if isinstance(exc, sqlite3.OperationalError):  # locked
                    raise
                _check_broken(path)
            path.unlink()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn whatever goes wrong with the file into a `ValidationError`."""
        try:
            yield
        except (
            # A damaged file, an odd path or a full disk may cause any of these.
            OSError,
            sqlite3.Error,
            RuntimeError,
            ValueError,
            TypeError,
            LookupError,
            AttributeError,
        ) as exc:
            hint = "%config RunAgentMagics.cache_path names another file."
            if not isinstance(exc, _ForeignError):
                hint = f"%runagent_config --clear-cache begins a new one; {hint}"
            raise ValidationError(
                f"The cache of replies, {self.path}, cannot be used: {exc}.",
                code="CACHE",
                hint=hint,
            ) from exc


def _read(kept: Any, text: str) -> tuple[float, EventLog, dict[str, Any]]:
    """Return when a reply was kept, its events, and its other values by the names of attributes."""
    facts = json.loads(text)
    events = EventLog(StreamEvent(**event) for event in facts["events"])
    events.close()
    answer = answer_of(events)
    is_text = isinstance(answer, str) and facts["value"] == answer
    value = answer if is_text else facts["value"]  # of the same text, one is enough
    values = {"value": value, "elapsed": float(facts["elapsed"])}
    values |= {name: facts[name] for name in FACTS if name in facts}
    if not all(isinstance(values.get(name), kind) for name, kind in _KINDS.items()):
        raise TypeError
    return float(kept), events, values


class _ForeignError(OSError):
    """The file belongs to something else, and is not removed."""


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    if path.exists() and not path.is_file():  # a pipe would wait for its other end
        raise _ForeignError("it is not a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, timeout=_WAIT)
    with contextlib.closing(connection) as database, database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        if any("replies" not in name for name in tables):
            raise _ForeignError("it is a database of something else")
        database.execute(_TABLE)
        yield database


def _check_broken(path: Path) -> None:
    """Check that a file which is no database may be removed: it was one, or has no other name."""
    if path.suffix not in (".sqlite", ".db", ""):
        raise _ForeignError("it is not a cache; remove it yourself if nobody needs it")
