"""Encrypted connections: which certificates are trusted, and handshakes that stall."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.calls import KINDS, MODES, ask, call
from support.clock import MOMENT, SOON, TIMEOUT
from support.faults import (
    STALL,
    FaultServer,
    Pause,
    answer,
    good,
)

from runagent import (
    AsyncRunAgentClient,
    NetworkError,
    RunAgentClient,
    TimeoutError,  # noqa: A004
    ValidationError,
)
from runagent.async_network import AsyncBackend
from runagent.network import _BlockingBackend

Serve = Callable[..., FaultServer]

CERTS = Path(__file__).parent / "certs"


@pytest.fixture(scope="module")
def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTS / "server.pem")
    return context


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_an_untrusted_certificate_is_refused_at_once(
    kind: str, mode: str, serve: Serve, tls: ssl.SSLContext
) -> None:
    server = serve(good(kind), tls=tls)
    outcome = call(server.url, kind, mode, api_key="k")
    assert type(outcome.error) is NetworkError
    assert outcome.error.attempts == 1
    assert "verify_ssl" in str(outcome.error)
    assert server.exchanges == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["off", "path", "context"])
def test_a_certificate_may_be_trusted(
    how: str, kind: str, mode: str, serve: Serve, tls: ssl.SSLContext
) -> None:
    server = serve(good(kind), tls=tls)
    trusted: Any = {
        "off": False,
        "path": str(CERTS / "ca.pem"),
        "context": ssl.create_default_context(cafile=str(CERTS / "ca.pem")),
    }[how]
    url = server.url.replace("127.0.0.1", "localhost")
    assert call(url, kind, mode, api_key="k", verify_ssl=trusted).error is None


@pytest.mark.parametrize("mode", MODES)
def test_plain_http_where_https_is_expected(mode: str, serve: Serve) -> None:
    server = serve(
        [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
        on_accept=[b"HTTP/1.1 400 Bad\r\n\r\n", Pause(MOMENT)],
    )
    url = server.url.replace("http:", "https:")
    outcome = call(url, "invoke", mode, api_key="k", max_retries=0)
    assert type(outcome.error) is NetworkError


@pytest.mark.parametrize("mode", MODES)
def test_a_stall_in_the_tls_handshake(mode: str, serve: Serve) -> None:
    server = serve([], on_accept=[STALL])
    url = server.url.replace("http:", "https:")
    outcome = call(url, "invoke", mode, api_key="k", timeout=TIMEOUT)
    assert type(outcome.error) is TimeoutError
    assert outcome.seconds < SOON


@pytest.mark.parametrize("mode", MODES)
def test_time_that_is_over_before_the_tls_handshake_leaves_no_socket(
    mode: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams: list[Any] = []
    connect, connect_async = _BlockingBackend.connect_tcp, AsyncBackend.connect_tcp

    def connect_slowly(*args: Any, **kwargs: Any) -> Any:
        streams.append(connect(*args, **kwargs))
        time.sleep(3 * TIMEOUT)
        return streams[0]

    async def connect_slowly_async(*args: Any, **kwargs: Any) -> Any:
        streams.append(await connect_async(*args, **kwargs))
        time.sleep(3 * TIMEOUT)
        return streams[0]

    monkeypatch.setattr(_BlockingBackend, "connect_tcp", connect_slowly)
    monkeypatch.setattr(AsyncBackend, "connect_tcp", connect_slowly_async)
    url = serve([], on_accept=[STALL]).url.replace("http:", "https:")
    outcome = call(url, "invoke", mode, api_key="k", timeout=3 * TIMEOUT, max_retries=0)
    assert type(outcome.error) is TimeoutError
    (stream_,) = streams
    assert stream_.get_extra_info("socket").fileno() == -1


@pytest.mark.parametrize("verify", ["/nowhere/ca.pem", str(CERTS / "README"), 0, None, 3.5])
def test_verify_ssl_must_be_usable(verify: Any) -> None:
    with pytest.raises(ValidationError, match="verify_ssl"):
        RunAgentClient("a", base_url="http://localhost:1", verify_ssl=verify)


def test_a_value_that_is_no_path_is_refused_in_plain_words() -> None:
    with pytest.raises(ValidationError, match="is not True, False, the path to a CA bundle or an"):
        RunAgentClient("a", base_url="http://localhost:1", verify_ssl=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", MODES)
def test_the_environment_may_name_what_is_trusted(
    mode: str, serve: Serve, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTS / "ca.pem"))
    url = serve(answer(), tls=tls).url.replace("127.0.0.1", "localhost")
    assert call(url, "invoke", mode, api_key="k").error is None


@pytest.mark.parametrize("path", ["/nowhere/ca.pem", str(CERTS / "README")])
@pytest.mark.parametrize("kind", [RunAgentClient, AsyncRunAgentClient])
def test_what_the_environment_names_must_be_usable(
    kind: Any, path: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", path)
    with pytest.raises(ValidationError) as caught:
        kind("a", "k")
    assert f"SSL_CERT_FILE={path!r}" in str(caught.value)
    kind("a", "k", verify_ssl=str(CERTS / "ca.pem"))
    assert ask(kind("a", base_url=serve(answer()).url))  # nothing is encrypted, nobody trusted
