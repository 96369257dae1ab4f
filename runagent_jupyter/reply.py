"""An agent's answer in a cell: the object in `_` and in the variable of `--out`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from runagent import RunAgentError, RunResult
from runagent.response_models import as_model
from runagent_jupyter.answer import FACTS, Answer
from runagent_jupyter.data.frames import frame_of
from runagent_jupyter.data.values import as_data, as_markdown, json_of
from runagent_jupyter.event_log import answer_of
from runagent_jupyter.marimo_html import marimo_html
from runagent_jupyter.new_cell import WithCode
from runagent_jupyter.rendering import bundle

if TYPE_CHECKING:
    import pandas as pd


@dataclass(repr=False)
class Reply(WithCode, Answer):
    """An agent's answer in a cell, complete or as far as it has come.

    >>> reply = %runagent shout Hello
    HELLO
    >>> reply.text, reply.error, reply.stopped
    ('HELLO', None, False)

    It has the attributes of `Answer` too: the events, the facts, and how the answer ended.

    Attributes:
        agent_id: The agent's id.
        input_data: The input that was sent to the agent.
        value: The answer: a string, the object the agent answered with, or a list of objects; with
            `--as`, an instance of the model.
        format: How it is shown: `"markdown"`, `"wrapped"`, `"text"`, `"json"` or `"code"`.
        cached: If it comes from the cache: when it was kept, in seconds since the Unix epoch.
    """

    _LEADING: ClassVar = ("agent_id", "value", "format")

    agent_id: str
    input_data: dict[str, Any] = field(repr=False)
    value: Any = ""
    format: str = "markdown"
    cached: float | None = field(default=None, kw_only=True)
    _shown_in: str | None = field(default=None, repr=False, compare=False, kw_only=True)

    def take_result(self, result: object) -> None:
        """Take an answer that came in one piece.

        Args:
            result: The result with the facts about it, or the value alone.
        """
        if isinstance(result, RunResult):
            self.value = result.value
            self.take_facts(result)
        else:
            self.value = result

    def end(self, *, elapsed: float, error: RunAgentError | None, stopped: bool) -> None:
        """Note how the answer ended, and make its value of the events that came."""
        super().end(elapsed=elapsed, error=error, stopped=stopped)
        if self.events:
            self.value = answer_of(self.events)

    def read_as(self, model: Any) -> None:
        """Turn the value of a complete answer into an instance of a model.

        Args:
            model: The class or type; `None` for no change. If the answer does not fit, its value
                stays and `error` says why.
        """
        if model is None or self.error is not None or self.stopped:
            return
        try:
            self.value = as_model(self.value, model)
        except RunAgentError as exc:
            self.error = exc

    @property
    def text(self) -> str:
        """The answer as text. A string stays as it is, an object is its one text or its JSON.

        A picture is an image in Markdown, whose address holds its data.
        """
        found = as_markdown(self.value)
        return json_of(self.value) if found is None else found

    @property
    def code(self) -> list[str]:
        """The blocks of code in the text, in order; with `--format code`, the text is one."""
        return [self.text] if self.format == "code" else super().code

    def __str__(self) -> str:
        return self.text

    def to_markdown(self) -> str:
        """Write the question and the answer as Markdown.

        Example:
            >>> reply = %runagent shout --quiet Hello
            >>> print(reply.to_markdown())
            **shout**
            <BLANKLINE>
            > Hello
            <BLANKLINE>
            HELLO
        """
        question = self.input_data.get("query")
        if not isinstance(question, str):
            question = json.dumps(self.input_data, ensure_ascii=False, default=str)
        quoted = "\n".join(f"> {line}" for line in question.splitlines())
        answer = self.text
        if as_markdown(self.value) is None:
            answer = f"```json\n{answer}\n```"
        return f"**{self.agent_id}**\n\n{quoted}\n\n{answer}\n"

    def facts(self) -> dict[str, Any]:
        """Return the facts about the call, without the answer itself.

        Returns:
            The agent's id, the token counts, the server's time and its id of the request, the
            seconds that the call took, and how it ended.

        Example:
            >>> reply = %runagent shout --quiet Hello
            >>> list(reply.facts())[:4]
            ['agent_id', 'usage', 'execution_time', 'request_id']
        """
        return {
            "agent_id": self.agent_id,
            **{name: getattr(self, name) for name in FACTS},
            "elapsed": self.elapsed,
            "stopped": self.stopped,
            "cached": self.cached,
            "error": None if self.error is None else str(self.error),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the answer and the facts about it as one flat dictionary.

        Example:
            >>> reply = %runagent cities --quiet Where is the Colosseum
            >>> reply.to_dict()["value"]
            {'name': 'Rome', 'country': 'Italy'}
        """
        facts = self.facts()
        return {
            "agent_id": facts.pop("agent_id"),
            "input": self.input_data,
            "value": as_data(self.value),
            "text": self.text,
            **facts,
        }

    def to_json(self) -> str:
        """Return `to_dict` as JSON.

        Example:
            >>> reply = %runagent shout --quiet Hello
            >>> print(reply.to_json())
            {
              "agent_id": "shout",
              "input": {
                "query": "Hello"
              },
              ...
            }
        """
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2, default=str)

    def to_frame(self) -> pd.DataFrame:
        """Return the answer as a table.

        Returns:
            A pandas DataFrame with a row for each record of the answer: for each object of a list,
            or for the one object. A text is one row with the column `text`. The facts about the
            call are in its `attrs`.

        Raises:
            ModuleNotFoundError: pandas is not installed.

        Example:
            >>> reply = %runagent cities --quiet Where is the Colosseum
            >>> reply.to_frame()
               name country
            0  Rome   Italy
        """
        return frame_of(self.value, self.facts())

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return bundle(self)

    def _display_(self) -> Any:
        """Return what marimo shows."""
        return marimo_html(bundle(self)["text/html"])

    def is_shown_in(self, request: str) -> bool:
        """Tell whether the cell of a request has shown this reply; the next time, it has not."""
        shown_in, self._shown_in = self._shown_in, None
        return shown_in == request

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickles and copies have: they were shown nowhere."""
        return {name: value for name, value in vars(self).items() if name != "_shown_in"}
