"""A chat with an agent in the terminal, with Textual.

To try it:

    pip install "/path/to/checkout[local]" textual
    python textual_app.py
"""

import os

from textual import work
from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Input, Markdown

from runagent import AsyncRunAgentClient, RunAgentError

AGENT = os.environ.get("AGENT", "demo")


class Chat(App[None]):
    """Shows the last answer while it streams; Escape stops it."""

    BINDINGS = [("escape", "stop", "Stop")]

    def compose(self) -> ComposeResult:
        """Lay out the answer and the input."""
        with VerticalScroll():
            yield Markdown()
        yield Input(placeholder="Ask the agent")

    def on_mount(self) -> None:
        """Make the client, which lives as long as the app."""
        self.agent = AsyncRunAgentClient(AGENT)
        self.query_one(Input).focus()

    async def on_unmount(self) -> None:
        """Close the agent's connections."""
        await self.agent.aclose()

    def on_input_submitted(self, submitted: Input.Submitted) -> None:
        """Ask, instead of what was asked before."""
        self.ask(submitted.value)
        submitted.input.clear()

    def action_stop(self) -> None:
        """Stop the answer."""
        self.workers.cancel_all()

    @work(exclusive=True)
    async def ask(self, query: str) -> None:
        """Show the answer so far whenever it has grown."""
        shown = self.query_one(Markdown)
        await shown.update("")
        try:
            async for text in self.agent.run_generic_stream({"query": query}).accumulated():
                await shown.update(text)
        except RunAgentError as error:
            self.notify(error.message, severity="error", markup=False)


if __name__ == "__main__":
    Chat().run()
