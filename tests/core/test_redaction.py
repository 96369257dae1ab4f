"""Secrets that a server echoes, in whatever encoding, are taken out of errors and log lines."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import logging
import random
import string
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import websockets as ws
from support.calls import KINDS, MODES, arun, call, run
from support.clock import PATIENCE, TICK, stretched
from support.faults import LAST_FRAME, STALL, Script, answer, error, frame, head
from support.websockets import UPGRADE, WebSocketServer

from runagent import AsyncRunAgentClient, RunAgentClient, RunAgentError, StreamError
from runagent.redaction import Redactor

Serve = Callable[..., WebSocketServer]
WIRES = ("rest", "server")

KEY = "sk-" + "planted/4711" + "+aBcD_eF=gh"
TOKEN = "tk." + "header" + "-value~99"


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server with these scripts."""
    with ExitStack() as stack:
        yield lambda *scripts, **options: stack.enter_context(WebSocketServer(*scripts, **options))


def escaped(form: str) -> Callable[[str], str]:
    """Return an encoder that writes every character by its code."""
    return lambda text: "".join(form.format(ord(char)) for char in text)


ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper case": str.upper,
    "lower case": str.lower,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 without padding": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 for URLs without padding": lambda text: (
        base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    ),
    "base64 in a URL": lambda text: quote(base64.b64encode(text.encode()), safe=""),
    "percent": lambda text: quote(text, safe=""),
    "percent with slashes": quote,
    "percent of forms": quote_plus,
    "percent in lower case": lambda text: quote(text, safe="").lower(),
    "percent in upper case": lambda text: quote(text, safe="").upper(),
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "percent of everything": escaped("%{:02X}"),
    "percent of everything in lower case": escaped("%{:02x}"),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal in upper case": lambda text: text.encode().hex().upper(),
    "hexadecimal with colons": lambda text: text.encode().hex(":"),
    "hexadecimal with spaces": lambda text: text.encode().hex(" "),
    "JSON": json.dumps,
    "JSON with slashes": lambda text: json.dumps(text).replace("/", "\\/"),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "JSON that is safe in HTML": lambda text: (
        text.replace("=", "\\u003d").replace("+", "\\u002B").replace("/", "\\u002f")
    ),
    "JSON of everything": escaped("\\u{:04x}"),
    "Python": repr,
    "Python's bytes": lambda text: repr(text.encode()),
    "bytes of everything": escaped("\\x{:02x}"),
    "HTML": html.escape,
    "HTML by names": lambda text: text.replace("/", "&sol;").replace("=", "&equals;"),
    "HTML by numbers": lambda text: text.replace("/", "&#47;").replace("=", "&#x3D;"),
    "HTML twice": lambda text: html.escape(text.replace("/", "&#47;")),
    "HTML of everything": escaped("&#{:d};"),
    "HTML of everything in hexadecimal": escaped("&#x{:x};"),
}


