"""Files and functions are short enough to be read at a sitting."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[1]
DIRECTORIES = ("runagent", "runagent_jupyter", "tests", "benchmarks", "notebooks")

LONGEST_FILE = 500
LONGEST_FUNCTION = 60

# The documentation of the public methods is in it, once for each client.
MAY_BE_LONGER = {"runagent/client.py"}


def files(*patterns: str) -> dict[str, str]:
    """Return the text of the project's files by path."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
        for directory in DIRECTORIES
        for pattern in patterns
        for path in (ROOT / directory).rglob(pattern)
    }


def test_no_file_is_too_long() -> None:
    lengths = {path: text.count("\n") for path, text in files("*.py", "*.js", "*.css").items()}
    assert len(lengths) > 200
    too_long = {path: length for path, length in lengths.items() if length > LONGEST_FILE}
    assert too_long.keys() == MAY_BE_LONGER, too_long


def test_no_function_is_too_long() -> None:
    lengths = {
        f"{path}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path, text in files("*.py").items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    assert len(lengths) > 2_000
    assert {name: n for name, n in lengths.items() if n > LONGEST_FUNCTION} == {}
