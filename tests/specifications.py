"""The examples of CommonMark and GFM; their files name the sources and the licence."""

from __future__ import annotations

import json
from pathlib import Path

_FOLDER = Path(__file__).parent / "jupyter" / "markdown_specs"


def examples(name: str) -> dict[int, dict[str, str]]:
    """Return the examples of `"commonmark"` or `"gfm"` by their numbers."""
    loaded = json.loads((_FOLDER / f"{name}.json").read_text("utf-8"))["examples"]
    return {example["example"]: example for example in loaded}
