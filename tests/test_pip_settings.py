"""uv is given the indexes and certificates that pip's settings name, as `make` calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "with_pip_settings.py"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what this machine says."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_", "SSL_CERT")):
            monkeypatch.delenv(name)


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *command], capture_output=True, text=True, check=False
    )


def variables() -> dict[str, str]:
    done = run(sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))")
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_everything_that_pip_knows_is_passed_on() -> None:
    write(
        Path.home() / ".config/pip/pip.conf",
        "[global]\nindex-url = https://a.invalid/simple\ncert = ~/ca.pem\n"
        "extra_index_url =\n  https://b.invalid/simple\n  https://c.invalid/simple\n"
        "[install]\nfind-links = /wheels https://d.invalid/wheels\ntrusted-host = e.invalid\n",
    )
    found = variables()
    assert found["UV_DEFAULT_INDEX"] == "https://a.invalid/simple"
    assert found["UV_INDEX"] == "https://b.invalid/simple https://c.invalid/simple"
    assert found["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert found["UV_FIND_LINKS"] == "/wheels,https://d.invalid/wheels"
    assert found["UV_INSECURE_HOST"] == "e.invalid"
    assert found["SSL_CERT_FILE"] == str(Path.home() / "ca.pem")


def test_a_later_source_counts_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def index() -> str | None:
        return variables().get("UV_DEFAULT_INDEX")

    write(Path.home() / ".pip/pip.conf", "[global]\nindex-url = https://old.invalid\n")
    assert index() == "https://old.invalid"
    write(Path.home() / ".config/pip/pip.conf", "[global]\nindex-url = https://user.invalid\n")
    assert index() == "https://user.invalid"
    named = write(tmp_path / "named.conf", "[global]\nfind-links = /wheels\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(named))
    assert index() != "https://user.invalid"  # the file replaces the user's own
    write(named, "[global]\nindex-url = https://global.invalid\n")
    assert index() == "https://global.invalid"
    write(named, "[install]\nindex-url = https://install.invalid\n")
    assert index() == "https://install.invalid"
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip.invalid")
    assert index() == "https://pip.invalid"
    monkeypatch.setenv("PIP_INDEX_URL", "")
    assert index() == "https://install.invalid"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.invalid")
    assert index() == "https://uv.invalid"


def test_variables_that_are_set_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS", "CERT", "TRUSTED_HOST"):
        monkeypatch.setenv(f"PIP_{name}", "https://pip.invalid")
    own = {
        "UV_INDEX_URL": "https://uv.invalid",
        "UV_INDEX": "https://uv.invalid",
        "UV_FIND_LINKS": "/uv",
        "UV_INSECURE_HOST": "uv.invalid",
        "SSL_CERT_FILE": "/uv.pem",
        "UV_SYSTEM_CERTS": "false",
    }
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    found = variables()
    assert {name: found[name] for name in own} == own
    assert not {"UV_DEFAULT_INDEX", "UV_INDEX_STRATEGY"} & found.keys()


@pytest.mark.skipif(sys.platform == "darwin", reason="its certificates are not in files")
def test_the_systems_certificates_are_used_where_there_are_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = tmp_path / "none"
    none.mkdir()
    # OpenSSL, and so Python, takes these for the system's store.
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(none))
    assert "UV_SYSTEM_CERTS" not in variables()
    write(none / "ca.pem", "")
    assert variables()["UV_SYSTEM_CERTS"] == "true"


def test_pip_can_be_told_to_read_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write(Path.home() / ".config/pip/pip.conf", "[global]\nindex-url = https://user.invalid\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert "UV_DEFAULT_INDEX" not in variables()


def test_a_file_that_is_not_valid_is_named() -> None:
    file = write(Path.home() / ".config/pip/pip.conf", "index-url = https://user.invalid\n")
    done = run("true")
    assert done.returncode == 1
    assert f"pip's settings in {file} are not valid: " in done.stderr


def test_the_command_ends_as_it_would() -> None:
    done = run(sys.executable, "-c", "import sys; print(*sys.argv[1:]); sys.exit(3)", "a b", "c")
    assert (done.returncode, done.stdout) == (3, "a b c\n")
