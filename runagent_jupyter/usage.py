"""The sums over the calls of a notebook that `%runagent_usage` shows: tokens, time and money."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runagent_jupyter import html
from runagent_jupyter.answer import Answer
from runagent_jupyter.control_characters import strip_controls
from runagent_jupyter.prices import batch_cost, money, tokens_in, tokens_out, tokens_total

if TYPE_CHECKING:
    import pandas as pd

    from runagent.progress import Progress


@dataclass
class AgentUsage:
    """The sums over the calls of one agent.

    >>> reply = %runagent shout --quiet Hello
    >>> usage = %runagent_usage
    >>> usage.agents[0].agent, usage.agents[0].calls > 0
    ('shout', True)

    Attributes:
        agent: The agent's id.
        calls: The number of calls, however they ended. Replies from the cache are none.
        input_tokens: The tokens it read, as far as servers said it.
        output_tokens: The tokens it wrote, as far as servers said it.
        total_tokens: All tokens, as far as servers said it.
        seconds: The time from each request to the end of its answer.
        cost: The money, as servers said it or by the price that was set.
        unpriced: The number of calls whose cost nobody knows.
    """

    agent: str
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    seconds: float = 0.0
    cost: float = 0.0
    unpriced: int = 0

    def add(self, answer: Answer) -> None:
        """Add a call that has ended."""
        usage = answer.usage
        self.calls += 1
        self.input_tokens += tokens_in(usage) or 0
        self.output_tokens += tokens_out(usage) or 0
        self.total_tokens += tokens_total(usage) or 0
        self.seconds += answer.elapsed
        self.cost += answer.cost or 0.0
        self.unpriced += answer.cost is None

    def add_batch(self, progress: Progress) -> None:
        """Add the rows that a batch which has ended has sent."""
        usage = progress.usage or {}
        rows = progress.done - progress.resumed
        cost = batch_cost(progress)
        self.calls += rows
        self.input_tokens += tokens_in(usage) or 0
        self.output_tokens += tokens_out(usage) or 0
        self.total_tokens += tokens_total(usage) or 0
        self.seconds += progress.elapsed
        self.cost += cost or 0.0
        self.unpriced += rows if cost is None else 0


@dataclass(repr=False)
class NotebookUsage:
    """The sums over all cells and chats of a notebook, since the kernel started.

    >>> reply = %runagent shout --quiet Hello
    >>> usage = %runagent_usage
    >>> usage.total.calls
    1

    Attributes:
        agents: The sums over the calls of each agent, in the order of their first calls.
    """

    agents: list[AgentUsage] = field(default_factory=list)

    @property
    def total(self) -> AgentUsage:
        """The sums over all agents."""
        sums = AgentUsage("total")
        for name in vars(sums).keys() - {"agent"}:
            setattr(sums, name, sum(getattr(agent, name) for agent in self.agents))
        return sums

    def to_frame(self) -> pd.DataFrame:
        """Return the sums as a table with a row for each agent.

        Returns:
            A pandas DataFrame, whose columns are the attributes of `AgentUsage`.

        Raises:
            ModuleNotFoundError: pandas is not installed.

        Example:
            >>> reply = %runagent shout --quiet Hello
            >>> usage = %runagent_usage
            >>> usage.to_frame()[["agent", "calls"]]
               agent  calls
            0  shout      1
        """
        import pandas as pd  # noqa: PLC0415 - the user's, if they have it

        frame: pd.DataFrame = pd.DataFrame(
            [vars(agent) for agent in self.agents], columns=list(vars(AgentUsage("")))
        )
        return frame

    def _table(self) -> list[list[str]]:
        sums = [*self.agents, self.total] if len(self.agents) > 1 else self.agents
        heads = ["agent", "calls", "input tokens", "output tokens", "tokens", "time", "cost"]
        return [heads, *(_row(agent) for agent in sums)]

    def _note(self) -> str:
        unknown = self.total.unpriced
        if not unknown:
            return ""
        return f"The cost of {unknown:,} of {self.total.calls:,} calls is not known."

    def __repr__(self) -> str:
        rows = self._table()
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = [
            "  ".join(
                cell.rjust(width) if column else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        return "\n".join(filter(None, [*lines, self._note()]))

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        heads, *rows = self._table()
        table = html.number_table(heads, rows)
        note = html.status_line(self._note()) if self._note() else ""
        return {"text/html": html.wrap(table + note), "text/plain": repr(self)}


def _row(agent: AgentUsage) -> list[str]:
    tokens = (agent.input_tokens, agent.output_tokens, agent.total_tokens)
    return [
        strip_controls(agent.agent),
        f"{agent.calls:,}",
        *(f"{count:,}" if count else "-" for count in tokens),
        f"{agent.seconds:,.1f} s",
        "-" if agent.unpriced == agent.calls else money(agent.cost),
    ]


_sums: dict[str, AgentUsage] = {}
_lock = threading.Lock()  # cells and chats have a thread each; no handler or finalizer comes here


def note(agent_id: str, answer: Answer) -> None:
    """Add a call that has ended, from any thread."""
    with _lock:
        _sums.setdefault(agent_id, AgentUsage(agent_id)).add(answer)


def note_batch(agent_id: str, progress: Progress) -> None:
    """Add the rows of a batch that has ended, from any thread."""
    with _lock:
        _sums.setdefault(agent_id, AgentUsage(agent_id)).add_batch(progress)


def so_far() -> NotebookUsage:
    """Return the sums so far, which do not change any more."""
    with _lock:
        return NotebookUsage([AgentUsage(**vars(sums)) for sums in _sums.values()])


def begin_again() -> None:
    """Forget all sums."""
    with _lock:
        _sums.clear()
