"""Every check there is. `nox` runs what CI runs, `nox -s tests` the tests on every Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
CI_PYTHONS = ["3.10", "3.13"]
# The oldest Python has the oldest of what pyproject.toml allows, the others have the newest.
OLDEST = {"3.10": ["--upgrade", "--resolution=lowest-direct", "ipykernel==6.31.*"]}
TESTS = Path("tests")

# A change of one kind: its tests that notice most mistakes and take the least time.
KINDS = {
    "core": [
        "tests/core/test_answers.py",
        "tests/core/test_protocols.py",
        "tests/core/test_settings.py",
        "tests/core/test_server_faults.py",
        "tests/core/test_server_wire.py",
        "tests/core/test_sse.py",
    ],
    "magic": ["tests/jupyter/test_magic.py", "tests/jupyter/test_magic_template.py"],
    "chat": ["tests/jupyter/test_widget.py"],
    "page": ["tests/browser/test_widget_in_browser.py", "-k", "keyboard or menu or views"],
}

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"
# A missing Python is an error in CI, and a warning elsewhere.
nox.options.error_on_missing_interpreters = "CI" in os.environ

# pyenv's shims run only the versions it is told to.
if shutil.which("pyenv"):
    installed = subprocess.run(
        ["pyenv", "versions", "--bare"], capture_output=True, text=True, check=True
    ).stdout.split()
    current = ".".join(map(str, sys.version_info[:3]))
    known = [name for name in installed if name.rpartition(".")[0] in PYTHONS]
    os.environ["PYENV_VERSION"] = ":".join(sorted(known, key=lambda name: name != current))

present = [python for python in CI_PYTHONS if shutil.which(f"python{python}")]
here = f"{sys.version_info[0]}.{sys.version_info[1]}"
tested = CI_PYTHONS if present or here not in PYTHONS else [*CI_PYTHONS, here]

nox.options.sessions = [
    "lint",
    "types",
    *(f"tests-{python}" for python in tested),
    "browser",
    "package",
]


def install(session: nox.Session) -> None:
    versions = OLDEST.get(str(session.python), [])
    session.install("--editable", ".[jupyter,local,test]", *versions)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting."""
    session.install("ruff>=0.14")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, those of the packages as the oldest and the newest Python see them."""
    session.install("--editable", ".[dev]", "nox")
    packages = ["runagent", "runagent_jupyter", "noxfile.py"]
    # Each directory of tests is a world of its own, with its own `conftest`.
    worlds = [[str(path)] for path in sorted(TESTS.iterdir()) if path.is_dir() and has_code(path)]
    loose = [str(path) for path in sorted(TESTS.glob("*.py"))]
    others = [[name] for name in ("benchmarks", "notebooks", ".ci") if has_code(Path(name))]
    oldest, newest = CI_PYTHONS
    for paths in (packages, loose, *worlds, *others):
        session.run("mypy", "--python-version", oldest, *paths)
    session.run("mypy", "--python-version", newest, *packages)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Test all but what needs a browser; what needs no second Python, on the last one alone."""
    install(session)
    paths = ["tests", "--ignore=tests/browser"]
    parallel = parallel_with(2 * (os.cpu_count() or 1))  # many tests wait for a timeout
    if session.python != tested[-1]:
        parallel += ["-m", "not exhaustive and not upstream"]
    session.run("pytest", *(session.posargs or [*parallel, *paths]))


@nox.session
def check(session: nox.Session) -> None:
    """Lint, and run the tests that matter most for a change of one kind: `nox -s check -- core`."""
    kind = " ".join(session.posargs)
    if kind not in KINDS:
        session.error(f"KIND={kind} is not known; choose one of {', '.join(KINDS)}")
    install(session)
    session.install("ruff>=0.14")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("pytest", *parallel_with(2 * (os.cpu_count() or 1)), *KINDS[kind])


@nox.session
def browser(session: nox.Session) -> None:
    """Test in a real JupyterLab in chromium."""
    install(session)
    session.run("pytest", *(session.posargs or [*parallel_with(2), "tests/browser"]))


@nox.session
def screenshots(session: nox.Session) -> None:
    """Take a picture of each state of the magic and the chat, and the README's pictures."""
    install(session)
    session.run(
        "pytest",
        "tests/browser/test_magic_in_browser.py",
        "tests/browser/test_widget_in_browser.py",
    )
    session.run("python", "notebooks/pictures.py")
    session.log("The states are in .cache/screenshots, the README's pictures in notebooks/images.")


@nox.session
def package(session: nox.Session) -> None:
    """Build the distributions, and use the wheel with nothing but what it requires."""
    built = Path(session.create_tmp()).resolve() / "dist"
    shutil.rmtree(built, ignore_errors=True)
    session.install("uv")
    session.run("uv", "build", "--quiet", "--out-dir", str(built))
    (wheel,) = built.glob("*.whl")
    (sdist,) = built.glob("*.tar.gz")
    alone = Path(session.create_tmp()).resolve() / "alone"
    session.run("uv", "venv", "--quiet", "--clear", "--python", session.virtualenv.location, alone)
    python = alone / "bin" / "python"
    session.run("uv", "pip", "install", "--quiet", "--python", python, wheel)
    session.chdir(alone)
    checks = Path(__file__).with_name(".ci") / "check_package.py"
    session.run(python, "-I", checks, wheel, sdist, external=True)


def parallel_with(workers: int) -> list[str]:
    return [f"--numprocesses={workers}", "--dist=worksteal"]


def has_code(directory: Path) -> bool:
    return any(directory.glob("*.py"))
