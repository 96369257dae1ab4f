"""Opens a notebook in JupyterLab: a copy of it, so that running and saving it leaves the checkout as it is."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat

from notebooks.saved_outputs import strip

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "tutorials"
COPIES = ROOT / "playground"

_DISABLED = (
    "@jupyterlab/apputils-extension:announcements",  # asks whether to show news
    "@jupyterlab/extensionmanager-extension",
)
_OPTIONS = (
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.allow_root=True",
    "--Application.log_level=ERROR",
)


def copy_all(folder: Path) -> list[str]:
    """Copy the notebooks, without outputs, and what they read and show.

    Args:
        folder: Where the copies are, or will be. One that was changed there is left alone.

    Returns:
        The names of the copies that were left alone, though the original is another one now.
    """
    folder.mkdir(exist_ok=True)
    shutil.copytree(FOLDER / "images", folder / "images", dirs_exist_ok=True)
    record = folder / ".copied.json"
    copied: dict[str, str] = json.loads(record.read_text()) if record.exists() else {}
    left = []
    for path in sorted([*FOLDER.glob("*.ipynb"), *FOLDER.glob("*.csv")]):
        content = _content(path)
        copy = folder / path.name
        found = _digest(copy.read_bytes()) if copy.exists() else None
        if found in {None, copied.get(path.name)}:
            copy.write_bytes(content)
            copied[path.name] = _digest(content)
        elif _digest(content) != copied.get(path.name):
            left.append(path.name)
    record.write_text(json.dumps(copied, indent=1))
    return left


def _content(path: Path) -> bytes:
    if path.suffix != ".ipynb":
        return path.read_bytes()
    notebook = nbformat.read(path, as_version=4)
    strip(notebook)
    return str(nbformat.writes(notebook)).encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def quieten(folder: Path) -> None:
    """Have JupyterLab ask nothing when it opens, and show no manager of extensions.

    Args:
        folder: Where the copies are. Jupyter's configuration goes there too, and not into yours.
    """
    config = folder / ".jupyter"
    page = config / "labconfig" / "page_config.json"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(json.dumps({"disabledExtensions": dict.fromkeys(_DISABLED, True)}))
    more = os.environ.get("JUPYTER_CONFIG_PATH")
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join([str(config), *([more] if more else [])])


def main(arguments: Sequence[str]) -> None:
    """Copy the notebooks and open one of them, until JupyterLab is stopped."""
    from jupyterlab.labapp import main as open_lab  # noqa: PLC0415 - it takes a second

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="the notebook's file name")
    parser.add_argument("--folder", type=Path, default=COPIES, help="where the copies go")
    options, more = parser.parse_known_args(arguments)
    for left in copy_all(options.folder):
        print(f"{options.folder / left} has your changes; delete it to get the new one.")
    quieten(options.folder)
    os.chdir(options.folder)
    print(f"Opening {options.folder / options.name}; Ctrl-C ends JupyterLab.", flush=True)
    open_lab([*_OPTIONS, *more, options.name])


if __name__ == "__main__":
    main(sys.argv[1:])
