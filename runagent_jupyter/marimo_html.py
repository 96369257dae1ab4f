"""HTML of this package as an object of marimo's, which may stand in a cell and in `mo.md`."""

from __future__ import annotations

from typing import Any

from runagent_jupyter import html


def marimo_html(content: str) -> Any:
    """Return HTML as an object of marimo's.

    Args:
        content: Safe HTML that stands alone, from `html.wrap`.

    Returns:
        An `Html`. It stays safe where marimo reads it again, as `mo.md` does.

    Raises:
        ModuleNotFoundError: marimo is not installed; marimo alone asks for this.
    """
    import marimo  # noqa: PLC0415 - optional

    return marimo.Html(html.marimo_element(content))
