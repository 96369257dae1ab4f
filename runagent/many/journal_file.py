"""A journal in a file: an SQLite database that survives a kill and a loss of power."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sqlite3
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from runagent import errors
from runagent.encode import to_json
from runagent.errors import RunAgentError, ValidationError
from runagent.many.journal import Then, again, described, same_id
from runagent.many.journal_lock import JournalLock, check_is_local
from runagent.many.journal_writer import Change, JournalWriter, Upsert
from runagent.many.rows import Entry, Row

VERSION = 1
"""The version of the format, in the `user_version` of the database."""

APPLICATION = 0x52414A4C
"""Tells a journal from other databases of SQLite, as its `application_id`."""

SENT, ANSWERED, FAILED = 1, 2, 3

_SCHEMA = f"""
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rows (
    name TEXT PRIMARY KEY, position INTEGER, run INTEGER, generation INTEGER, round INTEGER,
    digest BLOB, state INTEGER, id TEXT, input BLOB, output BLOB, error TEXT, attempts INTEGER,
    usage TEXT, elapsed REAL
);
CREATE INDEX by_position ON rows (run, position);
"""

_MARK = Upsert(
    1,
    """
    INSERT INTO rows (name, position, run, generation, round, digest, state, id, input)
    """,
    9,
    """
    ON CONFLICT (name) DO UPDATE SET position = excluded.position, run = excluded.run,
        generation = excluded.generation, round = excluded.round, digest = excluded.digest,
        state = excluded.state, id = excluded.id, input = excluded.input, output = NULL,
        error = NULL
    WHERE run < excluded.run OR round < excluded.round
    """,
)
"""Leaves a row as it is that this run has marked already, under the same id."""

_SEEN = Upsert(
    2,
    "INSERT INTO rows (name, position, run)",
    3,
    "ON CONFLICT (name) DO UPDATE SET position = excluded.position, run = excluded.run",
)
_KEEP = Upsert(
    3,
    "INSERT INTO rows (name, state, output, error, attempts, usage, elapsed)",
    7,
    """
    ON CONFLICT (name) DO UPDATE SET state = excluded.state, output = excluded.output,
        error = excluded.error, attempts = excluded.attempts, usage = excluded.usage,
        elapsed = excluded.elapsed
    """,
)
_FIND = """
SELECT position, run, generation, round, digest, state, output, error, attempts, usage, elapsed
FROM rows WHERE name = ?
"""
_ROWS = """
SELECT position, id, input, output, error, attempts, usage, elapsed FROM rows
WHERE run = ? AND position > ? AND state IN (?, ?) ORDER BY position LIMIT 1000
"""
_FAILED = """
SELECT position, id, name, input, round FROM rows
WHERE run = ? AND state = 3 AND input <> x'' ORDER BY 1
"""
_POSITION = "SELECT position FROM rows WHERE name = ?"
_FACT = Upsert(4, "INSERT INTO facts", 2, "ON CONFLICT (name) DO UPDATE SET value = excluded.value")


def journal_path(journal: str | os.PathLike[str]) -> Path:
    """Return the file that an argument `journal=` names, by the one path that all links to it have.

    Raises:
        ValidationError: Something that cannot be a file, such as a folder or a device.
    """
    try:
        path = Path(journal).resolve()
        is_file = not path.exists() or path.is_file()
    except (TypeError, ValueError, RuntimeError):  # not text, a NUL in it, links in a circle
        raise _no_file(journal) from None
    except OSError as exc:
        raise _unusable(Path(journal), exc.strerror or exc) from None
    if not is_file:
        raise _no_file(journal)
    return path


def _no_file(journal: object) -> ValidationError:
    return ValidationError(
        f"The journal {str(journal)!r} is not a file.",
        code="INVALID_SETTING",
        hint="Pass journal= the path of a new file, or of the journal of an earlier run.",
    )


class FileJournal:
    """A journal in a file.

    Rows are written by `JournalWriter`, in groups, by a thread of its own. It is read here.
    """

    is_immediate = False

    def __init__(self, path: Path, belongs: dict[str, Any], *, fresh: bool = False) -> None:
        """Open a journal, or begin one.

        Args:
            path: Its file.
            belongs: The batch it is for: the agent, the server and the options.
            fresh: Whether all rows are to be asked again.

        Raises:
            ValidationError: A file that is no journal, is damaged, or belongs to another batch or
                to a newer version; a journal in use.
            RunAgentError: A file that cannot be read or written.
        """
        self._path = path
        self._pending: dict[str, int] = {}
        self._guard = threading.Lock()
        self._writer: JournalWriter | None = None
        self._opened(lambda: self._open(belongs, fresh=fresh))

    def reopen(self) -> None:
        """Go on with the same run after `close`."""
        self._opened(self._connect)

    def _connect(self) -> None:
        self._db = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        self._writer = JournalWriter(self._path)

    def _opened(self, open_: Callable[[], object]) -> None:
        path = self._path
        try:
            check_is_local(path)
            self._lock = JournalLock(path)
            try:
                open_()
            except BaseException:
                self._lock.release()
                raise
        except sqlite3.DatabaseError as exc:
            if isinstance(exc, sqlite3.OperationalError) and not str(exc).startswith("no such"):
                raise _unusable(path, exc) from None
            raise _damaged(path, exc) from None
        except OSError as exc:
            raise _unusable(path, exc.strerror or exc) from None

    def _open(self, belongs: dict[str, Any], *, fresh: bool) -> None:
        is_new = not self._path.exists()
        if is_new:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        else:
            _check_header(self._path)
        self._db = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        try:
            self._asks = not (is_new or fresh)
            if is_new:
                self._begin(belongs)
            else:
                self._resume(belongs)
            self.run = int(self._facts.get("run", 0)) + 1
            self.generation = int(self._facts.get("generation", 0)) + fresh
            pace = self._facts.get("pace")
            self.pace = None if pace is None else float(pace)
            self._facts.update(run=str(self.run), generation=str(self.generation))
            self._db.executemany(_FACT.sql(1), self._facts.items())
            self._db.execute("COMMIT")  # all at once, as each transaction waits for the disk
            self._writer = JournalWriter(self._path)
        except BaseException:
            self._db.close()
            if is_new:
                self._path.unlink()
            raise

    def _begin(self, belongs: dict[str, Any]) -> None:
        """Make the tables, in a transaction that is still open."""
        self.batch = secrets.token_hex(16)
        self._facts = {"batch": self.batch, "belongs": json.dumps(belongs)}
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA}")

    def _resume(self, belongs: dict[str, Any]) -> None:
        """Read the facts, and leave a transaction open."""
        if self._db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            raise _no_journal(self._path)
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version != VERSION:
            raise ValidationError(
                f"The journal {str(self._path)!r} has the format {version}, which a newer version "
                f"of runagent writes; this one reads the format {VERSION}.",
                code="INVALID_SETTING",
                hint="Install the newer version again, or use another journal.",
            )
        self._db.execute("PRAGMA synchronous = FULL")
        self._facts = dict(self._db.execute("SELECT name, value FROM facts"))
        self.batch = self._facts["batch"]
        difference = described(belongs, json.loads(self._facts["belongs"]))
        if difference is not None:
            raise ValidationError(
                f"The journal {str(self._path)!r} belongs to another batch: {difference}.",
                code="INVALID_SETTING",
                hint="Give each batch a journal of its own.",
            )
        self._db.execute("BEGIN IMMEDIATE")

    def find(self, entry: Entry) -> Row | None:
        """Return the row if it is finished, and note that this run has it."""
        if entry.name in self._pending:
            raise same_id(entry, self._pending[entry.name])
        found = None
        # In a new journal, and in one begun afresh, nothing is finished. A row with an error is
        # never sent, but its name must not be that of another.
        if self._asks or entry.error is not None:
            with self._guard:
                found = self._db.execute(_FIND, (entry.name,)).fetchone()
        if found is None:
            self._pending[entry.name] = entry.position
            return None
        position, run, generation, round_, digest, state, *answer = found
        if entry.round:  # asked again on purpose, in this run
            return None
        if run == self.run:
            raise same_id(entry, position)
        self._pending[entry.name] = entry.position
        is_same = digest == entry.digest and generation == self.generation
        entry.round = round_ if is_same else 0
        if not is_same or state == SENT:
            return None
        values = (entry.name, entry.position, self.run)
        self._write(Change(_SEEN, [values], lambda _: self._note([entry])))
        return Row(entry.id, entry.input, *_answer(*answer))

    def _note(self, entries: list[Entry]) -> None:
        """Take note that the rows are in the file, where `find` sees them."""
        for entry in entries:
            self._pending.pop(entry.name, None)

    def mark(self, entries: list[Entry], then: Then) -> None:
        """Write that the rows are about to be sent."""
        rows = [
            (
                entry.name,
                entry.position,
                self.run,
                self.generation,
                entry.round,
                entry.digest,
                SENT,
                json.dumps(entry.id) if isinstance(entry.id, (str, int)) else entry.name,
                entry.encoded,
            )
            for entry in entries
        ]

        def check(db: sqlite3.Connection) -> ValidationError | None:
            for entry in entries:
                [position] = db.execute(_POSITION, (entry.name,)).fetchone()
                if position != entry.position:
                    return same_id(entry, position)
            return None

        def noted(failure: BaseException | None) -> None:
            self._note(entries)
            then(failure)

        self._write(Change(_MARK, rows, noted, check))

    def keep(self, entry: Entry, row: Row, then: Then) -> None:
        """Write the answer or the error of a row."""
        error = None if row.error is None else json.dumps(_error_facts(row.error))
        state = ANSWERED if row.error is None else FAILED
        usage = json.dumps(dict(row.usage)) if row.usage else None
        output = to_json(row.output)
        values = (entry.name, state, output, error, row.attempts, usage, row.elapsed)
        self._write(Change(_KEEP, [values], then))

    def _write(self, change: Change) -> None:
        assert self._writer is not None
        self._writer.write(change)

    def hurry(self) -> None:
        """Have everything so far written now."""
        if self._writer is not None:
            self._writer.hurry()

    def rows(self, *, failed: bool = False) -> Iterator[Row]:
        """Return the finished rows of this run in the order of the inputs, or the failed ones."""
        last = -1
        while True:
            found = self._read(_ROWS, (self.run, last, FAILED, FAILED if failed else ANSWERED))
            if not found:
                return
            for position, id_, input_, *answer in found:
                last = position
                yield Row(json.loads(id_), json.loads(input_ or "null"), *_answer(*answer))

    def retried(self) -> list[Entry]:
        """Return the failed rows of this run, to be asked again."""
        found = self._read(_FAILED, (self.run,))
        return [
            again(Entry(position, json.loads(id_), name, json.loads(data), data, round_))
            for position, id_, name, data, round_ in found
        ]

    def _read(self, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Return rows of the database, also after `close`."""
        if self._writer is None:
            with contextlib.closing(sqlite3.connect(self._path)) as db:
                return db.execute(sql, values).fetchall()
        self._writer.flush()
        with self._guard:
            return self._db.execute(sql, values).fetchall()

    def remember(self, pace: float) -> None:
        """Write the pace that was found."""
        self.pace = pace
        self._write(Change(_FACT, [("pace", repr(pace))], lambda _: None))

    def close(self) -> None:
        """Write everything, and let go of the file."""
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
        self._lock.release()