def left_of(secret: str, text: str) -> bool:
    """Return whether half of a secret in any encoding is left in a text."""
    half = secret[: len(secret) // 2]
    lower = text.lower()
    encoded = {encode(half).strip("\"'\\=").removeprefix("b'") for encode in ENCODINGS.values()}
    return any(one[: len(one) - 2].lower() in lower for one in encoded)


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_encoding_is_found(name: str) -> None:
    redact = Redactor.of(KEY, {"X-Token": TOKEN})
    for secret, placeholder in ((KEY, "[api key]"), (TOKEN, "[header X-Token]")):
        sent = f"before {ENCODINGS[name](secret)} after"
        shown = redact(sent)
        assert placeholder in shown
        assert not left_of(secret, shown), shown
        assert shown.startswith("before ")
        assert shown.endswith(" after")
        assert redact(shown) == shown


@given(before=st.binary(max_size=7), after=st.binary(max_size=7), for_urls=st.booleans())
def test_base64_of_more_than_the_secret(before: bytes, after: bytes, for_urls: bool) -> None:
    encode = base64.urlsafe_b64encode if for_urls else base64.b64encode
    shown = Redactor.of(KEY, {})(encode(before + KEY.encode() + after).decode())
    assert "[api key]" in shown
    assert len(shown) <= len("[api key]") + 4 * 7


secrets = st.text(
    string.ascii_letters + string.digits + string.punctuation, min_size=8, max_size=60
)


@given(secret=secrets, name=st.sampled_from(sorted(ENCODINGS)))
def test_any_secret_in_any_encoding(secret: str, name: str) -> None:
    if "%" in secret and "twice" in name:
        return  # what is a percent sign of its own and what an encoded one is not known
    shown = Redactor.of(secret, {})(f"{ENCODINGS[name](secret)}")
    assert "[api key]" in shown
    assert len(shown) <= len("[api key]") + 8


@given(text=st.text(max_size=200))
def test_other_texts_stay_as_they_are(text: str) -> None:
    value = {"a": [text, {text: text}], "b": 1}
    assert Redactor.of(KEY, {"X-Token": TOKEN})(value) is value


# Which values of headers


@pytest.mark.parametrize(
    ("name", "value", "said", "shown"),
    [
        ("Authorization", "Bearer abcdefgh1", "Bearer abcdefgh1, abcdefgh1", "*, *"),
        ("authorization", "Basic bWU6c2VjcmV0", "bWU6c2VjcmV0 is me:secret", "* is *"),
        ("authorization", "Basic bWU6c2VjcmV0", "the secret is out", "the * is out"),
        ("Cookie", "a=12345678; b=87654321", "87654321 and 12345678", "* and *"),
        ("X-Api-Key", "abc", "the key abc, abcd", "the key *, abcd"),
        ("X-Api-Key", "a", "This is a problem", "This is a problem"),
        ("X-Project", "project-4711", "no project-4711 here", "no * here"),
        ("X-Project", "four", "all four are down", "all four are down"),
        ("X-Request-ID", "request-4711", "request-4711", "request-4711"),
        ("Accept", "application/json", "application/json", "application/json"),
        ("Content-Type", "application/json", "application/json", "application/json"),
        ("Traceparent", "00-aaaaaaaaaaaaaaaa-01", "00-aaaaaaaaaaaaaaaa-01",
         "00-aaaaaaaaaaaaaaaa-01"),
    ],
)  # fmt: skip
def test_values_of_headers(name: str, value: str, said: str, shown: str) -> None:
    assert Redactor.of(None, {name: value})(said) == shown.replace("*", f"[header {name}]")


def test_the_password_of_a_proxy() -> None:
    redact = Redactor.of(None, {}, ["http://me:p%40ssw0rd-1@localhost:8080", "nonsense://["])
    assert redact("p@ssw0rd-1 and p%40ssw0rd-1") == "[proxy password] and [proxy password]"
    short = Redactor.of(None, {}, ["http://somebody:pw@localhost:8080"])
    assert short(base64.b64encode(b"somebody:pw").decode()) == "[proxy password]"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("given", [True, False], ids=["argument", "environment"])
def test_a_proxy_that_echoes_its_password(
    given: bool, mode: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    echo = base64.b64encode(b"me:proxy-pass-1").decode()
    server = serve(answer(f"Unknown: {echo}", 407))
    proxy = server.url.replace("//", "//me:proxy-pass-1@")
    if not given:
        monkeypatch.setenv("http_proxy", proxy)
    options = {"proxy": proxy} if given else {}
    outcome = call("http://agents.example", "invoke", mode, api_key="", **options)
    assert server.last.headers["proxy-authorization"] == f"Basic {echo}"
    assert echo not in str(outcome.error)
    assert "[proxy password]" in str(outcome.error)


@pytest.mark.parametrize("word", ["a", "I", "e", "1", "is", "no"])
def test_a_key_that_is_a_word_does_not_garble_messages(word: str) -> None:
    redact = Redactor.of(word, {})
    said = f"This is a problem, I see: no. 1 {word} {word}, ({word}) of {word}."
    assert redact(said) == said
    assert redact(f"The key {word}, token={word}&") == "The key [api key], token=[api key]&"
    assert redact({word: [word, f"{word} {word}"]}) == {word: ["[api key]", f"{word} {word}"]}


# Cost


def seconds_for(redact: Redactor, value: Any) -> float:
    began = time.process_time()
    redact(value)
    return time.process_time() - began


def texts(key: str, size: int) -> Iterator[Any]:
    """Yield values of about `size` characters that are hard in different ways."""
    chance = random.Random(4711)
    letters = string.ascii_lowercase + " ,.='\"%\\&#"
    text = "".join(chance.choices(letters, k=size))
    yield text
    yield f"{text} key {key}"
    yield f"{text[:100]}={key} " * (size // 110)
    yield key * (size // len(key))
    yield key[0] * size + key
    for char in "\\%&=":
        yield char * size + key
    yield [text[start : start + 50] for start in range(0, size, 50)]


@pytest.mark.parametrize("key", ["k", "ab", "test", KEY, "\\" * 9, "%25" * 9, "a" * 200])
def test_redaction_is_linear(key: str) -> None:
    redact = Redactor.of(key, {"X-Token": TOKEN})
    redact(f"token={key}")  # makes the patterns
    for small, large in zip(texts(key, 20_000), texts(key, 320_000), strict=True):
        # 16 times as much; the tolerance is for what is not the text's, and for a busy machine.
        allowed = 16 * 4 * seconds_for(redact, small) + stretched(0.15)
        assert seconds_for(redact, large) < allowed


def test_details_may_be_nested_without_end() -> None:
    value: Any = KEY
    for _ in range(50_000):
        value = {"d": [value]}
    shown = Redactor.of(KEY, {})(value)
    depth = 0
    while not isinstance(shown, str):
        shown, depth = shown["d"][0], depth + 1
    assert (shown, depth) == ("[api key]", 50_000)
    while isinstance(value, dict):  # piece by piece: to free it at once takes a deep stack
        value = value.pop("d").pop()


# Everywhere a server's words get to


def failing(wire: str, text: str, where: str) -> Script:
    """Return an answer that fails and echoes a text."""
    line = f"X-Request-ID: {text}"
    if where == "message":
        return error(400, "X", message=f"no {text}", details={"sent": [{text: text}]})
    if where == "page":
        return answer(f"<p>{text}</p>", 500, content_type="text/html")
    if where == "request id":
        return error(400, "X", line)
    if where == "reason":
        return [f"HTTP/1.1 400 {text}\r\nContent-Length: 0\r\nX-A: {text}\r\n\r\n".encode()]
    if wire == "server":
        return [
            UPGRADE + ws.status("stream_started", request_id=text) + ws.chunk("a"),
            ws.message({"type": "error", "error": f"no {text}", "code": "X"}),
            STALL,
        ]
    event = f"event: error\ndata: {json.dumps({'error': f'no {text}', 'code': text})}\n\n"
    events = [head(200, "text/event-stream", "Transfer-Encoding: chunked", line)]
    return [*events, frame(ws_chunk("a") + event.encode()), LAST_FRAME]


def ws_chunk(text: str) -> bytes:
    return b'event: chunk\ndata: {"content": "%b"}\n\n' % text.encode()


def all_of(exc: BaseException | None) -> Iterator[str]:
    """Yield all the text of an exception and of those it came from."""
    while exc is not None:
        yield from (str(exc), repr(exc), repr(vars(exc)), repr(exc.args))
        assert exc.__context__ is None or exc.__context__ is exc.__cause__
        exc = exc.__cause__


PLACES = ["message", "page", "request id", "reason", "event"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("encoding", ["as it is", "base64", "percent", "upper case"])
def test_echoes_are_shown_nowhere(
    encoding: str, where: str, wire: str, mode: str, serve: Serve, caplog: Any
) -> None:
    names = ("", "runagent", "httpx2", "httpcore2")
    for name in names:
        caplog.set_level(logging.DEBUG, name)
    once = "once-" + "given-1234"
    for secret in (KEY, TOKEN, once):
        script = failing(wire, ENCODINGS[encoding](secret), where)
        server = serve(script, lines=[f"X-Request-ID: {ENCODINGS[encoding](secret)}"])
        options: Any = {
            "protocol": wire, "headers": {"X-Token": TOKEN}, "max_retries": 1, "retry_delay": TICK
        }  # fmt: skip
        exc = failure(server, mode, options, {"X-Once": once}, streams=where == "event")
        assert isinstance(exc, StreamError if where == "event" else RunAgentError)
        for text in (*all_of(exc), caplog.text):
            assert not left_of(secret, text), text


def failure(
    server: WebSocketServer, mode: str, options: Any, headers: dict[str, str], *, streams: bool
) -> RunAgentError | None:
    """Make a call that fails; return the error."""
    kind = "stream" if streams else "invoke"
    if mode == "sync":
        with RunAgentClient("a", KEY, server.url, PATIENCE, **options) as client:
            try:
                run(client, kind, headers=headers)
            except RunAgentError as exc:
                return exc
        return None

    async def main() -> RunAgentError | None:
        async with AsyncRunAgentClient("a", KEY, server.url, PATIENCE, **options) as client:
            try:
                await arun(client, kind, headers=headers)
            except RunAgentError as exc:
                return exc
        return None

    return asyncio.run(main())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_is_the_users_and_stays_as_it_is(kind: str, mode: str, serve: Serve) -> None:
    said = f"You sent {KEY}"
    frames = [head(200, "text/event-stream", "Transfer-Encoding: chunked")]
    frames += [frame(ws_chunk(said) + b"event: done\ndata: {}\n\n"), LAST_FRAME]
    server = serve(answer({"result": {"answer": said}}) if kind == "invoke" else frames)
    outcome = call(server.url, kind, mode, api_key=KEY)
    assert outcome.value == ({"answer": said} if kind == "invoke" else said)


@pytest.mark.parametrize("mode", MODES)
def test_the_text_of_a_stream_that_failed_is_an_answer_too(mode: str, serve: Serve) -> None:
    events = head(200, "text/event-stream", "Transfer-Encoding: chunked")
    server = serve([events, frame(ws_chunk(f"You sent {KEY}")), LAST_FRAME])
    exc = call(server.url, "stream", mode, api_key=KEY).error
    assert isinstance(exc, StreamError)
    assert exc.text == f"You sent {KEY}"


def test_notes_are_redacted() -> None:
    exc = RunAgentError("failed")
    exc.__notes__ = [f"sent {KEY}"]  # type: ignore[attr-defined] # as add_note of Python 3.11 does
    from runagent.failures import presentable

    assert "planted" not in repr(vars(presentable(exc, Redactor.of(KEY, {}))))
