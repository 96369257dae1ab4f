"""The journal of a batch: which rows were sent, and their answers. Here it is in memory."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from runagent.errors import ValidationError
from runagent.many.rows import Entry, Row

Then = Callable[[BaseException | None], object]
"""Called once something is written, with the reason if it could not be; in any thread."""


class Journal(Protocol):
    """The journal of a batch.

    Attributes:
        batch: The identity of the batch, part of each idempotency key.
        generation: How often all rows were asked again on purpose.
        pace: The pace that an earlier run has found, `None` if none has.
        is_immediate: Whether everything is written at once, so that `then` is called before the
            methods return.
    """

    batch: str
    generation: int
    pace: float | None
    is_immediate: bool

    def find(self, entry: Entry) -> Row | None:
        """Return the row if it is finished, and note that this run has it.

        Sets `entry.round`.

        Raises:
            ValidationError: A row with the same id, earlier in this run.
        """

    def mark(self, entries: list[Entry], then: Then) -> None:
        """Write that the rows are about to be sent.

        It fails with a `ValidationError` if there is a row with the same id, earlier in this run,
        that `find` did not see.
        """

    def keep(self, entry: Entry, row: Row, then: Then) -> None:
        """Write the answer or the error of a row."""

    def hurry(self) -> None:
        """Have everything so far written now, as nothing goes on before it is."""

    def rows(self, *, failed: bool = False) -> Iterator[Row]:
        """Return the finished rows of this run in the order of the inputs, or the failed ones."""

    def retried(self) -> list[Entry]:
        """Return the failed rows of this run that can be sent, to be asked again."""

    def remember(self, pace: float) -> None:
        """Write the pace that was found."""

    def close(self) -> None:
        """Write everything, and let go of the file."""


def same_id(entry: Entry, position: int) -> ValidationError:
    """Return the error for two rows with the same id."""
    return ValidationError(
        f"inputs[{entry.position}] has the id {entry.id!r}, which inputs[{position}] has as well.",
        code="INVALID_INPUT",
        hint="Each row needs an id of its own; without ids, rows are known by their position.",
    )


class MemoryJournal:
    """A journal that ends with the process."""

    is_immediate = True

    def __init__(self) -> None:
        """Begin a batch."""
        self.batch = secrets.token_hex(16)
        self.generation = 0
        self.pace: float | None = None
        self._entries: dict[str, Entry] = {}
        self._rows: dict[str, Row] = {}

    def find(self, entry: Entry) -> Row | None:
        """Return nothing: no row was finished before this run."""
        known = self._entries.get(entry.name)
        if known is not None and known.round == entry.round:
            raise same_id(entry, known.position)
        self._entries[entry.name] = entry
        return None

    def mark(self, entries: list[Entry], then: Then) -> None:  # noqa: ARG002 - as in a file
        """Go on at once."""
        then(None)

    def keep(self, entry: Entry, row: Row, then: Then) -> None:
        """Keep the row."""
        self._rows[entry.name] = row
        then(None)

    def hurry(self) -> None:
        """Do nothing: everything is kept at once."""

    def rows(self, *, failed: bool = False) -> Iterator[Row]:
        """Return the finished rows in the order of the inputs, or the failed ones."""
        known = self._rows.copy()  # another thread may ask while the batch goes on
        names = sorted(known, key=lambda name: self._entries[name].position)
        found = [known[name] for name in names]
        return iter([row for row in found if row.error is not None] if failed else found)

    def retried(self) -> list[Entry]:
        """Return the failed rows, to be asked again."""
        failed = [self._entries[name] for name, row in self._rows.items() if row.error is not None]
        failed = [entry for entry in failed if entry.error is None]
        return [again(entry) for entry in sorted(failed, key=lambda entry: entry.position)]

    def remember(self, pace: float) -> None:
        """Keep the pace for the failed rows, if they are asked again."""
        self.pace = pace

    def close(self) -> None:
        """Do nothing."""


def again(entry: Entry) -> Entry:
    """Return a row as it is asked again on purpose: it gets another idempotency key."""
    return Entry(entry.position, entry.id, entry.name, entry.input, entry.encoded, entry.round + 1)


def described(belongs: dict[str, Any], other: dict[str, Any]) -> str | None:
    """Return in which way two descriptions of batches differ, `None` if they do not."""
    for name in {**belongs, **other}:
        if belongs.get(name) != other.get(name):
            return f"its {name} is {other.get(name)!r}, not {belongs.get(name)!r}"
    return None
