"""A chat of 1,000 turns: what it costs the kernel and a page to open it, and the page to scroll."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from benchmarks.magic import Measured
from benchmarks.measure import Limit, Table
from runagent import StreamEvent

if TYPE_CHECKING:
    from playwright.sync_api import Browser, CDPSession

LENGTHS = (100, 1_000)
STEPS = 40

# As in JupyterLab, where what is out of sight costs no layout.
_PAGE = "<!doctype html><body class=jp-NotebookPanel><div id=widget></div>"
_PAINTED = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
_SCROLL = "() => { const log = document.querySelector('.runagent-log'); log.scrollTop -= 900; }"


def tables(*, quick: bool) -> Iterator[Table]:
    from support.chromium import running_chromium

    runs: dict[str, list[Measured]] = {f"{turns:,} turns": [] for turns in LENGTHS}
    with running_chromium() as browser:
        for _ in range(1 if quick else 3):
            for turns, found in zip(LENGTHS, runs.values(), strict=True):
                found.append(_measured(browser, turns))
    short, long = runs
    for name, most in (("kernel opens it", 2_000), ("page opens it", 1_000), ("page scrolls", 100)):
        samples = {length: [run[name] for run in found] for length, found in runs.items()}
        yield Table(f"A long chat: CPU, {name}", "ms", samples, short, [Limit(long, most)])


def _measured(browser: Browser, turns: int) -> Measured:
    """Return milliseconds of CPU; for scrolling, those of the most costly step."""
    from support.chromium import new_page
    from support.staged_chat import show_chat

    began = time.process_time()
    known = _conversation(turns)
    opened = time.process_time() - began
    page = new_page(browser, viewport={"width": 900, "height": 900})
    page.set_content(_PAGE)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    costs = [_busy(session)]
    show_chat(page, known, height=600)
    page.evaluate(_PAINTED)
    costs.append(_busy(session))
    for _ in range(STEPS):
        page.evaluate(_SCROLL)
        page.evaluate(_PAINTED)
        costs.append(_busy(session))
    page.close()
    first, *steps = (after - before for before, after in itertools.pairwise(costs))
    return {"kernel opens it": 1_000 * opened, "page opens it": first, "page scrolls": max(steps)}


def _conversation(count: int) -> list[dict[str, Any]]:
    """Restore a chat with long answers of all kinds, as from a file."""
    from support.answers import ANSWER

    from runagent_jupyter.chats.conversation import Conversation
    from runagent_jupyter.chats.turn import Turn
    from runagent_jupyter.event_log import EventLog

    turns = []
    for number in range(count // 2):
        text = ANSWER.replace("Text", f"Text {number}")
        answer = Turn("agent", text, events=EventLog([StreamEvent("chunk", text, text)]))
        turns += [Turn("user", f"Question {number}"), answer]
    made = Conversation()
    made.restore(turns, {})
    return made.known(0)


def _busy(session: CDPSession) -> float:
    """Return the CPU time of the page's main thread so far, in milliseconds."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return 1_000 * float(next(m["value"] for m in metrics if m["name"] == "TaskDuration"))
