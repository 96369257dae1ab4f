"""Which hosts are this machine, however they are spelt."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from support.calls import MODES, call
from support.faults import FaultServer, good

from runagent import AuthenticationError, RunAgentClient, ValidationError, local

HERE = [
    "127.0.0.1",
    "127.255.0.3",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7F.1",
    "0177.0.0.1",
    "0.0.0.0",
    "0",
    "localhost",
    "LOCALHOST",
    "LocalHost.",
    "agents.localhost",
    "agents.localhost.",
    "127.0.0.1.",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::FFFF:7f00:1]",
    "[::ffff:0.0.0.0]",
    "[::1%25lo]",
]
ELSEWHERE = [
    "10.0.0.1",
    "128.1",
    "192.168.1",
    "1.127",
    "126.255.255.255",
    "0x7e.1",
    "4294967297",
    "1.2.3.4.5",
    "0x",
    "localhost.example.org",
    "notlocalhost",
    "127.0.0.1.example.org",
    "127.1.example",
    "a.b",
    "face",
    "[::2]",
    "[::ffff:10.0.0.1]",
    "[fe80::1]",
    "[64:ff9b::7f00:1]",
]


@pytest.mark.parametrize("host", HERE)
def test_no_key_and_no_encryption_is_asked_for_on_this_machine(host: str) -> None:
    client = RunAgentClient("a", base_url=f"http://{host}:8450")
    assert client.base_url == f"http://{host}:8450"
    RunAgentClient("a", "key", f"http://{host}")


@pytest.mark.parametrize("host", ELSEWHERE)
def test_a_key_and_encryption_are_asked_for_elsewhere(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AuthenticationError, match="There is no API key"):
        RunAgentClient("a", base_url=f"https://{host}")
    with pytest.raises(ValidationError, match="unencrypted"):
        RunAgentClient("a", "key", f"http://{host}:8450")
    monkeypatch.setenv("RUNAGENT_ALLOW_HTTP", "1")
    RunAgentClient("a", "key", f"http://{host}:8450")


REACHABLE = ["127.0.0.1", "0.0.0.0", "127.1", "[::ffff:127.0.0.1]", "LOCALHOST"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("host", REACHABLE)
def test_what_is_this_machine_is_reached(
    host: str, mode: str, serve: Callable[..., FaultServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    if host.startswith("["):
        try:
            socket.socket(socket.AF_INET6).close()
        except OSError:
            pytest.skip("this machine has no IPv6")
    # Nothing of this machine's goes through a proxy.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server = serve(good("invoke"))
    port = server.url.rpartition(":")[2]
    assert call(f"http://{host}:{port}", "invoke", mode).error is None


@pytest.mark.parametrize("host", HERE)
def test_the_local_server_answers_to_every_name_of_this_machine(host: str) -> None:
    def ask(name: str) -> Any:
        headers = {"Host": name}
        return httpx2.get(f"{server.url}/v1/agents/a/health", headers=headers, trust_env=False)

    with local.serve({"a": lambda query="": query}) as server:
        assert ask(f"{host}:{server.port}").status_code == 200
        for other in ("example.org", "127.0.0.1.example.org", "10.0.0.1"):
            assert ask(other).status_code == 421
