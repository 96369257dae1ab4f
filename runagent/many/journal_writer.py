"""The thread that writes a journal: many changes in one transaction, so that each costs little."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections import deque
from pathlib import Path
from typing import Any

from runagent.errors import RunAgentError
from runagent.many.journal import Then

_Change = tuple[str, tuple[Any, ...], Then]


class JournalWriter:
    """Writes changes in their order, each batch of them when the one before is on the disk."""

    def __init__(self, path: Path) -> None:
        """Start the thread."""
        self._path = path
        self._changes: deque[_Change] = deque()
        self._news = threading.Condition()
        self._busy = False
        self._ended = False
        self._failure: RunAgentError | None = None
        self._thread = threading.Thread(target=self._work, name="runagent-journal", daemon=True)
        self._thread.start()

    def write(self, sql: str, values: tuple[Any, ...], then: Then) -> None:
        """Have a change written; `then` is called once it is on the disk, or cannot be."""
        with self._news:
            self._changes.append((sql, values, then))
            self._news.notify_all()

    def flush(self) -> None:
        """Wait until all changes so far are written."""
        with self._news:
            while (self._changes or self._busy) and self._thread.is_alive():
                self._news.wait(0.1)

    def close(self) -> None:
        """Write everything, and end the thread."""
        with self._news:
            self._ended = True
            self._news.notify_all()
        self._thread.join()

    def _work(self) -> None:
        db = sqlite3.connect(self._path, isolation_level=None)
        try:
            db.execute("PRAGMA synchronous = FULL")
            while True:
                with self._news:
                    while not self._changes and not self._ended:
                        self._news.wait()
                    if not self._changes:
                        return
                    changes = list(self._changes)
                    self._changes.clear()
                    self._busy = True
                self._write(db, changes)
                with self._news:
                    self._busy = False
                    self._news.notify_all()
        finally:
            with contextlib.suppress(sqlite3.Error):
                db.close()

    def _write(self, db: sqlite3.Connection, changes: list[_Change]) -> None:
        if self._failure is None:
            try:
                db.execute("BEGIN IMMEDIATE")
                for sql, values, _ in changes:
                    db.execute(sql, values)
                db.execute("COMMIT")
            except sqlite3.Error as exc:
                with contextlib.suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                self._failure = RunAgentError(
                    f"The journal {str(self._path)!r} cannot be written: {exc}.",
                    code="JOURNAL_FAILED",
                    hint="Make room on its disk and run the same batch again: it goes on after "
                    "the last row that was written.",
                )
        for _, _, then in changes:
            then(self._failure)
