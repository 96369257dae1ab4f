"""Chunks from `runagent serve` over a WebSocket, next to the upstream package's own client."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.child import ROOT
from benchmarks.measure import Limit, Run, Table, interleave
from benchmarks.streams import check

sys.path.append(str(ROOT / "tests"))  # the upstream package, and a server of it

UPSTREAM = "runagent 0.1.49 (upstream)"

# Streams once for each line on stdin, and writes how many chunks came and in how many ms.
_CODE = """
import sys, time
from runagent import RunAgentClient
out, sys.stdout = sys.stdout, sys.stderr  # the client writes to stdout
agent, host, port, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
client = RunAgentClient(agent, "many_stream", local=True, host=host, port=port)
for _ in sys.stdin:
    began = time.perf_counter()
    found = sum(1 for _ in client.run_stream(n=count))
    print(found, (time.perf_counter() - began) * 1e3, file=out, flush=True)
"""


@contextmanager
def upstream_client(agent: str, url: str, count: int, root: str) -> Iterator[Run]:
    """Run the upstream package's client in a process of its own; yield what has it stream once."""
    from support.isolation import isolated_environment
    from support.upstream import upstream_python

    address = urlsplit(url)
    process = subprocess.Popen(
        [
            *(str(upstream_python()), "-I", "-c", _CODE),
            *(agent, str(address.hostname), str(address.port), str(count)),
        ],
        env=isolated_environment(Path(root)),
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def run() -> float:
        stdin.write("\n")
        stdin.flush()
        found, took = stdout.readline().split()
        check(UPSTREAM, int(found), count)
        return float(took)

    try:
        yield run
    finally:
        stdin.close()
        process.wait(10)
        stdout.close()


def stream(*, rounds: int, count: int) -> Iterator[Table]:
    from support.upstream_server import AGENT_ID, upstream_server

    import runagent

    with (
        tempfile.TemporaryDirectory() as root,
        upstream_server(Path(root)) as server,
        runagent.RunAgentClient(AGENT_ID, "", server.url) as client,
        upstream_client(AGENT_ID, server.url, count, root) as theirs,
    ):

        def ours() -> float:
            began = time.perf_counter()
            chunks = client.run_stream({"n": count}, entrypoint="many_stream")
            check("runagent", sum(1 for _ in chunks), count)
            return (time.perf_counter() - began) * 1e3

        samples = interleave({"runagent": ours, UPSTREAM: theirs}, rounds)
    name = f"{count:,} chunks from `runagent serve`"
    yield Table(name, "ms", samples, UPSTREAM, [Limit("runagent", 1.0, UPSTREAM)])
