"""A small disk of its own, which can be filled up."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

BYTES = 2 * 1024 * 1024


@contextlib.contextmanager
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of two megabytes, or skip the test where that is not allowed."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={BYTES}", "tmpfs", str(place)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may not mount a file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path, room: int = 0) -> Path:
    """Use up all space but `room` bytes; return the file to delete for more."""
    with (disk / "filling").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for _ in range(0, BYTES - room, 512):
            file.write(bytes(512))
    return disk / "filling"
