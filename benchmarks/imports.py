"""The cost of an import: time and memory of a new process, `%load_ext` in a started kernel."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import child, peers
from benchmarks.measure import Limit, Table
from benchmarks.upstream import UPSTREAM

_MODULES = ("httpx", "httpx2", "openai", "anthropic", "langgraph_sdk", "aiohttp")

_CODE = """
import time
began = time.perf_counter()
import {module}
{then}
seconds = time.perf_counter() - began
memory = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
import json
print(json.dumps([seconds * 1e3, int(memory) / 1024, {module}.__file__]))
"""


def imports(*, rounds: int) -> Iterator[Table]:
    from support.upstream import upstream_python

    # `import runagent` loads only names, and the first client loads `httpx2`.
    client = "runagent.RunAgentClient('a', '', 'http://127.0.0.1:1')"
    candidates = {
        "runagent": (sys.executable, "runagent", ""),
        "runagent + the class of a client": (sys.executable, "runagent", "runagent.RunAgentClient"),
        "runagent + first client": (sys.executable, "runagent", client),
        **{name: (sys.executable, name, "") for name in _MODULES if peers.installed(name)},
    }
    candidates[UPSTREAM] = (str(upstream_python()), "runagent", "")
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    memory: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(-1, rounds):
        for name, (python, module, then) in candidates.items():
            cost, peak = _import(python, _CODE.format(module=module, then=then))
            if number >= 0:
                seconds[name].append(cost)
                memory[name].append(peak)
    baseline = "httpx" if "httpx" in candidates else "httpx2"
    yield Table(
        "import",
        "ms",
        seconds,
        baseline,
        [Limit("runagent", 50), Limit("runagent", 0.3, "httpx")],
    )
    yield Table(
        "memory of a process that imported it", "MB", memory, baseline, [Limit("runagent", 25)]
    )


def _import(python: str, code: str) -> tuple[float, float]:
    # Upstream's package has the same name: nothing may lead its Python to ours.
    isolated = python != sys.executable
    directory = Path(python).parent
    done = subprocess.run(
        [python, *(["-I"] if isolated else []), "-c", code],
        cwd=directory,
        env=child.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    cost, peak, file = json.loads(done.stdout.splitlines()[-1])
    if isolated and not Path(file).is_relative_to(directory.parent):
        raise RuntimeError(f"{python} imported {file}, which is not its own package")
    return cost, peak


def load_ext(*, rounds: int) -> Iterator[Table]:
    """In a new kernel each time, as a notebook's first cell does it."""
    from jupyter_client.manager import start_new_kernel

    code = (
        "import time; _began = time.perf_counter()\n"
        "get_ipython().run_line_magic('load_ext', {name!r})\n"
        "print((time.perf_counter() - _began) * 1e3)"
    )
    samples: dict[str, list[float]] = {"runagent_jupyter": []}
    for number in range(-1, rounds):
        for name, found in samples.items():
            manager, client = start_new_kernel(kernel_name="python3", env=child.environment())
            try:
                texts: list[str] = []
                reply = client.execute_interactive(
                    code.format(name=name),
                    output_hook=lambda message, texts=texts: texts.append(
                        message["content"].get("text", "")
                    ),
                    timeout=60,
                )
                if reply["content"]["status"] != "ok":
                    raise RuntimeError(f"%load_ext {name} failed: {reply['content']}")
                if number >= 0:
                    found.append(float("".join(texts).split()[-1]))
            finally:
                client.stop_channels()
                manager.shutdown_kernel(now=True)
    yield Table(
        "%load_ext in a started kernel",
        "ms",
        samples,
        "runagent_jupyter",
        [Limit("runagent_jupyter", 150)],
    )
