"""The configuration file, whatever stands in its place."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from support.scripts import run_script

from runagent import AsyncRunAgentClient, AuthenticationError, RunAgentClient, ValidationError

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX's files and users")


def place(home: Path) -> Path:
    path = home / ".runagent" / "config.json"
    path.parent.mkdir(exist_ok=True)
    return path


def pipe(path: Path) -> None:
    os.mkfifo(path)


def zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_to_a_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to(path.with_name("pipe"))


def huge(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(3 * 1024**3)


def long(path: Path) -> None:
    path.write_text(json.dumps({"timeout": 3, "more": "x" * 1024 * 1024}))


SCRIPT = """
import resource, warnings
resource.setrlimit(resource.RLIMIT_AS, (1024**3, 1024**3))
from runagent import RunAgentClient, RunAgentError
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    try:
        print(RunAgentClient("a", "k").timeout)
    except RunAgentError as exc:
        print(exc)
print(*(warning.message for warning in caught))
"""


@posix
@pytest.mark.parametrize("make", [pipe, zeros, link_to_a_pipe])
def test_what_is_no_regular_file_is_not_read(make: Any, tmp_path: Path) -> None:
    path = place(tmp_path)
    make(path)
    shown = run_script(SCRIPT, tmp_path)
    assert shown.stdout == f"30.0\n{path} is not used: it is not a regular file.\n", shown.stderr


@posix
@pytest.mark.parametrize("make", [huge, long])
def test_a_file_of_any_size_takes_little_memory(make: Any, tmp_path: Path) -> None:
    path = place(tmp_path)
    make(path)
    shown = run_script(SCRIPT, tmp_path)
    assert f"{path} is not a configuration file: it is larger than 1 MiB" in shown.stdout


@posix
@pytest.mark.filterwarnings("default")
def test_a_socket_is_not_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = place(home)
    monkeypatch.chdir(path.parent)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
        with pytest.warns(UserWarning, match="is not used"):
            assert RunAgentClient("a", "k").timeout == 30


@pytest.mark.filterwarnings("default")
def test_a_link_to_itself_is_not_read(home: Path) -> None:
    path = place(home)
    path.symlink_to(path)
    with pytest.warns(UserWarning, match="is not used"):
        assert RunAgentClient("a", "k").timeout == 30


def test_a_link_to_a_file_is_read(home: Path) -> None:
    path = place(home)
    path.with_name("mine.json").write_text('{"timeout": 3}')
    path.symlink_to("mine.json")
    assert RunAgentClient("a", "k").timeout == 3


def test_every_unknown_setting_is_named(home: Path) -> None:
    retries = {"retries": 1, "max_retries": 1, 'a"b': 2}
    file = {"time_out": 3, "apikey": "x", "Timeout": 3, "retry_config": retries}
    place(home).write_text(json.dumps(file))
    with pytest.warns(UserWarning, match="are not settings") as caught:
        RunAgentClient("a", "k")
    first, second = (str(warning.message) for warning in caught)
    assert '"Timeout", "apikey", "time_out" are not settings; known are allow_http,' in first
    assert r'"retry_config.a\"b", "retry_config.retries" are not settings; known are' in second


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the process one of a user that the system does not know, as in many containers."""
    import pwd

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(RuntimeError):
        Path.home()


SETTINGS: dict[str, Any] = {
    "api_key": "k",
    "base_url": "https://example.org",
    "timeout": 3,
    "max_retries": 1,
    "retry_delay": 0.1,
    "retry_backoff": 2,
    "protocol": "rest",
    "headers": {"x": "y"},
    "allow_http": False,
}


@posix
@pytest.mark.usefixtures("homeless")
@pytest.mark.parametrize("kind", [RunAgentClient, AsyncRunAgentClient])
def test_a_user_without_a_home_has_no_file(
    kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~").mkdir()
    place(tmp_path / "~").write_text("not JSON")
    assert kind("a", **SETTINGS).timeout == 3
    assert kind("a", "k").timeout == 30
    with pytest.raises(AuthenticationError, match=r"~/\.runagent/config\.json"):
        kind("a")
    with pytest.raises(ValidationError, match="timeout"):
        kind("a", "k", timeout=-1)
    monkeypatch.setenv("RUNAGENT_TIMEOUT", "5")
    assert kind("a", "k").with_options(max_retries=0).timeout == 5


def test_the_variable_of_the_older_client_counts_after_ours(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(home).write_text('{"api_url": "https://file.example"}')
    monkeypatch.setenv("RUNAGENT_BASE_URL", "https://older.example/")
    assert RunAgentClient("a", "k").base_url == "https://older.example"
    assert RunAgentClient("a", "k", "https://arg.example").base_url == "https://arg.example"
    monkeypatch.setenv("RUNAGENT_API_URL", " ")
    assert RunAgentClient("a", "k").base_url == "https://older.example"
    monkeypatch.setenv("RUNAGENT_API_URL", "https://ours.example")
    assert RunAgentClient("a", "k").base_url == "https://ours.example"
    monkeypatch.delenv("RUNAGENT_API_URL")
    monkeypatch.setenv("RUNAGENT_BASE_URL", "nonsense")
    with pytest.raises(ValidationError, match="The base URL 'nonsense' from RUNAGENT_BASE_URL"):
        RunAgentClient("a", "k")
