"""The cost of a stream into a notebook: bytes on the wire, CPU of the kernel, delay in the page."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.child import ROOT
from benchmarks.measure import Limit, Run, Table, interleave
from benchmarks.prose import KINDS, Prose, served

sys.path.append(str(ROOT / "tests"))  # its kernels and its JupyterLab

OURS = "%%runagent"
PACED = Prose()
TOKENS = Prose(characters=48_000, chunks=8_000, seconds=0)
QUICK = 0.25
"""The part of these texts that a quick look takes: what peers send grows by the square."""

AT_ONCE = 4
"""Kernels that work side by side where CPU time and bytes of streams in this project's cells are
measured, which are mostly a wait. Peers send hundreds of megabytes, of which some would be lost."""

PATIENCE = 6
"""Times as long as a stream in which a page shows its end, or the server has dropped it."""

_SETTINGS = {"RUNAGENT_API_KEY": "key"}

_STARTING = threading.Lock()
"""Held while a kernel starts: one process makes them all, one after the other."""

Measured = dict[str, float]
Measure = Callable[..., Measured]
"""Runs cells in a fresh kernel; returns what the last one cost."""

_WATCH = """
() => {
  const seen = window.seen = { gap: 0 };
  let last = performance.now();
  const beat = () => {
    const now = performance.now();
    if ("BEGIN" in seen && !seen.END) seen.gap = Math.max(seen.gap, now - last);
    last = now;
    setTimeout(beat, 10);
  };
  setTimeout(beat, 10);
  const notebook = document.querySelector(".jp-Notebook");
  const look = () => {
    for (const word of ["BEGIN", "END"]) {
      if (word in seen) continue;
      const found = [...notebook.querySelectorAll(".jp-OutputArea-output")]
        .map((output) => output.textContent.match(`${word} (\\\\d{13})\\\\.`)).find(Boolean);
      if (found) {
        seen[word] = 0;
        // Two frames later, it has been painted.
        requestAnimationFrame(() => requestAnimationFrame(() => {
          seen[word] = Date.now() - Number(found[1]);
        }));
      }
    }
  };
  const all = { childList: true, subtree: true, characterData: true };
  new MutationObserver(look).observe(notebook, all);
}
"""


def cells(url: str, prose: Prose) -> dict[str, str]:
    """Return the cells that show a stream, by name: this project's, and what one would write."""
    read = (
        "from IPython.display import Markdown, display\n"
        "from runagent import RunAgentClient\n"
        f"client = RunAgentClient('prose', base_url={url!r})\n"
        f"chunks = client.run_generic_stream({prose.input_data})\n"
    )
    return {
        OURS: f"%%runagent prose --base-url {url}\n{prose.input_data}",
        "display(Markdown) per chunk": f"""{read}
text, shown = "", display(Markdown(""), display_id=True)
for chunk in chunks:
    text += chunk
    shown.update(Markdown(text))
""",
        "ipywidgets.Output": f"""{read}
import ipywidgets
output = ipywidgets.Output()
display(output)
for chunk in chunks:
    output.append_stdout(chunk)
""",
    }


def tables(*, quick: bool) -> Iterator[Table]:
    rounds = 1 if quick else 3
    share = QUICK if quick else 1.0
    paced, tokens = part(PACED, share), part(TOKENS, share)
    in_page = before_page(paced)
    with served() as url:
        runs = run_all(cells(url, paced), in_kernel, rounds)
        others = {str(prose): cells(url, prose)[OURS] for prose in kinds_of(paced)}
        kinds = {str(paced): runs[OURS], **run_all(others, in_kernel, rounds, AT_ONCE)}
        for what, unit, most in (("bytes on iopub", "MB", 2.0), ("CPU of the kernel", "s", 1.0)):
            yield _table(paced, what, unit, runs, [Limit(OURS, most * share)])
            limits = [Limit(name, most * share) for name in kinds]
            samples = {name: [run[what] for run in found] for name, found in kinds.items()}
            yield Table(f"{OURS}, by kind of text: {what}", unit, samples, str(paced), limits)
        runs = run_all(cells(url, tokens), in_kernel, rounds)
        yield _table(tokens, "bytes on iopub", "MB", runs, [Limit(OURS, 0.9 * share)])
        yield _growth(url, rounds)
        yield _stops(url, rounds)
        with page(in_page) as measure:
            seen = run_all(cells(url, in_page), measure, rounds)
        for what, most in (("first chunk", 150), ("last chunk", 300), ("longest gap", 200)):
            yield _table(in_page, f"{what} in the page", "ms", seen, [Limit(OURS, most)])


def part(prose: Prose, share: float) -> Prose:
    """Return a part of a stream, at the same pace."""
    return replace(
        prose,
        characters=round(prose.characters * share),
        chunks=round(prose.chunks * share),
        seconds=prose.seconds * share,
    )


def before_page(prose: Prose) -> Prose:
    """Return the stream as it is watched in a page.

    Before it begins, JupyterLab has finished the work that starting any cell makes it do.
    """
    return replace(prose, thinking=1)


def kinds_of(prose: Prose) -> list[Prose]:
    """Return the stream in all other kinds of text."""
    return [replace(prose, kind=kind) for kind in KINDS if kind != prose.kind]


