"""The tutorials: notebooks of the folder `notebooks`, to which `tutorials` has links."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_LINK = re.compile(r"\[([^]]+)\]\(([\w-]+)\.ipynb\)")


def prepare(_app: Sphinx, name: str, content: list[str]) -> None:
    """Make a notebook fit for Sphinx.

    Cells are coloured as those of IPython, which have magics. Sphinx follows the links of files,
    so it would look for the target of a link to another notebook in the wrong folder.
    """
    if not name.startswith("tutorials/") or not content[0].startswith("{"):
        return
    notebook = json.loads(content[0])
    notebook["metadata"]["language_info"]["pygments_lexer"] = "ipython3"
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            text = "".join(cell["source"])
            cell["source"] = _LINK.sub(r"{doc}`\1 </tutorials/\2>`", text)
    content[0] = json.dumps(notebook)
