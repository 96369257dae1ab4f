"""Runs a command in which uv uses the indexes and certificates that pip's settings name."""

from __future__ import annotations

import configparser
import os
import ssl
import sys
from pathlib import Path


def config_files() -> list[Path]:
    """Return the files that pip reads, whether or not they exist; a later file counts more."""
    named = os.environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    home = Path.home()
    if sys.platform == "darwin":
        support = Path("Library", "Application Support", "pip")
        shared = [Path("/", support)]
        personal = home / support if (home / support).is_dir() else home / ".config" / "pip"
    else:
        places = os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
        shared = [*(Path(place, "pip") for place in places.split(os.pathsep)), Path("/etc")]
        personal = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config", "pip")
    folders = shared
    if not (named and Path(named).exists()):
        folders += [home / ".pip", personal]
    folders.append(Path(sys.prefix))
    return [folder / "pip.conf" for folder in folders] + ([Path(named)] if named else [])


def pip_settings() -> dict[str, str]:
    """Return the settings that `pip install` would use, by the names of its long options.

    They are read from pip's files and from the environment rather than asked of pip, which is
    not installed everywhere.

    Raises:
        SystemExit: A file is not valid.
    """
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}}
    for file in config_files():
        parser = configparser.RawConfigParser()
        try:
            parser.read(file)
        except (configparser.Error, UnicodeDecodeError) as error:
            raise SystemExit(f"pip's settings in {file} are not valid: {error}") from error
        for section in sections.keys() & set(parser.sections()):
            sections[section] |= {option_of(key): value for key, value in parser.items(section)}
    variables = {
        option_of(name.removeprefix("PIP_")): value
        for name, value in os.environ.items()
        if name.startswith("PIP_")
    }
    sources = (sections["global"], sections["install"], variables)
    return {key: value for source in sources for key, value in source.items() if value.strip()}


def option_of(key: str) -> str:
    """Return the name of pip's long option that a key in a file or the environment sets."""
    return key.lower().replace("_", "-").removeprefix("--")


def uv_settings() -> dict[str, str]:
    """Return the environment variables that give uv pip's indexes and certificates.

    A variable for the same purpose that is set already is left alone.
    """
    pip = pip_settings()
    settings: dict[str, str] = {}
    if "index-url" in pip and not is_set("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        settings["UV_DEFAULT_INDEX"] = pip["index-url"].strip()
    if "extra-index-url" in pip and not is_set("UV_INDEX", "UV_EXTRA_INDEX_URL"):
        settings["UV_INDEX"] = " ".join(pip["extra-index-url"].split())
        # To pip all indexes are equal; uv would take the first one that knows a package.
        if not is_set("UV_INDEX_STRATEGY"):
            settings["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if "find-links" in pip and not is_set("UV_FIND_LINKS"):
        settings["UV_FIND_LINKS"] = ",".join(pip["find-links"].split())
    if "trusted-host" in pip and not is_set("UV_INSECURE_HOST"):
        settings["UV_INSECURE_HOST"] = " ".join(pip["trusted-host"].split())
    if "cert" in pip and not is_set("SSL_CERT_FILE"):
        settings["SSL_CERT_FILE"] = str(Path(pip["cert"].strip()).expanduser())
    # Without it, uv trusts only the certificates that it was built with; with it, and no
    # certificates in the system, uv refuses to start.
    if system_has_certificates() and not is_set("UV_SYSTEM_CERTS", "UV_NATIVE_TLS"):
        settings["UV_SYSTEM_CERTS"] = "true"
    return settings


def is_set(*names: str) -> bool:
    """Return whether one of these environment variables has a value."""
    return any(os.environ.get(name) for name in names)


def system_has_certificates() -> bool:
    """Return whether there is a certificate where Python's TLS looks for the system's."""
    paths = ssl.get_default_verify_paths()
    folder = Path(paths.capath or os.devnull)
    in_folder = folder.is_dir() and any(folder.iterdir())
    return sys.platform == "darwin" or bool(paths.cafile) or in_folder


def main(command: list[str]) -> None:
    """Replace this process by a command."""
    os.environ.update(uv_settings())
    os.execvp(command[0], command)  # noqa: S606 - the command is the Makefile's


if __name__ == "__main__":
    main(sys.argv[1:])
