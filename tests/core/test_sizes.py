"""Large inputs and answers: memory stays small, limits hold, and a refusal is heard at once."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from support.calls import KINDS, MODES, call
from support.clock import PATIENCE
from support.faults import (
    LAST_FRAME,
    SSE_HEAD,
    FaultServer,
    Repeat,
    answer,
    chunk,
    error,
    frame,
    head,
    stream,
)

from runagent import (
    RunAgentClient,
    RunAgentError,
    StreamError,
)

Serve = Callable[..., FaultServer]


by_mode = pytest.mark.parametrize("mode", MODES)

HUNGRY = """
import resource, sys
from runagent import RunAgentClient, RunAgentError
url, kind, timeout = sys.argv[1:]
client = RunAgentClient("a", base_url=url, max_message_size=1_000_000, timeout=float(timeout))
client.run_generic({})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    client.run_generic({}) if kind == "invoke" else list(client.run_generic_stream({}))
except RunAgentError as exc:
    print(exc.code, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@by_mode
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stays", [True, False])
def test_an_early_answer_to_a_large_input_is_heard(stays: bool, kind: str, mode: str) -> None:
    """The server answers and closes, or answers and waits, before it has read the input."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(1000)
                sock.sendall(
                    b"".join(step for step in error(413, "TOO_BIG") if isinstance(step, bytes))
                )
                if stays:
                    sock.shutdown(socket.SHUT_WR)
                    while sock.recv(65536):
                        pass

        thread = threading.Thread(target=refuse)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        problem = call(url, kind, mode, {"query": "x" * 20_000_000}, max_retries=0).error
        thread.join()
    assert isinstance(problem, RunAgentError)
    assert (problem.code, problem.status_code) == ("TOO_BIG", 413)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured in Linux's units")
@pytest.mark.parametrize("kind", ["invoke", "stream"])
def test_100_mb_without_a_newline_take_little_memory(kind: str, serve: Serve) -> None:
    flood = Repeat(frame(b"x" * 65536), 1600)
    begin = (
        SSE_HEAD
        if kind == "stream"
        else head(200, "application/json", "Transfer-Encoding: chunked")
    )
    server = serve(answer(), [begin, flood, LAST_FRAME])
    done = subprocess.run(
        [sys.executable, "-c", HUNGRY, server.url, kind, str(PATIENCE)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    code, megabytes = done.stdout.split()
    assert code == "MESSAGE_TOO_LARGE"
    assert int(megabytes) < 30


def test_the_limit_is_the_users_to_set(serve: Serve) -> None:
    server = serve(answer({"result": "x" * 2000}), stream("y" * 2000))
    with RunAgentClient("a", base_url=server.url, max_message_size=1000) as client:
        with pytest.raises(RunAgentError, match="max_message_size") as caught:
            client.run_generic({})
        assert caught.value.code == "MESSAGE_TOO_LARGE"
        with pytest.raises(StreamError, match="max_message_size"):
            list(client.run_generic_stream({}))
        with client.with_options(max_message_size=5000) as larger:
            assert list(larger.run_generic_stream({})) == ["y" * 2000]


def test_streams_of_any_length_have_no_limit(serve: Serve) -> None:
    server = serve([SSE_HEAD, Repeat(frame(chunk("x" * 1000)), 300), *stream()[1:]])
    with RunAgentClient("a", base_url=server.url, max_message_size=2000) as client:
        assert len("".join(client.run_generic_stream({}))) == 300_000
