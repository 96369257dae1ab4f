"""Where a stream becomes visible: a kernel's output area, or a terminal."""

from __future__ import annotations

import os
import shutil
import sys
import time
import unicodedata
import uuid
from typing import Any, Protocol

from IPython.display import clear_output, display, update_display

from runagent import StreamEvent
from runagent_jupyter import markdown, steps
from runagent_jupyter.failure import facts_of
from runagent_jupyter.printed import Printed
from runagent_jupyter.reply import Reply, json_of, obvious_text

FIRST_INTERVAL = 0.1
"""Seconds between two paintings, as long as they are small."""

BYTES_PER_SECOND = 45_000
"""What painting may send again and again; what is larger is painted less often."""

SHARE = 0.02
"""The part of the time that painting may work; what is more work is painted less often."""

LONGEST_REST = 1.0
"""Seconds after which it is painted all the same, however much work that is."""

COMMIT_SIZE = 6_000
"""Characters of finished HTML after which an output is left as it is and a new one begun."""

# The one script of the package, the same for every block of code: nothing of an answer is in it.
# `execCommand` copies on servers without HTTPS too, where there is no `navigator.clipboard`.
_COPY_SCRIPT = (
    "let block=this.closest('.runagent-code'),area=document.createElement('textarea');"
    "do area.value+=block.querySelector('code').textContent;"
    "while((block=block.nextElementSibling)?.matches('.runagent-continued'));"
    "this.after(area);area.select();this.dataset.copied=document.execCommand('copy');"
    "area.remove();this.focus()"
)
_COPY = (
    '<button type="button" class="runagent-copy" aria-label="Copy code" title="Copy code"'
    f' onclick="{_COPY_SCRIPT}"></button>'
)


def rest_after(worked: float) -> float:
    """Return the seconds to rest after painting, which began at `worked` by the thread's clock."""
    return min((time.thread_time() - worked) / SHARE, LONGEST_REST)


class Display(Protocol):
    """Shows one reply as it comes."""

    def add(self, text: str) -> None:
        """Take the next piece of text."""

    def step(self, event: StreamEvent) -> None:
        """Take what the agent says besides its answer."""

    def tick(self) -> None:
        """Show what is due; called about ten times a second."""

    def end(self, reply: Reply) -> None:
        """Show the reply as it will stay."""


def bundle(reply: Reply, body: str | None = None) -> dict[str, str]:
    """Return a reply as safe HTML and as plain text.

    Args:
        reply: What came.
        body: Its text as HTML, if that was made already.
    """
    body = _body(reply) if body is None else body
    body = body.replace(markdown.CODE_HEAD, markdown.CODE_HEAD + _COPY)
    found = steps.steps_of(reply.events)
    return {
        "text/html": markdown.wrap(steps.folded(found) + body + _notes(reply)),
        "text/plain": steps.lines(found)
        + markdown.strip_controls(_plain(reply))
        + _plain_notes(reply),
    }


def _plain(reply: Reply) -> str:
    return json_of(reply.value) if reply.format == "json" else reply.text


def _body(reply: Reply) -> str:
    if reply.format == "json" or not (
        isinstance(reply.value, str) or obvious_text(reply.value) is not None
    ):
        return markdown.json_tree(reply.value)
    if reply.format == "text":
        return markdown.plain(reply.text)
    if reply.format == "code":
        return markdown.code(reply.text)
    return markdown.render(reply.text)


def _is_empty(reply: Reply) -> bool:
    """Whether there is nothing to be seen of a complete reply."""
    return not (_plain(reply).strip() or steps.steps_of(reply.events))


def _plain_notes(reply: Reply) -> str:
    if reply.stopped:
        return f"\n[stopped after {reply.elapsed:.1f} s]"
    if reply.error is not None:
        return f"\n[broken off: {markdown.strip_controls(reply.error.message)}]"
    if reply.cached is not None:
        return f"\n[{_kept(reply.cached)}]"
    return "[the answer is empty]" if _is_empty(reply) else ""


def _notes(reply: Reply) -> str:
    if reply.stopped:
        return _status_line(f"⏹ stopped after {reply.elapsed:.1f} s")
    if reply.error is not None:
        return _status_line(f"⚠ broken off: {' '.join(facts_of(reply.error))}")
    if reply.cached is not None:
        return _status_line(f"↺ {_kept(reply.cached)}")
    empty = _status_line("the answer is empty") if _is_empty(reply) else ""
    return empty + _folded_line(reply)


def _folded_line(reply: Reply) -> str:
    """Return the tokens that an answer took, if known, and folded behind them what else is."""
    counts = {
        name.replace("_", " "): f"{count:,}"
        for name, count in reply.usage.items()
        if isinstance(count, int) and not isinstance(count, bool) and abs(count) < 1e15  # noqa: PLR2004
    }
    if not counts:
        return ""
    total = counts.pop("total tokens", None)
    shown = [f"{count} {name}" for name, count in counts.items()]
    head = f"{total} tokens" if total else shown.pop(0)
    rest = [*shown, reply.agent_id, f"{reply.elapsed:.1f} s", f"{len(reply.text):,} characters"]
    return (
        f'<details class="runagent-status"><summary>{markdown.escape(head)}</summary>'
        f"{markdown.escape(' · '.join(rest))}</details>"
    )


def _kept(when: float) -> str:
    return f"from the cache, asked on {time.strftime('%Y-%m-%d at %H:%M', time.localtime(when))}"


def _status_line(text: str) -> str:
    return f'<div class="runagent-status">{markdown.escape(text)}</div>'


class NotebookDisplay:
    """Shows a reply in the output area of the running cell.

    What is finished of the text is displayed once; only what is open is updated, so that the cost
    grows with the text and not with its square. At the end one clean output takes the place of all.

    Args:
        agent_id: Named in the status line.
        owns_cell: Whether nothing but the magic writes into this cell. If something does, there is
            just one output, which is updated less often as it grows.
        rendered: Whether the text is Markdown; plain text otherwise.
    """

    def __init__(self, agent_id: str, *, owns_cell: bool, rendered: bool) -> None:
        self._agent_id = agent_id
        self._owns_cell = owns_cell
        self._rendered = rendered
        self._stream = markdown.MarkdownStream()
        self._controls = markdown.TextStream()
        self._finished: list[str] = []  # of the current output
        self._size = 0
        self._characters = 0
        self._steps: list[steps.Step] = []
        self._started = self._painted = time.monotonic()
        self._interval = 0.0
        self._id = ""
        self._is_dirty = True
        if owns_cell:
            self._printed = Printed()
            display({"text/html": f"<style>{markdown.css()}</style>"}, raw=True)
        self.tick()

    def add(self, text: str) -> None:
        """Take the next piece of text; the first one is shown at once."""
        if not self._characters:
            self._interval = 0.0
        self._characters += len(text)
        self._is_dirty = True
        if not self._rendered:
            shown = self._controls.feed(text)
            self._finish(f'<span style="white-space:pre-wrap">{markdown.escape(shown)}</span>')
            return
        for block in self._stream.feed(text):
            self._finish(block)

    def step(self, event: StreamEvent) -> None:
        """Take what the agent says besides its answer: the status line has the last of it."""
        steps.take(event, self._steps)
        self._is_dirty = True

    def _finish(self, block: str) -> None:
        self._finished.append(block)
        self._size += len(block)

    def tick(self) -> None:
        """Paint, if there is something new and the last painting is long enough ago."""
        now = time.monotonic()
        if now - self._painted < (self._interval if self._is_dirty else 1.0) and self._id:
            return
        worked = time.thread_time()
        if self._owns_cell and self._size > COMMIT_SIZE:
            self._paint("".join(self._finished))
            self._finished.clear()
            self._size = 0
            self._id = ""
        html = "".join(self._finished) + self._stream.tail() + self._status()
        self._paint(html)
        self._is_dirty = False
        self._painted = time.monotonic()
        self._interval = max(FIRST_INTERVAL, len(html) / BYTES_PER_SECOND, rest_after(worked))

    def _status(self) -> str:
        elapsed = time.monotonic() - self._started
        seen = [f"{self._characters:,} characters"] if self._characters else []
        seen += [steps.summary(self._steps)] if self._steps else []
        facts = [self._agent_id, f"{elapsed:.0f} s", *(seen or ["waiting"])]
        return _status_line(" · ".join(facts))

    def _paint(self, html: str) -> None:
        data = {"text/html": markdown.wrap(html, styled=not self._owns_cell)}
        if self._id:
            update_display(data, raw=True, display_id=self._id)
        else:
            self._id = uuid.uuid4().hex
            display(data, raw=True, display_id=self._id)

    def end(self, reply: Reply) -> None:
        """Put one clean output in the place of what was shown."""
        body = None
        if self._rendered and reply.value == reply.text and self._characters == len(reply.text):
            self._stream.finish()
            body = self._stream.html()
        shown = bundle(reply, body)
        if reply.error is not None and not (reply.text or self._steps):
            shown = {"text/html": "", "text/plain": ""}  # the error that follows says it all
        if not self._owns_cell:
            update_display(shown, raw=True, display_id=self._id)
            return
        self._printed.stop()
        clear_output(wait=bool(self._printed or shown["text/html"]))
        self._printed.again()
        if shown["text/html"]:
            display(shown, raw=True)


class OutputWidgetDisplay:
    """Shows a reply in an `ipywidgets.Output`, where nothing that is displayed can be updated.

    Blocks of text are displayed once they are finished, and everything else at the end.

    Args:
        rendered: Whether the text is Markdown; it is displayed at the end otherwise.
    """

    def __init__(self, *, rendered: bool) -> None:
        self._rendered = rendered
        self._stream = markdown.MarkdownStream()
        self._finished: list[str] = []
        self._is_begun = False
        self._painted = 0.0

    def add(self, text: str) -> None:
        """Take the next piece of text."""
        if self._rendered:
            self._finished += self._stream.feed(text)

    def step(self, event: StreamEvent) -> None:
        """Do nothing: steps are part of what is displayed at the end."""

    def tick(self) -> None:
        """Display the blocks that are finished."""
        if self._finished and time.monotonic() - self._painted > FIRST_INTERVAL:
            display({"text/html": markdown.wrap("".join(self._finished))}, raw=True)
            self._finished.clear()
            self._is_begun = True
            self._painted = time.monotonic()

    def end(self, reply: Reply) -> None:
        """Display the rest."""
        rest = "".join([*self._finished, *self._stream.finish()]) if self._is_begun else None
        if self._is_begun or reply.error is None or reply.text or reply.events:
            display(bundle(reply, rest), raw=True)


class TerminalDisplay:
    """Writes a reply to a terminal as plain text, what could steer the terminal made visible.

    Where `rich` is installed, a complete answer is rendered in the place of that text in the end,
    if all of it is still on the screen.

    Args:
        rendered: Whether the text is Markdown.
    """

    def __init__(self, *, rendered: bool) -> None:
        self._rendered = rendered and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._size = shutil.get_terminal_size()
        self._stream = markdown.TextStream()
        self._shown: list[str] = []
        self._steps: list[steps.Step] = []

    def add(self, text: str) -> None:
        """Write the next piece of text."""
        self._write_steps(len(self._steps))
        self._write(self._stream.feed(text))

    def step(self, event: StreamEvent) -> None:
        """Write what the agent says besides its answer on lines of its own."""
        steps.take(event, self._steps)
        self._write_steps(len(self._steps) - 1)  # the last one may go on

    def _write_steps(self, count: int) -> None:
        for step in self._steps[:count]:
            is_within_line = self._shown and not self._shown[-1].endswith("\n")
            self._write(("\n" if is_within_line else "") + f"[{step.title}]\n")
            self._rendered = False  # the answer does not stand alone
        del self._steps[:count]

    def _write(self, text: str) -> None:
        if text:
            encoding = sys.stdout.encoding or "utf-8"
            text = text.encode(encoding, "replace").decode(encoding)
            sys.stdout.write(text)
            sys.stdout.flush()
            self._shown.append(text)

    def tick(self) -> None:
        """Do nothing: what was added is written."""

    def end(self, reply: Reply) -> None:
        """Render the text, if that is possible, and end the line."""
        self._write(self._stream.finish())
        is_text = isinstance(reply.value, str)
        if is_text:
            self._write_steps(len(self._steps))
        if not is_text or not self._shown:
            self._write(markdown.strip_controls(_plain(reply)))
        if self._rendered and is_text and not reply.stopped and reply.error is None:
            self._render("".join(self._shown))
        if self._shown or reply.error is None:  # the error that follows says it all
            self._write(_plain_notes(reply))
        if self._shown and not self._shown[-1].endswith("\n"):
            self._write("\n")

    def _render(self, text: str) -> None:
        try:
            from rich.console import Console  # noqa: PLC0415 - the user's, if they have it
            from rich.markdown import Markdown  # noqa: PLC0415
        except ImportError:
            return
        columns, lines = self._size
        rows = _rows(text, columns)
        if rows is None or rows > lines or self._size != shutil.get_terminal_size():
            return
        up = f"\x1b[{rows - 1}A" if rows > 1 else ""
        sys.stdout.write(f"\r{up}\x1b[J")
        console = Console(file=sys.stdout, width=columns)
        console.print(Markdown(text, hyperlinks=False, code_theme="ansi_dark"))
        self._shown.append("\n")


def _rows(text: str, columns: int) -> int | None:
    """Return how many rows of a terminal a text takes, or `None` if terminals differ in that."""
    rows = 0
    for line in text.split("\n"):
        rows += 1
        column = 0
        for character in line:
            if unicodedata.category(character)[0] in "CM" or character >= "\U0001f000":
                return None  # tabs, marks, emoji
            width = 2 if unicodedata.east_asian_width(character) in "FW" else 1
            column += width
            if column > columns:
                rows += 1
                column = width
    return rows


class NoDisplay:
    """Shows nothing."""

    def add(self, text: str) -> None:
        """Do nothing."""

    def step(self, event: StreamEvent) -> None:
        """Do nothing."""

    def tick(self) -> None:
        """Do nothing."""

    def end(self, reply: Reply) -> None:
        """Do nothing."""


def display_for(
    shell: Any, agent_id: str, *, owns_cell: bool, rendered: bool, quiet: bool, background: bool
) -> Display:
    """Return where to show a reply in this shell."""
    if quiet:
        return NoDisplay()
    if _is_in_output_widget(shell):
        return OutputWidgetDisplay(rendered=rendered)
    if hasattr(shell, "kernel"):
        return NotebookDisplay(agent_id, owns_cell=owns_cell, rendered=rendered)
    # In the background of a terminal, it would write into what is being typed.
    return NoDisplay() if background else TerminalDisplay(rendered=rendered)


def _is_in_output_widget(shell: Any) -> bool:
    """Whether what is displayed now goes into an `ipywidgets.Output`."""
    ipywidgets = sys.modules.get("ipywidgets")
    kernel = getattr(shell, "kernel", None)
    if ipywidgets is None or kernel is None:
        return False
    cell = (kernel.get_parent("shell") or {}).get("header", {}).get("msg_id")
    widgets = list(ipywidgets.widgets.widget._instances.values())  # noqa: SLF001 - nothing public
    return any(isinstance(w, ipywidgets.Output) and w.msg_id == cell for w in widgets)
