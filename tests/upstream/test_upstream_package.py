"""The upstream package has a virtual environment of its own, and ours is not in it."""

from __future__ import annotations

import subprocess

import pytest
from support.upstream import DIRECTORY, VERSION, upstream_python

pytestmark = pytest.mark.upstream


def test_it_is_the_upstream_package_alone() -> None:
    code = (
        "import importlib.metadata as m, runagent; print(m.version('runagent'), runagent.__file__)"
    )
    answer = subprocess.run(
        [upstream_python(), "-I", "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert answer[0] == VERSION
    assert answer[1].startswith(str(DIRECTORY))
