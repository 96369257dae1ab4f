"""Proxies: those that are asked for, and those of the environment."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest
from support.calls import MODES, call
from support.faults import (
    FaultServer,
    answer,
)

from runagent import (
    NetworkError,
    RunAgentClient,
    ValidationError,
)

Serve = Callable[..., FaultServer]


@pytest.mark.parametrize("mode", MODES)
def test_a_proxy_is_used_when_asked_for(mode: str, serve: Serve) -> None:
    proxy = serve(answer())
    outcome = call("http://127.0.0.1:9", "invoke", mode, proxy=proxy.url.replace("//", "//me:pw@"))
    assert outcome.value == {"answer": "ok"}
    assert proxy.last.target == "http://127.0.0.1:9/v1/agents/a/invoke"
    assert proxy.last.headers["proxy-authorization"].startswith("Basic ")


@pytest.mark.parametrize("mode", MODES)
def test_the_proxies_of_the_environment_are_for_other_machines(
    mode: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, server = serve(answer({"result": {"answer": "proxied"}})), serve(answer())
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    assert call(server.url, "invoke", mode).value == {"answer": "ok"}
    assert proxy.connections == 0
    remote = call("http://agents.example", "invoke", mode, api_key="")
    assert remote.value == {"answer": "proxied"}
    assert proxy.last.target == "http://agents.example/v1/agents/a/invoke"
    monkeypatch.setenv("NO_PROXY", ".invalid")
    spared = call("http://agents.invalid", "invoke", mode, api_key="", max_retries=0)
    assert type(spared.error) is NetworkError
    assert proxy.connections == 1


@pytest.mark.skipif(find_spec("socksio") is not None, reason="SOCKS proxies can be used")
@pytest.mark.parametrize("mode", MODES)
def test_a_socks_proxy_is_for_other_machines_and_needs_a_package(
    mode: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "socks5://127.0.0.1:9")
    assert call(serve(answer()).url, "invoke", mode).value == {"answer": "ok"}
    remote = call("http://agents.example", "invoke", mode, api_key="")
    assert type(remote.error) is ValidationError
    assert 'pip install "httpx2[socks]"' in str(remote.error)


@pytest.mark.parametrize("mode", MODES)
def test_https_goes_through_a_tunnel(mode: str, serve: Serve) -> None:
    proxy = serve([b"HTTP/1.1 403 Forbidden\r\n\r\n"])
    outcome = call(
        "https://agents.example", "invoke", mode, api_key="planted", proxy=proxy.url, max_retries=1
    )
    assert type(outcome.error) is NetworkError
    assert "through the proxy: 403 Forbidden. " in str(outcome.error)
    assert "HTTPS_PROXY" in str(outcome.error)
    assert proxy.last.head.startswith(b"CONNECT agents.example:443 ")
    assert all(b"planted" not in e.head for e in proxy.exchanges)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("url", ["http://agents.example", "https://agents.example"])
def test_a_proxy_that_asks_for_a_password_is_named(url: str, mode: str, serve: Serve) -> None:
    proxy = serve(answer("Who are you?", 407, "Proxy-Authenticate: Basic"))
    problem = call(url, "invoke", mode, api_key="", proxy=proxy.url, max_retries=0).error
    assert problem is not None
    assert "407" in str(problem)
    assert "proxy=" in str(problem.hint)
    assert "Is the server running?" not in str(problem)


@pytest.mark.parametrize("proxy", ["nonsense", "ftp://localhost", "http://", 7])
def test_a_proxy_must_be_one(proxy: Any) -> None:
    with pytest.raises(ValidationError, match="proxy"):
        RunAgentClient("a", base_url="http://localhost:1", proxy=proxy)


@pytest.mark.parametrize("mode", MODES)
def test_a_proxy_in_the_environment_must_be_one(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "nonsense://localhost")
    outcome = call("http://agents.example", "invoke", mode, api_key="")
    assert type(outcome.error) is ValidationError
    assert "proxy" in str(outcome.error)
