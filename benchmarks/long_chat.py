"""A chat of 1,000 turns from a file: what it costs to open it, to render it, and to scroll."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.magic import Measured
from benchmarks.measure import Limit, Table
from runagent import StreamEvent
from runagent_jupyter.chats import chat_file
from runagent_jupyter.chats.chat_file import KeptChat
from runagent_jupyter.chats.conversation import Conversation
from runagent_jupyter.chats.turn import Turn
from runagent_jupyter.event_log import EventLog

if TYPE_CHECKING:
    from playwright.sync_api import Browser, CDPSession

LENGTHS = (100, 1_000)
STEPS = 40
FEW = 10  # answers that come in one message

MOST = {
    "kernel and page open it": 1_000,
    "kernel opens it": 500,
    "page opens it": 500,
    "kernel renders the rest": 2_000,
    "page shows the rest": 1_000,
    "page scrolls": 100,
}
"""Milliseconds for 1,000 turns; the rest is rendered and shown beside all else, in small parts."""

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
    for name, most in MOST.items():
        samples = {length: [run[name] for run in found] for length, found in runs.items()}
        yield Table(f"A long chat: CPU, {name}", "ms", samples, short, [Limit(long, most)])


def _measured(browser: Browser, turns: int) -> Measured:
    """Return milliseconds of CPU; for scrolling, those of the most costly step."""
    from support.chromium import new_page
    from support.staged_chat import show_chat, tell

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "talk.json")
        chat_file.save(path, KeptChat("agent", "Chat", None, _turns(turns)))
        began = time.process_time()
        chat = Conversation()
        chat.restore(chat_file.read(path).turns, {})
        known = chat.known(0)
        opened = time.process_time() - began
    page = new_page(browser, viewport={"width": 900, "height": 900})
    page.set_content(_PAGE)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    costs = [_busy(session)]
    show_chat(page, known, height=600)
    page.evaluate(_PAINTED)
    costs.append(_busy(session))
    began = time.process_time()
    rest = list(chat.catch_up())
    rendered = time.process_time() - began
    for number, at in enumerate(range(0, len(rest), FEW), 2):
        tell(page, "rendered", number, news=rest[at : at + FEW])
    page.evaluate(_PAINTED)
    costs.append(_busy(session))
    for _ in range(STEPS):
        page.evaluate(_SCROLL)
        page.evaluate(_PAINTED)
        costs.append(_busy(session))
    page.close()
    first, second, *steps = (after - before for before, after in itertools.pairwise(costs))
    return {
        "kernel and page open it": 1_000 * opened + first,
        "kernel opens it": 1_000 * opened,
        "page opens it": first,
        "kernel renders the rest": 1_000 * rendered,
        "page shows the rest": second,
        "page scrolls": max(steps),
    }


def _turns(count: int) -> list[Turn]:
    """Return long answers of all kinds, and their questions."""
    from support.answers import ANSWER

    turns = []
    for number in range(count // 2):
        text = ANSWER.replace("Text", f"Text {number}")
        answer = Turn("agent", text, events=EventLog([StreamEvent("chunk", text, text)]))
        turns += [Turn("user", f"Question {number}"), answer]
    return turns


def _busy(session: CDPSession) -> float:
    """Return the CPU time of the page's main thread so far, in milliseconds."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return 1_000 * float(next(m["value"] for m in metrics if m["name"] == "TaskDuration"))
