"""The examples of a page of the documentation."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(r"^```python *(.*)\n((?:.*\n)*?)```$", re.MULTILINE)


def examples(page: str, tag: str) -> str:
    """Return the code of a page below `docs` whose blocks have a tag, one after the other."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    found = [code for tags, code in _BLOCK.findall(text) if tag in (tags, *tags.split())]
    assert found, f"{page} has no example for {tag!r}"
    return "\n".join(found)
