"""The cost of a stream into the chat: bytes on the wire, CPU of the kernel, delay in the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from benchmarks.magic import (
    AT_ONCE,
    PACED,
    QUICK,
    Measured,
    before_page,
    in_kernel,
    kinds_of,
    page,
    part,
    run_all,
)
from benchmarks.measure import Limit, Table
from benchmarks.prose import Prose, served

OURS = "AgentWidget"
DELTAS = "anywidget, a delta per chunk"
SYNCED = "anywidget, all text per chunk"

_PAGE_SIDE = """
_esm = '''export default { render({ model, el }) {
  const text = document.createElement("pre");
  el.append(text);
  model.on("msg:custom", (delta) => text.append(delta));
  model.on("change:value", () => { text.textContent = model.get("value"); });
} }'''
"""


def cells(url: str, prose: Prose, *, turns: int = 0) -> list[str]:
    """Return the cells of a chat with the agent `prose`; the last one asks."""
    fields = asdict(prose)
    kind = fields.pop("kind")
    chat = "from runagent import AsyncRunAgentClient\nfrom runagent_jupyter import AgentWidget\n"
    chat += "w = AgentWidget('demo', field='kind', context={'delay': 0})\nw"
    # A first turn loads everything that is loaded once, which is no cost of the stream.
    past = f"for _ in range({max(turns // 2, 1)}):\n    w.ask('mixed')\n"
    past += f"w.client = AsyncRunAgentClient('prose', base_url={url!r})\nw.context = {fields}"
    return [chat, past, f"w.ask({kind!r}) and None"]


def others(url: str, prose: Prose) -> dict[str, list[str]]:
    """Return what one would write first, by name."""
    make = f"""
import anywidget, traitlets
from runagent import RunAgentClient
class Simple(anywidget.AnyWidget):
    value = traitlets.Unicode().tag(sync=True)
{_PAGE_SIDE.replace(chr(10), chr(10) + "    ")}
w = Simple()
client = RunAgentClient('prose', base_url={url!r})
w"""
    read = f"for chunk in client.run_generic_stream({prose.input_data}):\n    "
    return {DELTAS: [make, read + "w.send(chunk)"], SYNCED: [make, read + "w.value += chunk"]}


def tables(*, quick: bool) -> Iterator[Table]:
    rounds = 1 if quick else 3
    share = QUICK if quick else 1.0
    paced = part(PACED, share)
    in_page = before_page(paced)
    with served() as url:
        runs = run_all({OURS: cells(url, paced), **others(url, paced)}, in_kernel, rounds)
        kinds = {str(prose): cells(url, prose) for prose in kinds_of(paced)}
        ours = {str(paced): runs[OURS], **run_all(kinds, in_kernel, rounds, AT_ONCE)}
        for what, unit, most in (("bytes on iopub", "MB", 0.6), ("CPU of the kernel", "s", 1.0)):
            limits = [Limit(OURS, most * share)]
            yield Table(f"{paced}: {what}", unit, _of(runs, what), OURS, limits)
            limits = [Limit(name, most * share) for name in ours]
            name = f"{OURS}, by kind of text: {what}"
            yield Table(name, unit, _of(ours, what), str(paced), limits)
        yield _copies(ours, share)
        turns = 100 if quick else 500
        late = f"{OURS} after {turns} turns"
        with page(in_page) as measure:
            named = {OURS: cells(url, in_page), late: cells(url, in_page, turns=turns)}
            seen = run_all({**named, **others(url, in_page)}, measure, rounds)
        for what, most in (("first chunk", 150), ("last chunk", 200), ("longest gap", 150)):
            limits = [Limit(OURS, most)]
            if what == "longest gap":  # a long conversation stays fluid
                limits.append(Limit(late, most))
            yield Table(f"{in_page}: {what} in the page", "ms", _of(seen, what), OURS, limits)


def _copies(ours: Mapping[str, list[Measured]], share: float) -> Table:
    """Return the size of the HTML that a notebook keeps of the answer: it is sent at the end."""
    what = "bytes of the saved copy"
    limits = [Limit(name, share) for name in ours]
    baseline = next(iter(ours))
    return Table(f"{OURS}, by kind of text: {what}", "MB", _of(ours, what), baseline, limits)


def _of(runs: Mapping[str, list[Measured]], what: str) -> dict[str, list[float]]:
    return {name: [run[what] for run in found] for name, found in runs.items()}
