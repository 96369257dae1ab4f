"""One turn of a chat: a question, or the answer to it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar

from runagent import RunAgentError, StreamEvent
from runagent_jupyter import html
from runagent_jupyter.answer import FACTS, Answer
from runagent_jupyter.chats.attached import Attached
from runagent_jupyter.control_characters import strip_controls
from runagent_jupyter.marimo_html import marimo_html
from runagent_jupyter.new_cell import WithCode
from runagent_jupyter.rendering import bundle
from runagent_jupyter.reply import Reply


@dataclass(repr=False)
class Turn(WithCode, Answer):
    """A question, or an answer as far as it has come.

    >>> turn = AgentWidget("shout").ask("Hello")
    >>> turn.role, turn.text, turn.status
    ('agent', 'HELLO', 'done')

    It has the attributes of `Answer` too: the events, the facts, and how the answer ended.

    Attributes:
        role: `"user"` for a question, `"agent"` for an answer.
        text: The question, or the answer's text.
        status: `"done"`, `"streaming"`, `"stopped"` or `"error"`.
        feedback: What the reader thinks of the answer: `"up"` or `"down"`, `None` for nothing.
        agent: The label of the agent that answered, in a chat with several agents; else `None`.
        attachments: The files, pictures and values that went along with the question.
    """

    _LEADING: ClassVar = ("role", "text", "error")

    role: str
    text: str = field(default_factory=str)
    stopped: bool = field(default=False, repr=False, kw_only=True)  # `status` says it
    status: str = field(default="done", kw_only=True)
    feedback: str | None = field(default=None, repr=False, kw_only=True)
    agent: str | None = field(default=None, repr=False, kw_only=True)
    attachments: list[Attached] = field(default_factory=list, repr=False, kw_only=True)

    def take(self, event: StreamEvent) -> None:
        """Add an event of the stream and the text in it."""
        super().take(event)
        # Adding each of a million pieces to a string would copy it a million times.
        vars(self).pop("text", None)

    def __getattr__(self, name: str) -> Any:
        """Return the text of an answer that is still coming."""
        if name == "text" and "events" in vars(self):
            return self.events.text
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def end(self, *, elapsed: float, error: RunAgentError | None, stopped: bool) -> None:
        """Note how the answer ended, in `status` too."""
        super().end(elapsed=elapsed, error=error, stopped=stopped)
        if "text" not in vars(self):
            self.text = self.events.text
        self.status = "stopped" if stopped else "done" if error is None else "error"

    def to_markdown(self) -> str:
        """Write the turn as Markdown.

        Returns:
            The question as a quotation, or the answer and how it ended.

        Example:
            >>> chat = AgentWidget("shout")
            >>> answer = chat.ask("Hello")
            >>> print(*(turn.to_markdown() for turn in chat.turns))
            > Hello HELLO
        """
        if self.role == "user":
            quoted = "\n".join(f"> {line}" for line in self.text.splitlines())
            # In code, no character of a name means anything; a backtick would end it.
            labels = (f"`{item.label.replace('`', chr(39))}`" for item in self.attachments)
            attached = ", ".join(map(strip_controls, labels))
            return f"{quoted}\n>\n> Attached: {attached}" if attached else quoted
        endings = {
            "stopped": "*stopped*",
            "error": f"*failed: {self.error}*",
            "streaming": "*still coming*",
        }
        parts = (self._heading(), html.close_code(self.text), endings.get(self.status))
        return "\n\n".join(part for part in parts if part)

    def _heading(self) -> str:
        """Return the label of the agent as Markdown, if there are several agents."""
        if self.agent is None:
            return ""
        label = re.sub(r"([^\w\s])", r"\\\1", strip_controls(self.agent).replace("\n", " "))
        return f"**{label}**"

    def _display_(self) -> Any:
        """Return what marimo shows."""
        if self.role == "user":
            labels = [item.label for item in self.attachments]
            return marimo_html(html.wrap(html.question(self.text, labels)))
        facts = {name: getattr(self, name) for name in (*FACTS, "elapsed", "stopped", "error")}
        return marimo_html(
            bundle(Reply("", {}, self.text, events=self.events, **facts))["text/html"]
        )
