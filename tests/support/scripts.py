"""Runs code in a Python of its own that says everything it has to complain about."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from support.clock import PATIENCE

# Asyncio's debug mode names every step that takes long, as any does on a busy machine.
_QUIET_ABOUT_TIME = """
import logging
logging.getLogger("asyncio").addFilter(lambda record: not record.msg.startswith("Executing %s"))
"""


def run_script(code: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run code in Python's development mode, where every warning is an error.

    Args:
        code: A script, that may be indented as a whole.
        directory: Holds the script, and is its home.

    Returns:
        How it ended, and what it printed.
    """
    script = directory / "script.py"
    script.write_text(_QUIET_ABOUT_TIME + textwrap.dedent(code))
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", str(script)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, "HOME": str(directory)},
    )
