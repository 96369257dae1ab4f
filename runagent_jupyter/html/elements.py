"""The elements around the text of an answer: status lines, folded facts and steps, questions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runagent_jupyter.html.escaping import escape, plain


def status_line(text: str) -> str:
    """Show a line about an answer.

    Args:
        text: Any text.

    Returns:
        Safe HTML, to be put into `wrap`, as from all functions here.
    """
    return f'<div class="runagent-status">{escape(text)}</div>'


def running_line(text: str, cut_off: str) -> str:
    """Show a line about an answer that is still coming.

    The line is sent again all the time. Where it is not, as after a page was reloaded, the style
    sheet replaces it by the second text after a while. Without the style sheet, both are there.

    Args:
        text: Any text.
        cut_off: The text for a reader who sees the line when nothing comes any more.

    Returns:
        Safe HTML.
    """
    return (
        f'<div class="runagent-status"><div class="runagent-running">{escape(text)}</div>'
        f'<div class="runagent-cut-off">{escape(cut_off)}</div></div>'
    )


def progress_bar(done: float, failed: float) -> str:
    """Show how far a batch is as a bar.

    Args:
        done: The share of all rows that have answers, from 0 to 1.
        failed: The share of those that failed.

    Returns:
        Safe HTML.
    """
    parts = (("done", done), ("failed", failed))
    shown = "".join(
        f'<div class="runagent-{name}" style="width:{100 * min(1, max(0, share)):.1f}%"></div>'
        for name, share in parts
    )
    return f'<div class="runagent-bar">{shown}</div>'


def folded_status(head: str, rest: str) -> str:
    """Show a line about an answer, with more facts folded behind it.

    Args:
        head: The text of the line.
        rest: The text behind it.

    Returns:
        Safe HTML.
    """
    return (
        f'<details class="runagent-status"><summary>{escape(head)}</summary>'
        f"{escape(rest)}</details>"
    )


def folded_steps(head: str, steps: Iterable[tuple[str, str]], more: str = "") -> str:
    """Show the steps of an agent, folded into one line.

    Args:
        head: The text of the line.
        steps: Of each step, its title as text and its details as safe HTML.
        more: Text that says how many steps are left out; empty for none.

    Returns:
        Safe HTML.
    """
    shown = "".join(_step(title, details) for title, details in steps)
    if more:
        shown += f'<div class="runagent-step">{escape(more)}</div>'
    return f'<details class="runagent-steps"><summary>{escape(head)}</summary>{shown}</details>'


def _step(title: str, details: str) -> str:
    summary = f"<summary>{escape(title)}</summary>"
    return f'<details class="runagent-step">{summary}{details}</details>'


def question(text: str, attached: Sequence[str] = ()) -> str:
    """Show a question of a conversation.

    Args:
        text: Any text.
        attached: The labels of what went along with it.

    Returns:
        Safe HTML.
    """
    labels = "".join(f'<span class="runagent-chip">{escape(label)}</span> ' for label in attached)
    return f'<div class="runagent-question">{plain(text)}{labels}</div>'


def number_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Show a small table, whose first column is text and whose other columns are numbers.

    Args:
        heads: The text above each column.
        rows: The text of each cell, row by row.

    Returns:
        Safe HTML.
    """
    lines = "".join(_row("td", row) for row in rows)
    return f"<table><thead>{_row('th', heads)}</thead><tbody>{lines}</tbody></table>"


def _row(tag: str, cells: Sequence[str]) -> str:
    shown = (
        f'<{tag} align="{"right" if column else "left"}">{escape(cell)}</{tag}>'
        for column, cell in enumerate(cells)
    )
    return f"<tr>{''.join(shown)}</tr>"


def running_text(text: str) -> str:
    """Show a chunk of plain text that continues the chunk before it.

    Args:
        text: Any text.

    Returns:
        Safe HTML.
    """
    return f'<span style="white-space:pre-wrap">{escape(text)}</span>'
