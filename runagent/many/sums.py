"""The sums over the rows of a batch: their errors, and the tokens and the money they took."""

from __future__ import annotations

from runagent.many.rows import Row
from runagent.progress import one_line

KINDS = 100
"""Different errors that are counted, at most."""

NAMES = 50
"""Different names of usage that are summed up, at most."""

LARGEST = 1e15
"""A number of tokens or of money beyond it is a mistake."""

_TOTAL = "total_tokens"
_PARTS = (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens"))


class Sums:
    """The sums over the rows of a batch.

    Attributes:
        usage: The numbers that servers have reported for the rows of this run, by name.
        last_error: The message of the row that failed last, `None` if none has.
    """

    def __init__(self) -> None:
        """Begin with no rows."""
        self.usage: dict[str, float] = {}
        self.last_error: str | None = None
        self._errors: dict[str, int] = {}
        self._last_usage: object = None

    def count(self, row: Row, *, resumed: bool) -> None:
        """Count a finished row; the usage of one that was resumed belongs to an earlier run."""
        if row.error is not None:
            self.last_error = row.error.message
            kind = str(row.error.code or type(row.error).__name__)
            # Answers that do not fit are shown in their errors, and differ where the fault is one.
            message = row.error.message.partition(" The answer: ")[0]
            text = f"{kind}: {one_line(message, 200)}"
            if text in self._errors or len(self._errors) < KINDS:
                self._errors[text] = self._errors.get(text, 0) + 1
        # The rows of one request share its usage, which counts once.
        if row.usage and not resumed and row.usage is not self._last_usage:
            self._last_usage = row.usage
            for name, value in row.usage.items():
                is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
                is_counted = name in self.usage or len(self.usage) < NAMES
                if is_number and is_counted and abs(value) < LARGEST:
                    self.usage[name] = self.usage.get(name, 0) + value

    def errors(self) -> list[tuple[str, int]]:
        """Return the errors of rows, each with how often it came, the most frequent first."""
        return sorted(self._errors.items(), key=lambda item: -item[1])

    @property
    def tokens(self) -> int | None:
        """All tokens of this run, `None` if servers reported none."""
        if _TOTAL in self.usage:
            return round(self.usage[_TOTAL])
        parts = [next((self.usage[n] for n in names if n in self.usage), None) for names in _PARTS]
        found = [part for part in parts if part is not None]
        return round(sum(found)) if found else None
