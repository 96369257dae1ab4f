"""Settings: argument, environment, file, default, in this order; a bad value names its source."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from runagent import (
    AsyncRunAgentClient,
    AuthenticationError,
    NetworkError,
    RunAgentClient,
    ValidationError,
    config_file,
)

LOCAL = "http://localhost:8000"


def each(argument: str, *values: Any) -> list[tuple[str, Any]]:
    return [(argument, value) for value in values]


def write(home: Path, content: Any, mode: int = 0o600) -> Path:
    path = home / ".runagent" / "config.json"
    path.parent.mkdir(exist_ok=True)
    if path.exists():
        path.unlink()
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    path.chmod(mode)
    return path


def test_the_order(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = RunAgentClient("a", "k")
    assert (client.base_url, client.timeout) == ("https://api.run-agent.ai", 30)
    write(
        home,
        {
            "api_key": "file",
            "api_url": "https://file.example",
            "timeout": 10,
            "retry_config": {"max_retries": 1, "retry_delay": 0.1, "retry_backoff": 3},
            "protocol": "rest",
        },
    )
    client = RunAgentClient("a")
    settings = client._settings
    assert (client.base_url, client.timeout) == ("https://file.example", 10)
    assert (settings.max_retries, settings.retry_delay, settings.retry_backoff) == (1, 0.1, 3)
    assert (settings.api_key, settings.protocol) == ("file", "rest")
    monkeypatch.setenv("RUNAGENT_API_KEY", " env\n")
    monkeypatch.setenv("RUNAGENT_API_URL", "https://env.example/v1/")
    monkeypatch.setenv("RUNAGENT_TIMEOUT", "2.5")
    client = RunAgentClient("a")
    assert (client.base_url, client.timeout) == ("https://env.example", 2.5)
    assert client._settings.api_key == "env"
    client = RunAgentClient("a", "arg", "https://arg.example", 7, 0, retry_delay=0, retry_backoff=1)
    assert (client.base_url, client.timeout) == ("https://arg.example", 7)
    assert (client._settings.api_key, client._settings.max_retries) == ("arg", 0)


def test_a_default_given_by_the_user_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNAGENT_TIMEOUT", "5")
    assert RunAgentClient("a", "k").timeout == 5
    assert RunAgentClient("a", "k", timeout=30).timeout == 30
    assert RunAgentClient("a", "k", timeout=None).timeout == 5


def test_empty_variables_are_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RUNAGENT_API_KEY", "RUNAGENT_API_URL", "RUNAGENT_TIMEOUT", "RUNAGENT_LOG_LEVEL"):
        monkeypatch.setenv(name, "  ")
    assert RunAgentClient("a", "k").timeout == 30


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("RUNAGENT_TIMEOUT", "abc", "RUNAGENT_TIMEOUT='abc' is not a number of seconds"),
        ("RUNAGENT_TIMEOUT", "-1", "RUNAGENT_TIMEOUT="),
        ("RUNAGENT_TIMEOUT", "nan", "RUNAGENT_TIMEOUT="),
        ("RUNAGENT_API_URL", "api.run-agent.ai", "RUNAGENT_API_URL"),
        ("RUNAGENT_API_URL", "ftp://x", "The base URL 'ftp://x' from RUNAGENT_API_URL is not one"),
        ("RUNAGENT_API_URL", "http://a b", "RUNAGENT_API_URL has a space or an invisible"),
        ("RUNAGENT_API_KEY", "two words", "RUNAGENT_API_KEY"),
        ("RUNAGENT_PROTOCOL", "grpc", "RUNAGENT_PROTOCOL='grpc' is not a protocol"),
        ("RUNAGENT_LOG_LEVEL", "LOUD", "RUNAGENT_LOG_LEVEL='LOUD' is not a log level"),
        ("RUNAGENT_ALLOW_HTTP", "maybe", "RUNAGENT_ALLOW_HTTP='maybe'"),
    ],
)
def test_a_bad_variable_is_named(
    variable: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNAGENT_API_URL", "http://remote.example")
    monkeypatch.setenv("RUNAGENT_API_KEY", "key")
    monkeypatch.setenv(variable, value)
    if variable != "RUNAGENT_ALLOW_HTTP":
        monkeypatch.setenv("RUNAGENT_ALLOW_HTTP", "1")
    with pytest.raises(ValidationError) as caught:
        RunAgentClient("a")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *each("timeout", 0, -1, -math.inf, math.nan, "x", True, False, [], "0"),
        *each("max_retries", -1, 1.5, "x", math.inf, math.nan, True, []),
        *each("retry_delay", -1, math.inf, math.nan, "x", {}),
        *each("retry_backoff", 0.5, -1, math.inf, math.nan, "x"),
        *each("connection_pool_size", 0, -1, 1.5, "9", None, True),
        *each("max_message_size", 0, -1, 1.5, "9", None, True),
        *each("protocol", "REST", "", 7, []),
        *each(
            "base_url",
            "",
            "example.org",
            "ftp://x",
            "https://",
            "https:///v1",
            "http://a b",
            "https://x/?q=1",
            "https://x/#f",
            "http://[::1",
            "http://x:99999",
            "https://u:p@x",
            "https://a..b",
            "https://" + "a" * 64 + ".org",
            "http://x\n",
            7,
            b"http://x",
        ),
        *each(
            "headers",
            "x",
            [("a", "b")],
            {"a b": "c"},
            {"": "c"},
            {"a": 1},
            {"a": "b\r\nc: d"},
            {"a": "é"},
            {"a": " b"},
            {"a": "b\n"},
            {1: "b"},
            {"Content-Length": "3"},
            {"transfer-encoding": "chunked"},
            {"X-A": "1", "x-a": "2"},
        ),
        *each(
            "agent_id",
            "",
            " ",
            "../x",
            "..",
            ".",
            "a/../b",
            "a\\..\\b",
            "a\nb",
            "a\0",
            "\x7f",
            " a",
            None,
            7,
            b"a",
        ),
        ("api_key", "schlüssel"),
        ("api_key", 7),
        ("allow_http", "perhaps"),
    ],
)
@pytest.mark.parametrize("kind", [RunAgentClient, AsyncRunAgentClient])
def test_a_bad_argument_is_refused_at_once(kind: Any, argument: str, value: Any) -> None:
    arguments: dict[str, Any] = {"agent_id": "a", "base_url": LOCAL, argument: value}
    if argument == "allow_http":
        arguments |= {"base_url": "http://remote.example", "api_key": "k"}
    with pytest.raises(ValidationError) as caught:
        kind(**arguments)
    name = {"base_url": "base", "api_key": "key"}.get(argument, argument)
    assert name in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://x.example", "https://x.example"),
        ("https://x.example/", "https://x.example"),
        ("https://x.example/v1", "https://x.example"),
        ("https://x.example/v1/", "https://x.example"),
        ("  https://x.example//  ", "https://x.example"),
        ("HTTPS://x.example:8443/agents/v1", "https://x.example:8443/agents"),
        ("https://x.example/v10", "https://x.example/v10"),
        ("http://[::1]:8000/v1", "http://[::1]:8000"),
        ("http://127.0.0.1:80", "http://127.0.0.1:80"),
        ("http://agents.localhost", "http://agents.localhost"),
        ("https://x.example.", "https://x.example."),
        ("https://bücher.example", "https://bücher.example"),
    ],
)
def test_spellings_of_the_base_url(url: str, base: str) -> None:
    assert RunAgentClient("a", "k", url).base_url == base


@pytest.mark.parametrize("value", [5, 0.5, "5", math.inf, "inf", 1e300])
def test_timeouts(value: Any) -> None:
    expected = math.inf if float(value) > 1e12 else float(value)
    assert RunAgentClient("a", "k", timeout=value).timeout == expected


def test_numbers_larger_than_any_float_are_infinite() -> None:
    assert RunAgentClient("a", "k", timeout=10**400).timeout == math.inf
    bad: list[Any] = [{"timeout": -(10**400)}, {"max_retries": 10**400}, {"retry_delay": 10**400}]
    for arguments in bad:
        with pytest.raises(ValidationError, match=next(iter(arguments))):
            RunAgentClient("a", "k", **arguments)


def test_numbers_of_numpy_are_numbers() -> None:
    import numpy as np

    numbers: dict[str, Any] = {"timeout": np.float32(2.5), "max_retries": np.int64(2)}
    client = RunAgentClient("a", "k", **numbers)
    assert (client.timeout, client._settings.max_retries) == (2.5, 2)


@pytest.mark.parametrize(
    "agent_id", ["agent-123", "Ünï/côdé", "a b", "100%", "a?b#c", "...", "a..b"]
)
def test_agent_ids(agent_id: str) -> None:
    client = RunAgentClient(agent_id, "k")
    assert client.agent_id == agent_id
    assert not set(client._settings.quoted_agent_id) & set("/?# ")


def test_a_default_base_url_that_is_not_reached_is_named_as_such(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def find_nothing(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", find_nothing)
    with (
        RunAgentClient("a", "k", max_retries=0) as client,
        pytest.raises(NetworkError, match="This is the default base URL") as caught,
    ):
        client.run_generic({})
    assert "base_url= or RUNAGENT_API_URL names another server" in str(caught.value.hint)


def test_there_must_be_a_key_for_another_machine() -> None:
    with pytest.raises(AuthenticationError, match="RUNAGENT_API_KEY") as caught:
        RunAgentClient("a")
    assert caught.value.code == "MISSING_API_KEY"
    assert 'call the built-in agent "demo"' in str(caught.value.hint)
    assert "served on this machine, pass its server's base_url=" in str(caught.value.hint)
    settings: list[Any] = [
        {"api_key": ""},
        {"base_url": LOCAL},
        {"headers": {"authorization": "Basic x"}},
    ]
    for fine in settings:
        RunAgentClient("a", **fine)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object but an array"),
        (b"null", "not a JSON object but null"),
        (b'"x"', "not a JSON object but a string"),
        (b"true", "not a JSON object but true"),
        (b"1.5", "not a JSON object but a number"),
        ({"retry_config": 3}, '"retry_config"'),
        ({"retry_config": False}, '"retry_config"'),
        ({"retry_config": {"max_retries": -1}}, "max_retries"),
        ({"retry_config": {"retry_delay": "x"}}, "retry_delay"),
        ({"timeout": "x"}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"timeout": {}}, "timeout"),
        ({"api_key": 7}, "api_key"),
        ({"api_url": 7}, "api_url"),
        ({"api_url": "nonsense"}, "config.json"),
        ({"protocol": "x"}, "protocol"),
    ],
)
def test_a_bad_file_is_named(content: Any, message: str, home: Path) -> None:
    path = write(home, content)
    key = None if isinstance(content, dict) and "api_key" in content else "k"
    with pytest.raises(ValidationError) as caught:
        RunAgentClient("a", key)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_with_a_byte_order_mark(home: Path) -> None:
    write(home, b"\xef\xbb\xbf" + b'{"timeout": 3, "api_key": "k", "retry_config": {}}')
    assert RunAgentClient("a").timeout == 3


def test_null_in_the_file_is_not_set(home: Path) -> None:
    write(home, {"timeout": None, "api_key": "k", "api_url": None, "retry_config": None})
    assert RunAgentClient("a").timeout == 30


def test_no_file_is_fine(home: Path) -> None:
    (home / ".runagent").write_text("not a directory")
    assert RunAgentClient("a", "k").timeout == 30


@pytest.mark.filterwarnings("default")
def test_a_file_that_cannot_be_read_is_warned_of_once(home: Path) -> None:
    (home / ".runagent" / "config.json").mkdir(parents=True)
    with pytest.warns(UserWarning, match="is not used") as caught:
        [RunAgentClient("a", "k") for _ in range(2)]
    assert len(caught) == 1


@pytest.mark.filterwarnings("default")
def test_a_warning_is_of_the_line_that_made_the_client(home: Path) -> None:
    write(home, {"time_out": 3})
    with pytest.warns(UserWarning, match="time_out") as caught:
        RunAgentClient("a", "k").with_options(timeout=3)
    config_file._warned.clear()
    with pytest.warns(UserWarning, match="time_out") as again:
        RunAgentClient("a", "k", LOCAL).with_options(timeout=3)
    assert [warning.filename for warning in (*caught, *again)] == [__file__] * 2
    assert again[0].lineno == caught[0].lineno + 3


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_warned_of_once(mode: int, home: Path) -> None:
    write(home, {"api_key": "sk-planted"}, mode)
    with pytest.warns(UserWarning, match="chmod 600") as caught:
        [RunAgentClient("a") for _ in range(2)]
    assert len(caught) == 1
    assert "sk-planted" not in str(caught[0].message)


def test_without_a_key_anybody_may_read_the_file(home: Path) -> None:
    write(home, {"timeout": 3}, 0o644)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RunAgentClient("a", "k")


def test_unknown_settings_are_warned_of(home: Path) -> None:
    write(home, {"api_key": "k", "time_out": 3})
    with pytest.warns(UserWarning, match='"time_out" is not a setting'):
        RunAgentClient("a")
    write(home, {"api_key": "k", "retry_config": {"retries": 3}})
    with pytest.warns(UserWarning, match=r'"retry_config\.retries" is not a setting'):
        RunAgentClient("a")


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, **environment},
    )


CALL = """
import logging, sys
{setup}
from runagent import RunAgentClient
try:
    RunAgentClient("a", base_url="http://127.0.0.1:9", max_retries=1, retry_delay=0.01).run_generic({{}})