def _answer(
    output: bytes | None, error: str | None, attempts: int, usage: str | None, elapsed: float
) -> tuple[Any, RunAgentError | None, int, dict[str, Any], float]:
    return (
        None if output is None else json.loads(output),
        None if error is None else _error(json.loads(error)),
        attempts,
        {} if usage is None else json.loads(usage),
        elapsed,
    )


def _error_facts(error: RunAgentError) -> dict[str, Any]:
    facts = {name: value for name, value in vars(error).items() if name != "batch"}
    return json.loads(to_json({"class": type(error).__name__, **facts})) or {}


def _error(facts: dict[str, Any]) -> RunAgentError:
    kind: Any = getattr(errors, facts.pop("class"), None)
    if not (isinstance(kind, type) and issubclass(kind, RunAgentError)):
        kind = RunAgentError
    error: RunAgentError = kind(facts.pop("message", ""))
    vars(error).update(facts)
    return error


def _check_header(path: Path) -> None:
    """Refuse a file that is no database, or one that was cut off.

    Raises:
        ValidationError: Such a file. It was only read.
    """
    with path.open("rb") as file:
        header = file.read(100)
        size = os.fstat(file.fileno()).st_size
    if not header:
        raise ValidationError(
            f"The journal {str(path)!r} is empty: it was cut off, or it never was a journal.",
            code="INVALID_SETTING",
            hint="Delete the file to begin a new journal.",
        )
    if not header.startswith(b"SQLite format 3\0"):
        raise _no_journal(path)
    page, pages = struct.unpack(">H", header[16:18])[0], struct.unpack(">I", header[28:32])[0]
    page = 65_536 if page == 1 else page
    if len(header) < 100 or size < page * pages:  # noqa: PLR2004 - the header of SQLite
        if _is_completed_by_log(path):
            return
        raise _damaged(path, f"it has {size:,} of {page * pages:,} bytes")


def _is_completed_by_log(path: Path) -> bool:
    """Return whether the rest of a short file is in the log beside it.

    That is so if a full disk has stopped SQLite while it copied the log into the file.
    """
    log = path.with_name(path.name + "-wal")
    if not (log.exists() and log.stat().st_size):
        return False
    database = f"{path.absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(database, uri=True)) as db:
        return bool(db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))


def _no_journal(path: Path) -> ValidationError:
    return ValidationError(
        f"{str(path)!r} is not a journal of runagent.",
        code="INVALID_SETTING",
        hint="Pass journal= the path of a new file; nothing was changed in this one.",
    )


def _damaged(path: Path, reason: object) -> ValidationError:
    return ValidationError(
        f"The journal {str(path)!r} is damaged: {reason}.",
        code="INVALID_SETTING",
        hint="Take it from a backup, or use another file; nothing was changed in this one.",
    )


def _unusable(path: Path, reason: object) -> RunAgentError:
    return RunAgentError(
        f"The journal {str(path)!r} cannot be opened: {reason}.",
        code="JOURNAL_FAILED",
        hint="Pass journal= a path in a folder that this user may write to, on a disk that is not "
        "full. Nothing was changed in the journal.",
    )
