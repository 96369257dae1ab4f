"""Every check there is. `nox` runs what CI runs, `nox -s tests` the tests on every Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox

PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
CI_PYTHONS = ["3.10", "3.13"]
# The oldest Python has the oldest of what pyproject.toml allows, the others have the newest. Still
# older versions of IPython and of the widgets are for Colab, and are tested in its session.
OLDEST = {
    "3.10": [
        *("--upgrade", "--resolution=lowest-direct"),
        *("ipykernel==6.31.*", "ipython==8.18.*", "ipywidgets==8.1.*"),
    ]
}
# Colab's Python, or else one that its versions of the packages run on, too.
COLAB_PYTHONS = ["3.12", "3.11", "3.10"]
COLAB_PINS = ".ci/colab.txt"
COLAB_TOOLS = [
    *("hypothesis", "jupyter-client>=8", "matplotlib", "nbclient", "nest-asyncio", "pexpect"),
    *("pillow", "pydantic", "pyte", "pytest>=8.3", "pytest-xdist", "rfc3987", "uvloop"),
]
COLAB_TESTS = [
    "tests/jupyter/test_colab.py",
    "tests/jupyter/test_loops.py",
    "tests/jupyter/test_magic.py",
    "tests/jupyter/test_magic_background.py",
    "tests/jupyter/test_magic_settings.py",
    "tests/jupyter/test_widget.py",
]

# The oldest JupyterLab that is tested, with the oldest widgets that are allowed.
LAB3 = [
    *("anywidget==0.9.18", "ipykernel==6.*", "ipython==8.18.*", "ipywidgets==7.7.*"),
    *("jupyterlab==3.6.*", "nbclient", "playwright>=1.50", "psutil", "pytest>=8.3"),
    *("pytest-xdist", "rfc3987"),
]
LAB3_TESTS = [
    "tests/browser/test_magic_in_browser.py",
    "tests/browser/test_reading_in_browser.py",
    "tests/browser/test_widget_in_browser.py::test_ask_by_keyboard_stop_and_retry",
    "tests/browser/test_widget_in_browser.py::test_steps_copies_and_the_menu",
    "tests/browser/test_widget_in_browser.py::test_what_a_saved_notebook_shows_without_a_kernel",
]

# The tests of other sessions.
OTHERS = ["--ignore=tests/browser", "--ignore=tests/engines"]

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

# The tests start some hundred Pythons; without bytecode, each compiles all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# pyenv's shims run only the versions it is told to.
if shutil.which("pyenv"):
    installed = subprocess.run(
        ["pyenv", "versions", "--bare"], capture_output=True, text=True, check=True
    ).stdout.split()
    current = ".".join(map(str, sys.version_info[:3]))
    known = [name for name in installed if name.rpartition(".")[0] in PYTHONS]
    os.environ["PYENV_VERSION"] = ":".join(sorted(known, key=lambda name: name != current))

colab_python = next((p for p in COLAB_PYTHONS if shutil.which(f"python{p}")), COLAB_PYTHONS[-1])
present = [python for python in CI_PYTHONS if shutil.which(f"python{python}")]
here = f"{sys.version_info[0]}.{sys.version_info[1]}"
tested = CI_PYTHONS if present or here not in PYTHONS else [*CI_PYTHONS, here]

if shutil.which("python3.14"):  # no distribution's stable release has it yet
    PYTHONS.append("3.14")
    tested.insert(1, "3.14")

nox.options.sessions = ["checks"]

# The sessions that CI runs, the longest first, so that none of them runs alone at the end.
CHECKS = [
    "browser",
    *(f"tests-{python}" for python in reversed(tested)),
    "colab",
    *(["pyodide"] if shutil.which("node") and shutil.which("npm") else []),
    "types",
    "package",
    "docs",
    "lint",
]
CORES = os.cpu_count() or 1


@nox.session(python=False)
def checks(session: nox.Session) -> None:
    """Run all checks of CI, two at a time: where one waits, the other one computes."""

    def check(name: str) -> bool:
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "nox", "-s", name, "--", *session.posargs],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        ending = "passed" if done.returncode == 0 else "failed"
        seconds = time.monotonic() - started
        print(f"{done.stdout}{name} {ending} after {seconds:.0f} s\n", flush=True)
        return done.returncode == 0

    print(f"Running {', '.join(CHECKS)}; each one's output follows when it has ended.", flush=True)
    with ThreadPoolExecutor(2) as pool:
        failed = [name for name, ok in zip(CHECKS, pool.map(check, CHECKS), strict=True) if not ok]
    if failed:
        session.error(f"Failed: {', '.join(failed)}")


def install(session: nox.Session) -> None:
    versions = OLDEST.get(str(session.python), [])
    session.install("--editable", ".[jupyter,local,test]", *versions)


def install_chromium(session: nox.Session) -> None:
    session.run(".ci/install-chromium", sys.executable, external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting, and which module may import which."""
    session.install("ruff>=0.14", "import-linter>=2.17")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, those of the packages as the oldest and the newest Python see them."""
    session.install("--editable", ".[dev]", "nox")
    packages = ["runagent", "runagent_jupyter"]
    others = ["noxfile.py", "tests", "benchmarks", "notebooks", ".ci", "docs"]
    oldest, newest = CI_PYTHONS
    # With a package's name before theirs, modules of the same name can be checked in one go.
    session.run("mypy", "--python-version", oldest, "--explicit-package-bases", *packages, *others)
    session.run("mypy", "--python-version", newest, *packages)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Test all but what needs a browser; what needs no second Python, on the last one alone."""
    install(session)
    options = ["tests", *OTHERS]
    if session.python != tested[-1]:
        options += ["-m", "not exhaustive and not once and not upstream"]
    if session.python in OLDEST:
        options += ["--rows=2"]
    run_pytest(session, 3 * CORES, *options)  # most of the time, tests wait