except ConnectionError:
    pass
"""


def test_the_log_level_of_the_environment_shows_lines_by_itself() -> None:
    assert python(CALL.format(setup="")).stderr == ""
    shown = python(CALL.format(setup=""), RUNAGENT_LOG_LEVEL="debug").stderr
    assert "runagent: POST http://127.0.0.1:9/v1/agents/a/invoke: trying again" in shown
    assert shown.count("\n") == 1
    assert python(CALL.format(setup=""), RUNAGENT_LOG_LEVEL="30").stderr == ""


def test_standard_logging_shows_lines_once() -> None:
    setup = "logging.basicConfig(level=logging.INFO)"
    for environment in ({}, {"RUNAGENT_LOG_LEVEL": "INFO"}):
        shown = python(CALL.format(setup=setup), **environment).stderr
        assert shown.count("trying again") == 1


def test_importing_is_cheap() -> None:
    loaded = python("import runagent, sys; print(*sys.modules)").stdout.split()
    dear = {
        "httpx2",
        "httpcore2",
        "asyncio",
        "ssl",
        "anyio",
        "numpy",
        "pandas",
        "IPython",
        "typing_extensions",
        "starlette",
    }
    if sys.version_info < (3, 11):  # its asyncio.TimeoutError is a class of its own
        dear -= {"asyncio", "ssl"}
    assert not dear & set(loaded)
    python("import runagent; runagent.RunAgentClient('a', 'k')")