def _table(
    prose: Prose, what: str, unit: str, runs: Mapping[str, list[Measured]], limits: list[Limit]
) -> Table:
    samples = {
        name: [run[what.removesuffix(" in the page")] for run in found]
        for name, found in runs.items()
    }
    return Table(f"{prose}: {what}", unit, samples, OURS, limits)


def run_all(
    named: Mapping[str, str | list[str]], measure: Measure, rounds: int, at_once: int = 1
) -> dict[str, list[Measured]]:
    """Run cells in turn, `rounds` times; of a list, the last one is measured.

    Args:
        named: The cells.
        measure: Runs them.
        rounds: How often.
        at_once: How many are run side by side.
    """

    def run(cells: str | list[str]) -> Measured:
        return measure(*([cells] if isinstance(cells, str) else cells))

    if at_once == 1:
        return interleave(
            {name: partial(run, cells) for name, cells in named.items()}, rounds, warm_up=0
        )
    with ThreadPoolExecutor(at_once) as pool:
        turns = [
            (name, pool.submit(run, cells)) for _ in range(rounds) for name, cells in named.items()
        ]
    found: dict[str, list[Measured]] = {name: [] for name in named}
    for name, turn in turns:
        found[name].append(turn.result())
    return found


def _growth(url: str, rounds: int) -> Table:
    """Return what ten times the text costs: linear work is ten times as much."""
    sizes = {
        f"{size / 1e6:g} MB": Prose("mixed", size, size // 40, 0) for size in (200_000, 2_000_000)
    }
    found = run_all(
        {name: cells(url, prose)[OURS] for name, prose in sizes.items()}, in_kernel, rounds
    )
    samples = {name: [run["CPU of the kernel"] for run in runs] for name, runs in found.items()}
    small, large = sizes
    limits = [Limit(large, 12, small)]
    return Table(f"{OURS}, without pause: CPU of the kernel", "s", samples, small, limits)


@contextlib.contextmanager
def in_fresh_kernel() -> Iterator[Any]:
    """Start a kernel in which what is loaded once for all is loaded: it is no cost of a stream."""
    from support.kernel import running_kernel

    with contextlib.ExitStack() as stack:
        root = stack.enter_context(tempfile.TemporaryDirectory())
        with _STARTING:
            kernel = stack.enter_context(running_kernel(Path(root), environment=_SETTINGS))
        kernel.execute("%load_ext runagent_jupyter\nimport ipywidgets").ok()
        kernel.execute('%%runagent demo\n{"delay": 0}').ok()
        yield kernel


def in_kernel(*cells: str) -> Measured:
    """Run cells in a fresh kernel; return what the last one cost."""
    with in_fresh_kernel() as kernel:
        *first, last = cells
        for cell in first:
            kernel.execute(cell, timeout=600).ok()
        before = kernel.cpu_seconds()
        done = kernel.execute(last, timeout=600).ok()
        kernel.execute("")  # what is still being sent counts too
        sent = [message for message in kernel.messages if message.received > done.sent]
        copies = sum(message.size for message in sent if "runagent-saved" in str(message.content))
        return {
            "bytes on iopub": (sum(message.size for message in sent) - copies) / 1e6,
            "bytes of the saved copy": copies / 1e6,
            "CPU of the kernel": kernel.cpu_seconds() - before,
        }


def _stops(url: str, rounds: int) -> Table:
    """Return how long an interrupted cell goes on."""

    def stop(prose: Prose, shown: str) -> float:
        with in_fresh_kernel() as kernel:
            cell = kernel.submit(cells(url, prose)[OURS])
            cell.wait_for_output(shown)
            time.sleep(1)
            began = time.perf_counter()
            kernel.interrupt()
            cell.wait()
            return time.perf_counter() - began

    flowing, silent = "while chunks come", "before the first chunk"
    candidates: dict[str, Run] = {
        flowing: lambda: stop(PACED, "BEGIN"),
        silent: lambda: stop(replace(PACED, thinking=60), "waiting"),
    }
    samples = interleave(candidates, rounds, warm_up=0)
    limits = [Limit(flowing, 0.5), Limit(silent, 0.5)]
    return Table(f"{OURS}: from the interrupt to the cell's end", "s", samples, flowing, limits)


@contextlib.contextmanager
def page(prose: Prose) -> Iterator[Measure]:
    """Open JupyterLab; yield what runs cells with this stream there, each in a page of its own."""
    from playwright.sync_api import TimeoutError  # noqa: A004
    from support.lab import running_lab

    patience = PATIENCE * (prose.seconds + prose.thinking) * 1000
    with running_lab(_SETTINGS) as lab:

        def measure(*cells: str) -> Measured:
            notebook = lab.open(["%load_ext runagent_jupyter\nimport ipywidgets", *cells])
            for index in range(len(cells)):
                notebook.run(index)
            notebook.page.evaluate(_WATCH)
            notebook.start_cell(len(cells))
            with contextlib.suppress(TimeoutError):
                notebook.page.wait_for_function("() => window.seen.END", timeout=patience)
            seen = notebook.page.evaluate("() => window.seen")
            lab.reset()
            return {
                "first chunk": seen.get("BEGIN", patience),
                "last chunk": seen.get("END", patience),
                "longest gap": seen["gap"],
            }

        yield measure
