"""`python -m benchmarks figures`: write the figures of `results.json` into the documentation."""

from __future__ import annotations

import json
from typing import Any

from benchmarks import report
from benchmarks.child import ROOT

PAGE = ROOT / "docs" / "performance.md"
BEGIN = "<!-- figures of `python -m benchmarks figures`: begin -->"
END = "<!-- figures: end -->"


def page(text: str, results: dict[str, Any]) -> str:
    """Return a page with the figures of all benchmarks between its two marks.

    Raises:
        ValueError: A page without the marks.
    """
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the page has no {BEGIN} with a {END} behind it")
    return f"{before}{BEGIN}\n\n{figures(results)}\n{END}{after}"


def figures(results: dict[str, Any]) -> str:
    """Return what was promised and found, and then all tables."""
    tables = {name: report.from_json(data) for name, data in results.items()}
    lines = ["### What is asked for, and what was found\n", "| | | |", "|---|---|---|"]
    for found in tables.values():
        for table in found:
            for text, met in table.verdicts():
                lines.append(f"| {table.name} | {text} | {'met' if met else '**NOT MET**'} |")
    lines += ["", "### All tables\n"]
    for name, found in tables.items():
        data = results[name]
        lines += [f"`python -m benchmarks {name}`: {report.markdown_header(data)}"]
        lines += [report.markdown(table).replace("## ", "#### ", 1) for table in found]
    return "\n".join(lines)


def write() -> None:
    """Write the figures into the page."""
    results = json.loads(report.RESULTS.read_text())
    PAGE.write_text(page(PAGE.read_text(), results))
