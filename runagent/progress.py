"""How far a batch is, and the place where displays of it offer themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

State = Literal["running", "done", "stopped", "failed"]

LONG_WAIT = 10.0
"""Seconds: a wait of which people want to know how long it is."""


@dataclass(frozen=True)
class Progress:
    """How far a batch is.

    Attributes:
        done: Rows with an answer or an error, those of earlier runs among them.
        failed: Rows with an error.
        resumed: Rows that an earlier run had finished.
        total: All rows, `None` if their number is not known, as for a generator.
        elapsed: Seconds since the batch began.
        rate: Rows finished in a second, over the last ten seconds; at the end, over all of them.
        tokens: Tokens that the servers of this run have reported, `None` if they reported none.
        cost: Money that they have reported, `None` if they reported none.
        usage: All numbers that they have reported, summed up by name.
        last_error: The message of the row that failed last. An agent may have written it, so it is
            not to be trusted.
        errors: The two most frequent errors in one line each, with how often they came.
        waits_for: Why nothing is sent now: `"the rate limit"`, `"the server"`, or `None`.
        state: `"running"`, `"done"`, `"stopped"` (by the user) or `"failed"` (it ended early).
        seconds_to_wait: Seconds until a request is sent again, zero if `waits_for` is `None`.
    """

    done: int = 0
    failed: int = 0
    resumed: int = 0
    total: int | None = None
    elapsed: float = 0.0
    rate: float = 0.0
    tokens: int | None = None
    cost: float | None = None
    usage: dict[str, float] | None = None
    last_error: str | None = None
    errors: tuple[tuple[str, int], ...] = ()
    waits_for: str | None = None
    state: State = "running"
    seconds_to_wait: float = 0.0

    @property
    def seconds_left(self) -> float | None:
        """The seconds that are left at this rate, `None` if they are not known."""
        if self.total is None or self.rate <= 0 or self.state != "running":
            return None
        return max(0, self.total - self.done) / self.rate

    def facts(self, *, beside_bar: bool = False) -> list[str]:
        """Return the progress in words, one fact in each, without the last error.

        Args:
            beside_bar: Whether to leave out the facts that a progress bar shows by itself.
        """
        facts = []
        left = self.seconds_left
        if not beside_bar:
            of = "" if self.total is None else f" of {self.total:,}"
            noun = "row" if (self.done if self.total is None else self.total) == 1 else "rows"
            facts.append(f"{self.done:,}{of} {noun}")
        facts.append(f"{self.failed:,} failed")
        if self.resumed:
            facts.append(f"{self.resumed:,} from the journal")
        if self.waits_for:
            is_long = self.seconds_to_wait >= LONG_WAIT
            until = f", {duration(self.seconds_to_wait)} more" if is_long else ""
            facts.append(f"waiting for {self.waits_for}{until}")
        if not beside_bar:
            facts += [f"{self.rate:,.1f}/s"] if self.rate else []
            facts += [f"{duration(left)} left"] if left is not None else []
            facts += [duration(self.elapsed)] if self.state != "running" else []
        if self.tokens is not None:
            facts.append(f"{self.tokens:,} tokens")
        if self.cost is not None:
            facts.append(f"cost {self.cost:,.6g}")
        if self.state in ("stopped", "failed"):
            facts.append("stopped" if self.state == "stopped" else "ended early")
        return facts


@runtime_checkable
class ProgressDisplay(Protocol):
    """Shows the progress of one batch; the methods are called by the code that runs the batch."""

    def show(self, progress: Progress) -> object:
        """Show the progress. This is called at most four times a second."""

    def end(self, progress: Progress) -> object:
        """Show the final state."""


Offer = Callable[[], "ProgressDisplay | None"]

_offers: list[Offer] = []


def offer_display(offer: Offer) -> None:
    """Offer a display for batches that are run where somebody looks, such as a notebook.

    Args:
        offer: Returns a display for a batch that begins, or `None` if nobody would see it.
    """
    if offer not in _offers:
        _offers.append(offer)


def offered_display() -> ProgressDisplay | None:
    """Return a display that was offered for a batch that begins here, `None` if there is none."""
    return next((found for offer in _offers if (found := offer()) is not None), None)


def duration(seconds: float) -> str:
    """Write a number of seconds for people, such as `3.2 s`, `4 min 10 s` or `2 h 5 min`."""
    if seconds < 10:  # noqa: PLR2004 - a tenth matters below it
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def one_line(text: str, longest: int = 100) -> str:
    """Return untrusted text as a short line that cannot steer a terminal or reorder the line.

    Control characters, line breaks and directional marks become spaces.
    """
    shown = "".join(c if c.isprintable() else " " for c in text[: 2 * longest])
    shown = " ".join(shown.split())
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
