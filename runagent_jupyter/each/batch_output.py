"""Shows the progress of a batch in one output of a cell, which keeps the final state."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.getipython import get_ipython
from IPython.display import display

from runagent.progress import Progress, duration, one_line
from runagent_jupyter import html
from runagent_jupyter.outputs.cell_outputs import is_alone
from runagent_jupyter.outputs.display import is_in_output_widget
from runagent_jupyter.outputs.notebook_output import BYTES_PER_SECOND
from runagent_jupyter.prices import batch_cost
from runagent_jupyter.shell import has_kernel, request_id

_CUT_OFF = "No news. The batch waits or has ended, or it goes on unseen since a page was reloaded."
_EMPTY = {"text/html": "", "text/plain": ""}
_ERROR = 300
"""Characters of an error that are shown."""


def offered() -> BatchOutput | None:
    """Return the display for a batch that begins in a cell; `None` if no notebook is there."""
    shell = get_ipython()
    return BatchOutput(shell) if has_kernel(shell) else None


class BatchOutput:
    """Shows the progress of a batch in the output area of the running cell.

    While the batch runs, one output is updated. In the end, the final state takes its place. Some
    front ends know no updates: if nothing else is in the cell, it is therefore cleared, and the
    final state is a new output.

    Args:
        shell: The IPython shell.
        head: The words before the facts.
        table: Returns safe HTML to show below the progress, with the number of rows given.
        background: Whether the batch goes on while other cells run.
        advice: A sentence to show at the end if rows have failed.
    """

    def __init__(
        self,
        shell: Any,
        head: str = "",
        table: Callable[[int | None], str] = lambda _: "",
        *,
        background: bool = False,
        advice: str = "",
    ) -> None:
        self._shell = shell
        # Later, another one may be in its place, which captures the outputs of another cell.
        self._publisher = shell.display_pub
        self._head = head
        self._table = table
        self._background = background
        self._advice = advice
        self._is_captured = isinstance(self._publisher, CapturingDisplayPublisher)
        self._is_in_widget = not self._is_captured and is_in_output_widget(shell)
        self._name = ""
        self._cell = ""
        self._messages = 0
        self._next = 0.0
        if background:  # an output belongs to the cell that is running
            self.show(Progress())

    def show(self, progress: Progress) -> None:
        """Update the output, which is sent less often as it grows."""
        now = time.monotonic()
        if self._is_captured or self._is_in_widget or now < self._next:
            return
        facts = [self._head, duration(progress.elapsed), *self._facts(progress)]
        line = html.running_line(" · ".join(filter(None, facts)), _CUT_OFF)
        content = html.wrap(line + self._below(progress))
        self._next = now + len(content) / BYTES_PER_SECOND
        if self._name:
            self._publish({"text/html": content}, update=True)
            return
        self._name = uuid.uuid4().hex
        cell = request_id(self._shell)
        if cell != self._cell:
            self._cell, self._messages = cell, 0
        # Consoles print the text of a first display, and never see an update of it.
        data = {"text/html": content}
        if self._background:
            data["text/plain"] = f"{self._head} answers row by row in the background."
        self._publish(data)

    def end(self, progress: Progress) -> None:
        """Show the final state."""
        facts = " · ".join(filter(None, [self._head, *self._facts(progress)]))
        content = html.wrap(html.status_line(facts) + self._below(progress))
        text = "\n".join([one_line(facts, 1_000), *self._reasons(progress)])
        data = {"text/html": content, "text/plain": text}
        if self._is_in_widget:
            display(data, raw=True)
            return
        if self._name and not self._is_alone():
            self._publish(data, update=True)
            self._name = ""  # failed rows that are asked again have another output
            return
        if self._name:
            # Where nothing can be cleared, the output is empty all the same.
            self._publish(_EMPTY, update=True)
            self._publisher.clear_output(wait=True)
            self._name = ""
        self._publish(data)

    def _is_alone(self) -> bool:
        is_here = not self._background and self._cell == request_id(self._shell)
        return is_here and is_alone(self._shell, self._messages)

    def _facts(self, progress: Progress) -> list[str]:
        return replace(progress, cost=batch_cost(progress)).facts()

    def _below(self, progress: Progress) -> str:
        """Return safe HTML of the bar, the errors and the table."""
        shown = ""
        if progress.total:
            answered = progress.done - progress.failed
            shown += html.progress_bar(answered / progress.total, progress.failed / progress.total)
        shown += "".join(map(html.status_line, self._reasons(progress)))
        return shown + self._table(progress.total)

    def _reasons(self, progress: Progress) -> list[str]:
        """Return the last error of a batch that runs, or the usual ones of one that ended."""
        if progress.last_error is None:
            return []
        if progress.state == "running":
            return [f"Last error: {one_line(progress.last_error, _ERROR)}"]
        reasons = [f"{count:,} x {one_line(text, _ERROR)}" for text, count in progress.errors]
        return [*reasons, self._advice] if self._advice and progress.failed else reasons

    def _publish(self, data: dict[str, str], *, update: bool = False) -> None:
        named: dict[str, Any] = {"transient": {"display_id": self._name}} if self._name else {}
        self._publisher.publish(data=data, metadata={}, update=update, **named)
        self._messages += 1
