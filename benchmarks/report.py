"""Tables as Markdown and JSON, with the circumstances in which they were measured."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.child import ROOT
from benchmarks.measure import Bound, Limit, Sheet, Table

RESULTS = ROOT / "benchmarks" / "results.json"
"""The figures that the documentation shows."""

_PACKAGE = re.compile(r"[\w.-]+")


def packages() -> list[str]:
    """Return the packages of this package, of its peers, and of what the measuring needs."""
    required = importlib.metadata.requires("runagent") or []
    wanted = [
        line for line in required if "extra ==" not in line or "'bench'" in line.replace('"', "'")
    ]
    names = {found[0] for line in wanted if (found := _PACKAGE.match(line))}
    return sorted(names | {"runagent", "httpcore2", "markdown-it-py", "nh3"})


def header(*, quick: bool) -> dict[str, Any]:
    """Return the date, the machine, how busy it was, and the version of everything."""
    versions = {}
    for name in packages():
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    busy = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()}",
        "load": busy,
        "quick": quick,
        "python": platform.python_version(),
        "versions": versions,
    }


def _processor() -> str:
    """Return the name of the processor, or else of its kind."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"^model name\s*: (.+)$", info.read_text(), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()


def markdown_header(found: dict[str, Any]) -> str:
    """Return the circumstances of a run in a sentence or two."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    rounds = "few rounds (`--quick`)" if found["quick"] else "all rounds"
    rounds += f", {found['seconds']:,} s" if "seconds" in found else ""
    return (
        f"{found['date']}, {rounds}; {found['machine']}; load {found['load']} at the beginning; "
        f"Python {found['python']}; {versions}.\n"
    )


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
        lines.append(f"| {name} | {_shown(median)} | {_shown(low)} - {_shown(high)} | {ratio} |")
    return lines


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.4g}"


def to_json(tables: Iterable[Table | Sheet], found: dict[str, Any]) -> dict[str, Any]:
    """Return the tables of one benchmark with the circumstances of its run."""
    return {**found, "tables": [asdict(table) for table in tables]}


def from_json(data: dict[str, Any]) -> list[Table | Sheet]:
    """Return the tables of one benchmark."""
    tables: list[Table | Sheet] = []
    for table in data["tables"]:
        if "columns" in table:
            bounds = [Bound(**bound) for bound in table["bounds"]]
            tables.append(Sheet(**{**table, "bounds": bounds}))
        else:
            limits = [Limit(**limit) for limit in table["limits"]]
            tables.append(Table(**{**table, "limits": limits}))
    return tables


def write(name: str, tables: Iterable[Table | Sheet], found: dict[str, Any], path: Path) -> None:
    """Put the tables of one benchmark into a file, in the place of those that it has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = json.loads(path.read_text()) if path.exists() else {}
    data[name] = to_json(tables, found)
    path.write_text(json.dumps(data, indent=1) + "\n")
