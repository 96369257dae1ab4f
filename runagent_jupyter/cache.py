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
from runagent_jupyter.reply import Reply

_TABLE = "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, kept REAL, reply TEXT)"


def default_path() -> Path:
    """Return the usual file: `runagent/replies.sqlite` in the user's cache directory."""
    directory = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(directory).expanduser() / "runagent" / "replies.sqlite"


class ReplyCache:
    """A file of replies.

    Args:
        path: The file. It is made when a reply is kept, and only its owner can read it.
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
            ValidationError: The file cannot be read.
        """
        if not self.path.exists():
            return False
        with self._open() as database:
            row = database.execute("SELECT kept, reply FROM replies WHERE key = ?", (key,))
            found = row.fetchone()
        if found is None:
            return False
        facts = json.loads(found[1])
        reply.events = [StreamEvent(**event) for event in facts.pop("events")]
        for name, value in facts.items():
            setattr(reply, name, value)
        reply.cached = found[0]
        return True

    def keep(self, key: str, reply: Reply) -> None:
        """Keep a reply.

        Raises:
            ValidationError: The file cannot be written.
        """
        facts = {name: getattr(reply, name) for name in ("value", "elapsed", *FACTS)}
        facts["events"] = [asdict(event) for event in reply.events]
        with self._open() as database:
            database.execute(
                "INSERT OR REPLACE INTO replies VALUES (?, ?, ?)",
                (key, time.time(), json.dumps(facts)),
            )

    def clear(self) -> None:
        """Forget all replies."""
        self.path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
            with contextlib.closing(sqlite3.connect(self.path)) as database, database:
                database.execute(_TABLE)
                yield database
        except (OSError, sqlite3.Error) as exc:
            raise ValidationError(
                f"The cache of replies, {self.path}, cannot be used: {exc}.",
                code="CACHE",
                hint="%runagent_config --clear-cache begins a new one.",
            ) from exc
