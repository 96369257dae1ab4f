"""The tutorials: notebooks, whose cells have magics."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def prepare(_app: Sphinx, name: str, content: list[str]) -> None:
    """Have the cells of a notebook coloured as IPython's; they are saved as plain Python."""
    if not name.startswith("tutorials/") or not content[0].startswith("{"):
        return
    notebook = json.loads(content[0])
    notebook["metadata"]["language_info"]["pygments_lexer"] = "ipython3"
    content[0] = json.dumps(notebook)
