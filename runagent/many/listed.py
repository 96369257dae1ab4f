"""The answers of a batch as a list, which `batch_run` returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runagent.errors import RunAgentError
from runagent.many.asynchronous import AsyncBatch
from runagent.many.batch import Advice
from runagent.many.blocking import Batch
from runagent.many.rows import Row

Progress = Callable[[int, int], object]
"""Called with the number of finished rows and the number of all rows."""


_ADVICE = Advice(
    failed="Their errors are in the list.",
    stopped="They are the attribute answers of the exception.",
)


class Listed:
    """Collects the answers of a batch in the order of the inputs.

    Args:
        count: The number of rows.
        return_exceptions: Whether the error of a row takes the place of its answer. Otherwise the
            first one ends the batch.
        on_progress: Called after each row, `None` for nothing.
    """

    def __init__(
        self, count: int, *, return_exceptions: bool, on_progress: Progress | None
    ) -> None:
        self._answers: list[Any] = [None] * count
        self._done = 0
        self._return_exceptions = return_exceptions
        self._on_progress = on_progress

    def run(self, batch: Batch) -> list[Any]:
        """Run a batch of the blocking client.

        Raises:
            RunAgentError: The first error of a row; its `answers` are those so far.
        """
        batch.advice = _ADVICE
        try:
            for row in batch:
                self._take(row)
        except BaseException as exc:
            batch.end_now()
            self._add_answers(exc)
            raise
        return self._answers

    async def run_async(self, batch: AsyncBatch) -> list[Any]:
        """Run a batch of the asynchronous client, as `run` does."""
        batch.advice = _ADVICE
        try:
            async for row in batch:
                self._take(row)
        except BaseException as exc:
            await batch.end_now()
            self._add_answers(exc)
            raise
        return self._answers

    def _take(self, row: Row) -> None:
        if row.error is not None and not self._return_exceptions:
            row.error.message = f"inputs[{row.id}]: {row.error.message}"
            row.error.args = (row.error.message,)
            raise row.error
        self._answers[row.id] = row.output if row.error is None else row.error
        self._done += 1
        if self._on_progress is not None:
            self._on_progress(self._done, len(self._answers))

    def _add_answers(self, exc: BaseException) -> None:
        if isinstance(exc, (RunAgentError, KeyboardInterrupt)):
            exc.answers = self._answers  # type: ignore[union-attr]
