"""Exported notebooks as they are printed, and as slides: nothing is cut off."""

from __future__ import annotations

from typing import Any

import pytest
from nbconvert import HTMLExporter, SlidesExporter
from nbformat.v4 import new_code_cell, new_notebook, new_output
from playwright.sync_api import Browser, Page
from support.chromium import new_page

from runagent_jupyter import html

WIDE = "| " + " | ".join(f"column{number}" for number in range(9)) + " |\n|" + "--|" * 9
ANSWER = f"```\n{'x' * 500}\n```\n\n{WIDE}\n| {' | '.join(['y' * 40] * 9)} |\n\n> A quotation\n"
ROWS: list[dict[str, Any]] = [{"name": f"row {number}", "size": number} for number in range(80)]

# Elements of answers that show less than they have, or that reach over the edge of the page.
CUT_OFF = """() => [...document.querySelectorAll(".runagent-markdown, .runagent-markdown *")]
  .filter((node) => {
    const isCut = node.scrollWidth > node.clientWidth + 1 || node.scrollHeight > node.clientHeight + 1;
    const isClipped = isCut && getComputedStyle(node).overflow !== "visible";
    return isClipped || node.getBoundingClientRect().right > innerWidth;
  })
  .map((node) => node.outerHTML.slice(0, 80))
"""


@pytest.fixture
def page(browser: Browser) -> Page:
    return new_page(browser, viewport={"width": 720, "height": 900})


def exported(exporter: HTMLExporter) -> str:
    answers = (html.with_copy_buttons(html.render(ANSWER)), html.record_table(ROWS))
    outputs = [
        new_output("display_data", {"text/html": html.wrap(answer), "text/plain": "An answer"})
        for answer in answers
    ]
    page, _ = exporter.from_notebook_node(
        new_notebook(cells=[new_code_cell("%%runagent demo", outputs=outputs)])
    )
    return str(page)


def show(page: Page, content: str) -> None:
    """Show a page that can load nothing."""
    page.route("**/*", lambda route: route.abort())
    page.set_content(content, wait_until="domcontentloaded")


def test_nothing_is_cut_off_on_paper(page: Page) -> None:
    show(page, exported(HTMLExporter()))
    assert len(page.evaluate(CUT_OFF)) >= 3  # on the screen, these scroll
    page.emulate_media(media="print")
    assert page.evaluate(CUT_OFF) == []
    assert page.locator(".runagent-records tr").count() == 81
    page.close()


def test_slides_leave_code_and_quotations_as_they_are(page: Page) -> None:
    show(page, exported(SlidesExporter()))
    # Rules that reveal.js has for all slides; it is not loaded here.
    page.add_style_tag(
        content=".reveal :is(pre, blockquote) { width: 70%; box-shadow: 0 0 9px; font-style: italic }"
    )
    for name in ("pre", "blockquote"):
        styles = page.locator(f".runagent-markdown {name}").first.evaluate(
            "n => { const s = getComputedStyle(n); return [s.boxShadow, s.fontStyle]; }"
        )
        assert styles == ["none", "normal"]
    page.close()
