"""What an agent answered in a cell: the object behind `_` and `--out`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runagent import RunAgentError, StreamEvent
from runagent_jupyter.values import json_of, obvious_text

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Reply:
    """An agent's answer, whole or as far as it came.

    Attributes:
        agent_id: The agent.
        input_data: What was sent.
        value: The answer: a string, or the object the agent answered with, or a list of them.
        format: How it is shown: `"markdown"`, `"text"`, `"json"` or `"code"`.
        events: The events of the stream, in order.
        usage: Token counts by name, empty if the server sent none.
        execution_time: Seconds the agent took, as the server measured them.
        request_id: The server's id of the request.
        elapsed: Seconds from the request to the end of the answer.
        stopped: Whether it was interrupted.
        error: What it ended with, if it failed.
        cached: When it was kept, in seconds since the Unix epoch, if it comes from the cache.
    """

    agent_id: str
    input_data: dict[str, Any] = field(repr=False)
    value: Any = ""
    format: str = "markdown"
    events: list[StreamEvent] = field(default_factory=list, repr=False)
    usage: dict[str, Any] = field(default_factory=dict)
    execution_time: float | None = None
    request_id: str | None = None
    elapsed: float = 0.0
    stopped: bool = False
    error: RunAgentError | None = None
    cached: float | None = None
    _shown_in: int | None = field(default=None, repr=False)

    @property
    def text(self) -> str:
        """The answer as text: a string as it is, an object's one text field, or its JSON."""
        if isinstance(self.value, str):
            return self.value
        found = obvious_text(self.value)
        return json_of(self.value) if found is None else found

    def __str__(self) -> str:
        return self.text

    def to_markdown(self) -> str:
        """Return the question and the answer as Markdown."""
        question = self.input_data.get("query")
        if not isinstance(question, str):
            question = json.dumps(self.input_data, ensure_ascii=False, default=str)
        quoted = "\n".join(f"> {line}" for line in question.splitlines())
        answer = self.text
        if not isinstance(self.value, str) and obvious_text(self.value) is None:
            answer = f"```json\n{answer}\n```"
        return f"**{self.agent_id}**\n\n{quoted}\n\n{answer}\n"

    def to_dict(self) -> dict[str, Any]:
        """Return the answer and what is known about it as one flat dictionary."""
        return {
            "agent_id": self.agent_id,
            "input": self.input_data,
            "value": self.value,
            "text": self.text,
            "usage": self.usage,
            "execution_time": self.execution_time,
            "request_id": self.request_id,
            "elapsed": self.elapsed,
            "stopped": self.stopped,
            "cached": self.cached,
            "error": None if self.error is None else str(self.error),
        }

    def to_json(self) -> str:
        """Return `to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2, default=str)

    def to_frame(self) -> pd.DataFrame:
        """Return `to_dict` as a DataFrame of one row, to be concatenated with others.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        import pandas as pd  # noqa: PLC0415 - the user's, if they have it

        frame: pd.DataFrame = pd.DataFrame([self.to_dict()])
        return frame

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        from runagent_jupyter.rendering import bundle  # noqa: PLC0415 - loads what renders Markdown

        return bundle(self)

    def _ipython_display_(self) -> None:
        """Show the reply, unless the magic that returns it has just done so in this cell."""
        from IPython.core.getipython import get_ipython  # noqa: PLC0415 - with a shell, it is there
        from IPython.display import display  # noqa: PLC0415

        shown_in, self._shown_in = self._shown_in, None
        if shown_in is not None and shown_in == getattr(get_ipython(), "execution_count", None):
            return
        display(self._repr_mimebundle_(), raw=True)
