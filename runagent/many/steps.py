"""The steps that the engine of a batch asks for, and the events that come of them."""

from __future__ import annotations

from dataclasses import dataclass

from runagent.call import Attempt
from runagent.many.pace import Ticket
from runagent.many.rows import Row, Task


@dataclass(slots=True)
class Send:
    """Step: send a request. Its outcome comes as an `Answered`, after any `Rest`."""

    task: Task
    ticket: Ticket


@dataclass(slots=True)
class Deliver:
    """Step: give a row to the user. Nothing is sent back."""

    row: Row


@dataclass(slots=True)
class Rest:
    """Step: wait for an event. Sent back are the events that have happened, perhaps none.

    Attributes:
        seconds: The longest wait, `math.inf` for no limit, zero to look only.
    """

    seconds: float


@dataclass(slots=True)
class GiveUp:
    """Step: end the requests under way. Their outcomes come as events all the same."""


Step = Send | Deliver | Rest | GiveUp


@dataclass(slots=True)
class Answered:
    """Event: the outcome of a request, or the exception of the user's own code in it."""

    task: Task
    ticket: Ticket
    attempt: Attempt
    failure: BaseException | None = None


@dataclass(slots=True)
class Marked:
    """Event: the rows of a request are in the journal, or could not be written."""

    task: Task
    failure: BaseException | None


@dataclass(slots=True)
class Kept:
    """Event: a finished row is in the journal, or could not be written."""

    row: Row
    failure: BaseException | None


Event = Answered | Marked | Kept
