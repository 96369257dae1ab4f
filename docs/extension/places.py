"""Where the sources of the generated parts are, and how they are written as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PACKAGES = ("runagent", "runagent_jupyter")

_HEADING = re.compile(r"^## `?([^\n`]+)`?\n", re.MULTILINE)


def modules() -> Iterator[Path]:
    """Yield the modules of the packages, sorted."""
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def entries(page: str) -> dict[str, str]:
    """Return the sections of a page of the reference, each by its heading."""
    parts = _HEADING.split((DOCS / "reference" / page).read_text("utf-8"))
    return dict(zip(parts[1::2], (text.strip() for text in parts[2::2]), strict=True))


def introduction(page: str) -> str:
    """Return the text of such a page between its title and its first section."""
    text = (DOCS / "reference" / page).read_text("utf-8")
    return _HEADING.split(text)[0].partition("\n")[2].strip()


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )
