"""Checks that the built distributions are complete, and that the wheel works with core alone."""

from __future__ import annotations

import importlib.util
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def sources() -> set[str]:
    """Return the files of both packages, as a wheel names them."""
    return {
        path.relative_to(ROOT).as_posix()
        for package in ("runagent", "runagent_jupyter")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def check_complete(kind: str, names: Iterable[str], wanted: set[str]) -> None:
    """Raise if a distribution lacks a file."""
    missing = sorted(wanted - set(names))
    if missing:
        raise SystemExit(f"The {kind} lacks {', '.join(missing)}.")


def check_wheel_alone() -> None:
    """Raise if the core does not work, or does not name the extra that is missing."""
    import runagent  # noqa: PLC0415 - what is tested here

    origin = Path(runagent.__file__).resolve()
    if ROOT in origin.parents and "site-packages" not in origin.parts:
        raise SystemExit(f"runagent was imported from the sources: {origin}")
    with runagent.RunAgentClient("agent-123", api_key="k", base_url="https://example.invalid"):
        pass
    for module, package, extra in (
        ("runagent_jupyter", "IPython", "runagent[jupyter]"),
        ("runagent.local", "starlette", "runagent[local]"),
    ):
        if importlib.util.find_spec(package) is not None:
            raise SystemExit(f"{package} is installed; this must run where it is not.")
        try:
            loaded = __import__(module, fromlist=["load_ipython_extension"])
            loaded.load_ipython_extension(None)
        except ImportError as error:
            if extra not in str(error):
                raise SystemExit(f"{module}: {error!r} does not name {extra}.") from error
        else:
            raise SystemExit(f"{module} needs {package}, and did not say so.")


def main(wheel: str, sdist: str) -> None:
    """Check a wheel, which is installed here, and a source distribution."""
    wanted = sources()
    if not {"runagent/py.typed", "runagent_jupyter/py.typed"} <= wanted:
        raise SystemExit("A py.typed file is missing.")
    check_complete("wheel", zipfile.ZipFile(wheel).namelist(), wanted)
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    check_complete("sdist", names, wanted | {"README.md", "LICENSE", "CHANGELOG.md"})
    check_wheel_alone()
    print(f"{Path(wheel).name}: {len(wanted)} files; works with the core alone.")


if __name__ == "__main__":
    main(*sys.argv[1:])
