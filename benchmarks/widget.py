"""The cost of a stream into the chat: bytes on the wire, CPU of the kernel, delay in the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace

from benchmarks.magic import Measured, in_kernel, page, run_all
from benchmarks.measure import Limit, Table
from benchmarks.prose import KINDS, Prose, served

OURS = "AgentWidget"
LONG = f"{OURS} after 500 turns"
DELTAS = "anywidget, a delta per chunk"
SYNCED = "anywidget, all text per chunk"
PACED = Prose()
IN_PAGE = replace(PACED, thinking=1)

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
    with served() as url:
        paced = run_all({OURS: cells(url, PACED), **others(url, PACED)}, in_kernel, rounds)
        for what, unit, most in (("bytes on iopub", "MB", 0.6), ("CPU of the kernel", "s", 1.0)):
            samples = _of(paced, what)
            yield Table(f"{PACED}: {what}", unit, samples, OURS, [Limit(OURS, most)])
        ours = {str(prose): cells(url, prose) for prose in map(Prose, KINDS)}
        kinds = run_all(ours, in_kernel, rounds)
        for what, unit, most in (("bytes on iopub", "MB", 0.6), ("CPU of the kernel", "s", 1.0)):
            limits = [Limit(name, most) for name in ours]
            name = f"{OURS}, by kind of text: {what}"
            yield Table(name, unit, _of(kinds, what), str(PACED), limits)
        with page() as measure:
            named = {OURS: cells(url, IN_PAGE), LONG: cells(url, IN_PAGE, turns=500)}
            seen = run_all({**named, **others(url, IN_PAGE)}, measure, rounds)
        for what, most in (("first chunk", 150), ("last chunk", 200), ("longest gap", 150)):
            limits = [Limit(OURS, most)]
            if what == "longest gap":  # a long conversation stays fluid
                limits.append(Limit(LONG, most))
            yield Table(f"{IN_PAGE}: {what} in the page", "ms", _of(seen, what), OURS, limits)


def _of(runs: Mapping[str, list[Measured]], what: str) -> dict[str, list[float]]:
    return {name: [run[what] for run in found] for name, found in runs.items()}
