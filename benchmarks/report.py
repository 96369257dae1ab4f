"""Tables as Markdown and JSON."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.measure import Sheet, Table

_PACKAGES = (
    "runagent",
    "httpx2",
    "httpx",
    "openai",
    "litellm",
    "anthropic",
    "langgraph-sdk",
    "aiohttp",
    "httpx-aiohttp",
    "httpx-sse",
    "markdown-it-py",
    "nh3",
)


def header() -> dict[str, Any]:
    """Return the machine and the versions."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": versions,
    }


def markdown_header() -> str:
    found = header()
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return f"{found['machine']}; Python {found['python']}; {versions}.\n"


def markdown(table: Table | Sheet) -> str:
    """Return a table in Markdown, and whether what is asked for is met."""
    lines = _sheet(table) if isinstance(table, Sheet) else _table(table)
    for text, met in table.verdicts():
        lines.append(f"\n{'met' if met else 'NOT MET'}: {text}")
    lines += [f"\n{note}" for note in table.notes]
    return "\n".join(lines) + "\n"


def all_met(tables: Iterable[Table | Sheet]) -> bool:
    return all(met for table in tables for _, met in table.verdicts())


def _sheet(sheet: Sheet) -> list[str]:
    """Return the lines of a sheet: a row for each candidate."""
    lines = [
        f"## {sheet.name}\n",
        f"| | {' | '.join(sheet.columns)} |",
        f"|---{'|---:' * len(sheet.columns)}|",
    ]
    for name, values in sheet.values.items():
        lines.append(f"| {name} | {' | '.join(f'{value:,.3g}' for value in values)} |")
    return lines


def _table(table: Table) -> list[str]:
    """Return the lines of a table: median, quartiles and ratio."""
    base = table.median(table.baseline)
    lines = [
        f"## {table.name}\n",
        f"| | median, {table.unit} | quartiles | x {table.baseline} |",
        "|---|---:|---:|---:|",
    ]
    for name in sorted(table.samples, key=table.median):
        low, high = table.quartiles(name)
        median = table.median(name)
        ratio = f"{median / base:.2f}" if base else ""
        lines.append(f"| {name} | {median:,.4g} | {low:,.4g} - {high:,.4g} | {ratio} |")
    return lines


def write(tables: Iterable[Table | Sheet], directory: Path) -> None:
    """Write `results.md` and `results.json`."""
    tables = list(tables)
    directory.mkdir(parents=True, exist_ok=True)
    text = "\n".join(["# Measured\n", markdown_header(), *map(markdown, tables)])
    (directory / "results.md").write_text(text)
    data = {**header(), "tables": [asdict(table) for table in tables]}
    (directory / "results.json").write_text(json.dumps(data, indent=1) + "\n")
