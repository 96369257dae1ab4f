"""A finished answer as it stays: safe HTML and text in a notebook, text in a terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from runagent import RunAgentError, StreamEvent
from runagent_jupyter import html, steps
from runagent_jupyter.control_characters import strip_controls
from runagent_jupyter.data.pictures import described
from runagent_jupyter.data.records import records_of
from runagent_jupyter.data.values import (
    as_data,
    as_markdown,
    json_beginning,
    without_pictures,
)
from runagent_jupyter.data.whole_text import excerpt
from runagent_jupyter.failure import facts_of
from runagent_jupyter.prices import money

_LARGEST_COUNT = 1e15
"""Beyond it, a number of tokens is a mistake and is not shown."""

_MOST_DATA = 24_000_000
"""Characters of a text, with the data of pictures, of which the beginning is shown."""

_JSON_CUT_OFF = "Cut off here: the JSON goes on. The reply has all of it: _.text in the next cell."


class FinishedAnswer(Protocol):
    """The facts about an answer that are shown; `Reply` has them."""

    @property
    def agent_id(self) -> str:
        """The agent."""

    @property
    def value(self) -> Any:
        """The answer: a string, an object or a list of objects."""

    @property
    def text(self) -> str:
        """The answer as text."""

    @property
    def format(self) -> str:
        """How it is shown: `"markdown"`, `"wrapped"`, `"text"`, `"json"` or `"code"`."""

    @property
    def events(self) -> Sequence[StreamEvent]:
        """The events of the stream, in order."""

    @property
    def usage(self) -> Mapping[str, Any]:
        """Token counts by name; empty if the server sent none."""

    @property
    def cost(self) -> float | None:
        """The money that it cost, if that is known."""

    @property
    def elapsed(self) -> float:
        """Seconds from the request to the end of the answer."""

    @property
    def stopped(self) -> bool:
        """Whether it was interrupted."""

    @property
    def error(self) -> RunAgentError | None:
        """The error it ended with, if it failed."""

    @property
    def cached(self) -> float | None:
        """If it comes from the cache: when it was kept, in seconds since the Unix epoch."""


def bundle(answer: FinishedAnswer, body: str | None = None) -> dict[str, str]:
    """Render an answer for a notebook.

    Args:
        answer: The answer.
        body: The HTML of its text, if that was made already.

    Returns:
        The answer by MIME type: as safe HTML and as plain text. Of a very long answer, both have
        the beginning, and say how to get the rest.
    """
    content = html.with_copy_buttons(body_of(answer) if body is None else body)
    found = steps.steps_of(answer.events)
    return {
        "text/html": html.wrap(steps.folded(found) + content + notes(answer)),
        "text/plain": steps.lines(found) + plain_text(answer) + plain_note(answer),
    }


def plain_text(answer: FinishedAnswer) -> str:
    """Render an answer as plain text.

    Args:
        answer: The answer.

    Returns:
        Its text, or its JSON in the format JSON, with nothing in it that steers a terminal. Records
        are in aligned columns, and in the place of a picture there are words. A very long text is
        cut, with a line that says so.
    """
    text, cut = _beginning(answer)
    return strip_controls(text) + (f"\n[{cut}]\n" if cut else "")


def plain_note(answer: FinishedAnswer) -> str:
    """Say how an answer ended, if it did not end as usual.

    Args:
        answer: The answer.

    Returns:
        A line to write behind its text, or nothing.
    """
    if answer.stopped:
        return f"\n[stopped after {answer.elapsed:.1f} s]"
    if answer.error is not None:
        return f"\n[{_trouble(answer.error)}: {strip_controls(answer.error.message)}]"
    if answer.cached is not None:
        return f"\n[{_kept(answer.cached)}]"
    return "[the answer is empty]" if _is_empty(answer) else ""


def _beginning(answer: FinishedAnswer) -> tuple[str, str]:
    """Return the text that is shown of an answer, and the words for its end if there is more."""
    value = as_data(answer.value)
    text = None if answer.format == "json" else as_markdown(value)
    if text is not None:
        # A picture counts as its words, of which there may be fewer characters than of its data.
        shown = described(text[:_MOST_DATA])
        if len(shown) <= html.MOST_CHARACTERS and len(text) <= _MOST_DATA:
            return shown, ""
        return shown[: html.MOST_CHARACTERS], cut_off(len(text), html.MOST_CHARACTERS)
    records = None if answer.format == "json" else records_of(value)
    if records is not None:
        return excerpt(records), ""
    shown, is_whole = json_beginning(
        value if answer.format == "json" else without_pictures(value), html.MOST_CHARACTERS
    )
    return shown, "" if is_whole else _JSON_CUT_OFF


def cut_off(total: int, shown: int) -> str:
    """Say that a text is not shown whole, and how to get the rest.

    Args:
        total: The characters of the text.
        shown: Those that are shown.
    """
    return (
        f"Cut off here, after {shown:,} of {total:,} characters. The reply has them all: _.text in "
        "the next cell, or NAME.text after --out NAME. To write them into a file: "
        'open("answer.md", "w", encoding="utf-8").write(_.text)'
    )


def cut_note(total: int, shown: int) -> str:
    """Render `cut_off`, if a text is not shown whole.

    Returns:
        Safe HTML to be put into `html.wrap`; empty if nothing is left out.
    """
    return html.status_line(f"✂ {cut_off(total, shown)}") if shown < total else ""


def body_of(answer: FinishedAnswer) -> str:
    """Render the text or the data of an answer.

    Args:
        answer: The answer.

    Returns:
        Safe HTML to be put into `html.wrap`.
    """
    value = as_data(answer.value)
    text = as_markdown(value)
    if answer.format == "json" or text is None:
        records = None if answer.format == "json" else records_of(value)
        return html.json_tree(value) if records is None else html.record_table(records)
    if answer.format in ("text", "code"):
        shown = text[: html.MOST_CHARACTERS]
        content = html.plain(shown) if answer.format == "text" else html.code(shown)
        return content + cut_note(len(text), len(shown))
    stream = html.LimitedStream(line_breaks=answer.format != "wrapped")
    stream.feed(text)
    stream.finish()
    return stream.html() + cut_note(len(text), stream.taken)


def _is_empty(answer: FinishedAnswer) -> bool:
    """Whether a complete answer has nothing to show."""
    text, cut = _beginning(answer)
    return not (text.strip() or cut or steps.steps_of(answer.events))


def has_more_than_error(answer: FinishedAnswer) -> bool:
    """Whether there is anything to show besides the error that a failing cell shows itself."""
    return (
        answer.error is None
        or as_markdown(answer.value) != ""
        or bool(steps.steps_of(answer.events))
    )


def notes(answer: FinishedAnswer) -> str:
    """Render how an answer ended and what it cost.

    Args:
        answer: The answer.

    Returns:
        Safe HTML to be put into `html.wrap`; empty if there is nothing to say.
    """
    if answer.stopped:
        return html.status_line(f"⏹ stopped after {answer.elapsed:.1f} s")
    if answer.error is not None:
        # The places in the user's code that a note names are on lines of their own.
        between = "\n" if getattr(answer.error, "__notes__", ()) else " "
        said = between.join(facts_of(answer.error))
        return html.status_line(f"⚠ {_trouble(answer.error)}: {said}")
    if answer.cached is not None:
        return html.status_line(f"↺ {_kept(answer.cached)}")
    empty = html.status_line("the answer is empty") if _is_empty(answer) else ""
    return empty + _folded_usage(answer)


def _trouble(error: RunAgentError) -> str:
    return "not as --as asks for" if error.code == "UNEXPECTED_ANSWER" else "broken off"


def _folded_usage(answer: FinishedAnswer) -> str:
    """Show the number of tokens and the cost, as far as they are known, with more facts folded."""
    counts = {
        name.replace("_", " "): f"{count:,}"
        for name, count in answer.usage.items()
        if isinstance(count, int) and not isinstance(count, bool) and abs(count) < _LARGEST_COUNT
    }
    cost = [] if answer.cost is None else [f"cost {money(answer.cost)}"]
    if not (counts or cost):
        return ""
    total = counts.pop("total tokens", None)
    shown = [f"{count} {name}" for name, count in counts.items()]
    tokens = [f"{total} tokens"] if total else [shown.pop(0)] if shown else []
    head = " · ".join([*tokens, *cost])
    agent = [answer.agent_id] if answer.agent_id else []
    rest = [*shown, *agent, f"{answer.elapsed:.1f} s", _length(answer)]
    return html.folded_status(head, " · ".join(rest))


def _length(answer: FinishedAnswer) -> str:
    """Say how long the text of an answer is, without writing all of a large object as JSON."""
    text = as_markdown(answer.value)
    if text is not None:
        return f"{len(text):,} characters"
    shown, is_whole = json_beginning(answer.value, html.MOST_CHARACTERS)
    return f"{'' if is_whole else 'more than '}{len(shown):,} characters"


def _kept(when: float) -> str:
    return f"from the cache, asked on {time.strftime('%Y-%m-%d at %H:%M', time.localtime(when))}"