@nox.session(python=colab_python)
def colab(session: nox.Session) -> None:
    """Install beside the versions that Google Colab pins, replace none, and test with them."""
    session.install("--requirement", COLAB_PINS, "uv")
    # uv names each package that an installation would replace in a line with a minus.
    planned = session.run(
        *("uv", "pip", "install", "--dry-run", "--color=never"),
        *("--python", session.virtualenv.location, ".[jupyter]"),
        silent=True,
    )
    replaced = [line for line in str(planned).splitlines() if line.lstrip().startswith("- ")]
    if replaced:
        session.error(f"runagent[jupyter] would replace in Colab: {', '.join(replaced)}")
    # The tests talk to kernels through a newer jupyter-client than Colab's notebook allows.
    pins = Path(COLAB_PINS).read_text().splitlines()
    kept = [pin for pin in pins if not pin.startswith(("#", "notebook"))]
    session.install("--editable", ".[jupyter,local]", *kept, *COLAB_TOOLS)
    run_pytest(session, 2 * CORES, "--rows=2", *COLAB_TESTS)


@nox.session(python=CI_PYTHONS[-1])
def pyodide(session: nox.Session) -> None:
    """Test the asynchronous client in Pyodide, the Python of browsers; it needs node and npm."""
    folder = Path(session.create_tmp()).resolve()
    # httpx2 imports httpx2-jsfetch there.
    session.install("--editable", ".[local]", "httpx2-jsfetch", "pytest>=8.3", "psutil")
    session.run(
        *("npm", "install", "--silent", "--no-fund", "--no-audit", f"--prefix={folder}"),
        "pyodide@314",
        external=True,
    )
    found = {"RUNAGENT_TEST_PYODIDE": str(folder / "node_modules" / "pyodide")}
    session.run("pytest", *(session.posargs or ["tests/core/test_browser.py"]), env=found)


@nox.session
def check(session: nox.Session) -> None:
    """Lint, and run the tests that matter most for a change of one kind: `nox -s check -- core`."""
    kind = " ".join(session.posargs)
    if kind not in KINDS:
        session.error(f"KIND={kind} is not known; choose one of {', '.join(KINDS)}")
    if kind == "page":
        install_chromium(session)
    install(session)
    session.install("ruff>=0.14")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("pytest", *parallel_with(2 * CORES), *KINDS[kind])


@nox.session
def browser(session: nox.Session) -> None:
    """Test in a real JupyterLab in chromium."""
    install_chromium(session)
    install(session)
    run_pytest(session, CORES, "tests/browser")


@nox.session(python=CI_PYTHONS[0])
def lab3(session: nox.Session) -> None:
    """Test in JupyterLab 3 with ipywidgets 7; CI does not run it."""
    install_chromium(session)
    session.install("--editable", ".[jupyter,local]", *LAB3)
    run_pytest(session, CORES, *LAB3_TESTS)


@nox.session
def engines(session: nox.Session) -> None:
    """Test the recipes for Ray and Spark, which needs Java; CI does not run this."""
    install(session)
    session.install("ray[data]>=2.40", "pyspark>=4", "setuptools")
    session.run("pytest", *(session.posargs or ["tests/engines"]))


@nox.session(python=CI_PYTHONS[-1])
def apps(session: nox.Session) -> None:
    """Test in the real app frameworks and the Qt console, some in chromium; CI does not run it."""
    install_chromium(session)
    session.install("--editable", ".[apps]")
    run_pytest(session, CORES, "tests/apps")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site, whose warnings are errors; its links within are among them."""
    session.install("--editable", ".[jupyter,local,docs]")
    options = ["--builder=html", "--fail-on-warning", "--keep-going", "--quiet"]
    session.run("sphinx-build", *options, "docs", "build/site")
    session.log("The site is build/site/index.html.")


@nox.session
def screenshots(session: nox.Session) -> None:
    """Take a picture of each state of the magic and the chat, and the README's pictures."""
    install_chromium(session)
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


def run_pytest(session: nox.Session, workers: int, *options: str) -> None:
    """Run pytest as the command line says, or else with `options` in parallel processes."""
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    # One process compiles all modules; several that start together would each compile all of them.
    session.run("pytest", "--collect-only", "--quiet", *options, silent=True)
    session.run("pytest", *parallel_with(workers), *options)


def parallel_with(workers: int) -> list[str]:
    return [f"--numprocesses={workers}", "--dist=worksteal"]
