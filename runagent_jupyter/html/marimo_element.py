"""Safe HTML in marimo's own element for outputs, for marimo's chat and for its Markdown."""

from __future__ import annotations

import json
import re
from typing import Final

_PUNCTUATION: Final = re.compile(r"[!-/:-@\[-`{-~]")


def marimo_element(content: str) -> str:
    """Put HTML into an attribute of an element that shows it.

    marimo reads an object in ``mo.md`` as Markdown again, and the text in a chat too. There, what
    was escaped once would become a link or an image. So the attribute has no character that means
    anything in Markdown or HTML.

    Args:
        content: Safe HTML that stands alone, from ``wrap``.

    Returns:
        One line of HTML.
    """
    # marimo's sanitizer removes an attribute with `</style` in it.
    data = json.dumps(content, ensure_ascii=False).replace("<", r"\u003c").replace(">", r"\u003e")
    data = _PUNCTUATION.sub(_reference, data)
    mime = _PUNCTUATION.sub(_reference, json.dumps("text/html"))
    return f"<marimo-mime-renderer data-mime='{mime}' data-data='{data}'></marimo-mime-renderer>"


def _reference(found: re.Match[str]) -> str:
    return f"&#{ord(found.group())};"
