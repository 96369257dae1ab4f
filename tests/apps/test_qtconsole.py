"""The magics in the real Qt console, whose widget Spyder's console is too."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from support.clock import PATIENCE

PROGRAM = Path(__file__).parents[1] / "support" / "qtconsole_program.py"


def test_the_qt_console_shows_each_answer_once() -> None:
    done = subprocess.run(
        [
            *(sys.executable, PROGRAM, "%load_ext runagent_jupyter"),
            *("%runagent demo hi", "%%runagent demo\nhello", "print('the end')"),
        ],
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    _, _, line, cell, end, _ = re.split(r"In \[\d+\]: ", done.stdout)
    for shown, question in ((line, "hi"), (cell, "hello")):
        assert shown.count("# Hello from the demo agent") == 1
        assert shown.count(f"\n\n> {question}\n\nThis answer is **streamed**") == 1
        assert shown.endswith("(https://commonmark.org/help/)\n\n\n")
        assert "<" not in shown  # neither HTML nor the repr of an object
    assert end.splitlines()[1] == "the end"
