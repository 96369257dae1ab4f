"""The thread that writes a journal: many changes in one transaction, so that each costs little."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from runagent.errors import RunAgentError
from runagent.many.journal import Then
from runagent.waitable_thread import WaitableThread

LINGER = 0.02
"""Seconds in which changes are gathered before they are written, unless somebody waits for one."""

MOST_ROWS = 64
"""Rows in one statement, at most."""


@dataclass(frozen=True)
class Upsert:
    """A statement that inserts rows, or changes those that are there already.

    Attributes:
        order: Its place in a transaction: statements with lower numbers are carried out first.
        insert: The statement up to the values.
        columns: Values in each row.
        otherwise: The rest of the statement, for rows that are there already.
    """

    order: int
    insert: str
    columns: int
    otherwise: str

    def sql(self, rows: int) -> str:
        """Return the statement for so many rows."""
        row = f"({', '.join('?' * self.columns)})"
        return f"{self.insert} VALUES {', '.join([row] * rows)} {self.otherwise}"


@dataclass(eq=False, slots=True)
class Change:
    """A change of a journal.

    Attributes:
        upsert: The statement.
        rows: The values of its rows.
        then: Called once they are on the disk, or cannot be.
        check: Called when the statement has left some row as it was; returns the reason if it was
            one of these.
        failure: Why the change cannot be made.
    """

    upsert: Upsert
    rows: list[tuple[Any, ...]]
    then: Then
    check: Callable[[sqlite3.Connection], BaseException | None] = lambda _: None
    failure: BaseException | None = None


class JournalWriter:
    """Writes changes in groups, each when the one before is on the disk."""

    def __init__(self, path: Path) -> None:
        """Start the thread."""
        self._path = path
        self._changes: list[Change] = []
        lock = threading.Lock()
        self._news = threading.Condition(lock)
        self._written = threading.Condition(lock)
        self._given = self._finished = 0
        self._hurried = self._ended = False
        self._failure: RunAgentError | None = None
        self._thread = WaitableThread(self._work, "runagent-journal")
        self._thread.start()

    def write(self, change: Change) -> None:
        """Have a change written soon."""
        with self._news:
            self._changes.append(change)
            self._given += 1
            if len(self._changes) == 1:  # a thread that gathers changes is not woken by each
                self._news.notify()

    def hurry(self) -> None:
        """Have the changes so far written now, as somebody waits for them."""
        with self._news:
            if self._changes and not self._hurried:
                self._hurried = True
                self._news.notify()

    def flush(self) -> None:
        """Wait until all changes so far are written."""
        self.hurry()
        with self._written:
            given = self._given  # more may be given all the time
            while self._finished < given and not self._thread.has_ended:
                self._written.wait(0.1)

    def close(self) -> None:
        """Write everything, and end the thread."""
        with self._news:
            self._ended = True
            self._news.notify()
        self._thread.wait()

    def _work(self) -> None:
        db = sqlite3.connect(self._path, isolation_level=None)
        try:
            db.execute("PRAGMA synchronous = FULL")
            while changes := self._gathered():
                self._write(db, changes)
                for change in changes:
                    change.then(self._failure or change.failure)
                with self._written:
                    self._finished += len(changes)
                    self._written.notify_all()
        finally:
            with contextlib.suppress(sqlite3.Error):
                db.close()

    def _gathered(self) -> list[Change]:
        """Return the next changes to write; none at the end."""
        with self._news:
            self._news.wait_for(lambda: self._changes or self._ended)
            self._news.wait_for(lambda: self._hurried or self._ended, LINGER)
            changes, self._changes = self._changes, []
            self._hurried = False
        return changes

    def _write(self, db: sqlite3.Connection, changes: list[Change]) -> None:
        if self._failure is not None:
            return
        try:
            db.execute("BEGIN IMMEDIATE")
            ordered = sorted(changes, key=lambda change: change.upsert.order)
            for upsert, run in groupby(ordered, key=lambda change: change.upsert):
                _carry_out(db, upsert, list(run))
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


def _carry_out(db: sqlite3.Connection, upsert: Upsert, changes: list[Change]) -> None:
    """Write changes of one kind with few statements, as each costs this thread its turn."""
    rows = list(chain.from_iterable(change.rows for change in changes))
    begin = written = 0
    while begin < len(rows):
        # Powers of two are few different statements, which SQLite keeps compiled.
        count = min(MOST_ROWS, 1 << (len(rows) - begin).bit_length() - 1)
        values = tuple(chain.from_iterable(rows[begin : begin + count]))
        written += db.execute(upsert.sql(count), values).rowcount
        begin += count
    if written < len(rows):
        for change in changes:
            change.failure = change.check(db)
