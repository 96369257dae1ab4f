"""Access to the local server: the key, and the checks that keep web pages out."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest
from support.callers import Caller

from runagent.local import serve

Start = Callable[..., Caller]
JSON = {"content-type": "application/json"}


def agent(**_: object) -> str:
    return "called"


def post(caller: Caller, path: str = "/v1/agents/a/invoke", **headers: str) -> httpx2.Response:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return caller.http.post(path, content=b"{}", headers={**JSON, **fields})


def test_the_right_key_opens(start: Start) -> None:
    caller = start(agent, api_key="open-sesame")
    assert post(caller, authorization="Bearer open-sesame").json()["result"] == "called"
    assert post(caller, authorization="bearer open-sesame").status_code == 200


@pytest.mark.parametrize(
    "authorization",
    ["Bearer wrong", "Bearer sesam", "Bearer", "Basic sesame", "sesame", "Bearer \xe9"],
)
@pytest.mark.parametrize(
    "path", ["/v1/agents/a/invoke", "/v1/agents/a/stream", "/v1/agents/x/invoke"]
)
def test_another_key_does_not(start: Start, authorization: str, path: str) -> None:
    caller = start(agent, api_key="sesame")
    answer = caller.http.post(
        path,
        content=b"{}",
        headers=[
            (b"content-type", b"application/json"),
            (b"authorization", authorization.encode("latin-1")),
        ],
    )
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "INVALID_API_KEY"
    assert "sesame" not in answer.text


def test_no_key_does_not(start: Start) -> None:
    caller = start(agent, api_key="sesame")
    answer = post(caller)
    assert answer.status_code == 401
    assert answer.json()["error"]["message"] == "The request has no API key."
    assert caller.http.get("/v1/agents/a/health").status_code == 401


def test_a_key_is_refused_before_a_large_body_is_read(start: Start) -> None:
    caller = start(agent, api_key="sesame")
    answer = caller.http.post("/v1/agents/a/invoke", content=b" " * 30_000_000, headers=JSON)
    assert answer.status_code == 401


@pytest.mark.parametrize("api_key", ["", "a\nb", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused(api_key: str) -> None:
    with pytest.raises(ValueError, match="api_key"):
        serve(agent, api_key=api_key)


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
        "application/jsonx",
    ],
)
def test_a_body_that_a_web_page_may_send_unasked_is_refused(
    start: Start, content_type: str
) -> None:
    answer = post(start(agent), content_type=content_type)
    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "UNSUPPORTED_MEDIA_TYPE"


def test_a_body_without_a_type_is_refused(start: Start) -> None:
    answer = start(agent).http.post("/v1/agents/a/invoke", content=b"{}")
    assert answer.status_code == 415
    assert "this request has none" in answer.json()["error"]["message"]


def test_browsers_get_no_permission_when_they_ask(start: Start) -> None:
    answer = start(agent).http.options(
        "/v1/agents/a/invoke",
        headers={"origin": "https://evil.example", "access-control-request-method": "POST"},
    )
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "",
        "[::",
        "10.0.0.1",
        "127.0.0.1@evil.example",
        "localhost.evil.example",
    ],
)
def test_another_host_is_refused_on_loopback(start: Start, host: str) -> None:
    caller = start(agent)
    answer = post(caller, host=host)
    assert answer.status_code == 421
    assert answer.json()["error"]["code"] == "MISDIRECTED_REQUEST"
    health = caller.http.get("/v1/agents/a/health", headers={"host": host})
    assert health.status_code == 421


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.1.2.3:80", "[::1]:8000"]
)
def test_loopback_hosts_are_welcome(start: Start, host: str) -> None:
    assert post(start(agent), host=host).status_code == 200


def test_any_host_is_welcome_where_the_server_was_told_to_listen(start: Start) -> None:
    caller = start(agent, host="0.0.0.0")
    assert not caller.server.is_loopback
    assert caller.server.url.startswith("http://127.0.0.1:")
    assert post(caller, host="my-machine.example").status_code == 200


def test_a_body_beyond_the_limit_is_refused(start: Start) -> None:
    caller = start(agent, max_body=1000)
    exact = b'{"x":"' + b"x" * 992 + b'"}'
    assert len(exact) == 1000
    assert caller.http.post("/v1/agents/a/invoke", content=exact, headers=JSON).status_code == 200

    def pieces(count: int):  # type: ignore[no-untyped-def]
        for _ in range(count):
            yield b" " * 1000

    for body in (exact + b" ", pieces(2), pieces(5000)):
        answer = caller.http.post("/v1/agents/a/invoke", content=body, headers=JSON)
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "PAYLOAD_TOO_LARGE"
        assert "1,000 bytes" in answer.json()["error"]["message"]
