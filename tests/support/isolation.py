"""An environment in which nothing of the user is read or written, and no proxy is used."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from support.clock import STRETCH_VARIABLE

_PREFIXES = ("RUNAGENT_", "JUPYTER", "IPYTHON", "XDG_")
_NAMES = {
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "pythonstartup",
    "pythonpath",
    "mplbackend",
    "colorterm",
    "no_color",
    "force_color",
}


def isolated_environment(
    root: Path, environment: Mapping[str, str] | None = None, *, make: bool = True
) -> dict[str, str]:
    """Return `environment` with every place of the user moved below `root`.

    Args:
        root: A directory; `root / "home"` becomes the user's home.
        environment: What to start from, by default this process's environment.
        make: Whether to make the home, too.
    """
    home = root / "home"
    places = {
        "HOME": home,
        "USERPROFILE": home,
        "XDG_CACHE_HOME": home / ".cache",
        "XDG_CONFIG_HOME": home / ".config",
        "XDG_DATA_HOME": home / ".local" / "share",
        "XDG_STATE_HOME": home / ".local" / "state",
        "XDG_RUNTIME_DIR": root / "runtime",
        "IPYTHONDIR": home / ".ipython",
        "JUPYTER_CONFIG_DIR": home / ".jupyter",
        "JUPYTER_DATA_DIR": home / ".local" / "share" / "jupyter",
        "JUPYTER_RUNTIME_DIR": root / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": home / ".jupyter" / "lab" / "user-settings",
        "JUPYTERLAB_WORKSPACES_DIR": home / ".jupyter" / "lab" / "workspaces",
        "MPLCONFIGDIR": home / ".config" / "matplotlib",
    }
    if make:
        home.mkdir(parents=True, exist_ok=True)
        (root / "runtime").mkdir(mode=0o700, exist_ok=True)
    kept = {
        name: value
        for name, value in (os.environ if environment is None else environment).items()
        if name == STRETCH_VARIABLE
        or (not name.startswith(_PREFIXES) and name.lower() not in _NAMES)
    }
    return kept | {name: str(place) for name, place in places.items()}
