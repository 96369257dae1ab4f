"""The attack corpus and a tour of Markdown in a real page: nothing runs, nothing is requested."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from attacks import ATTACKS
from picture_files import PNG
from playwright.sync_api import Browser, Page, expect
from support.beacon import Beacon, provoke
from support.clock import MOMENT, milliseconds
from support.lab import Lab

from runagent_jupyter.html import (
    MarkdownStream,
    code,
    escape,
    json_tree,
    plain,
    record_table,
    render,
    wrap,
)


def streamed(text: str) -> str:
    """Every state that a display goes through, one below the other."""
    stream = MarkdownStream()
    shown = []
    step = max(1, len(text) // 20)
    for start in range(0, len(text), step):
        stream.feed(text[start : start + step])
        shown.append(stream.tail())
    stream.finish()
    return "".join(shown) + stream.html()


WAYS: dict[str, Callable[[str], str]] = {
    "render": render,
    "stream": streamed,
    "plain": plain,
    "escape": escape,
    "code": lambda text: code(text, text),
    "tree": lambda text: json_tree({text: [text]}),
    "table": lambda text: record_table([{text: text}]),
    "picture": lambda text: json_tree({"image": PNG, "alt": text}),
}


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def open_page(page: Page, body: str) -> list[str]:
    """Show HTML; what is requested meanwhile is in the list."""
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("dialog", lambda dialog: dialog.dismiss())
    page.set_content(f"<!doctype html><meta charset=utf-8><main>{body}</main><footer>end</footer>")
    return requests


def test_this_page_would_show_an_attack_that_works(page: Page, beacon: Beacon) -> None:
    open_page(page, f'<img src="{beacon.url}/x.png" onerror="window.__pwned=1">')
    page.wait_for_function("window.__pwned === 1")
    assert beacon.requests == ["/x.png"]


@pytest.mark.parametrize("way", WAYS)
def test_nothing_runs_and_nothing_is_requested(page: Page, beacon: Beacon, way: str) -> None:
    for start in range(0, len(ATTACKS), 60):
        texts = [attack.text(beacon.url) for attack in ATTACKS[start : start + 60]]
        page.goto("about:blank")
        requests = open_page(page, "".join(wrap(WAYS[way](text)) for text in texts))
        provoke(page)
        assert page.evaluate("window.__pwned") is None
        assert page.evaluate("document.querySelectorAll('main [id], main [name]').length") == 0
        # Each answer stays in its own root, and the page around them is as it was.
        roots = "document.querySelectorAll('main > .runagent-markdown').length"
        assert page.evaluate(roots) == len(texts)
        assert page.evaluate("document.body.children.length") == 2
        assert page.locator("footer").is_visible()
        assert requests == []
    assert beacon.requests == []


def test_the_page_sees_the_html_that_was_made(page: Page) -> None:
    """A browser parses the HTML and writes it again unchanged: no mutation is left to make."""
    for attack in ATTACKS:
        if attack.category == "size":
            continue
        made = render(attack.text())
        again = page.evaluate(
            """made => {
                const root = document.createElement("div");
                root.innerHTML = made;
                const once = root.innerHTML;
                root.innerHTML = once;
                return [once, root.innerHTML];
            }""",
            made,
        )
        assert again[0] == again[1]
        assert again[0].count("<") == made.count("<"), str(attack)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(browser: Browser, scheme: str) -> None:
    text = "Text `code` [link](https://a.b)\n\n> quote\n\n```py\ndef f(): return 1 # c\n```\n"
    page = browser.new_page(color_scheme="dark" if scheme == "dark" else "light")
    page.set_content(
        "<!doctype html><body style='color-scheme: light dark; background: Canvas'>"
        + wrap(
            render(text) + json_tree({"a": [1, "b", None]}) + record_table([{"a": 1, "b": None}])
        )
    )
    contrasts = page.evaluate(
        """() => {
            const rgb = text => text.match(/[\\d.]+/g).map(Number);
            const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
                .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
                .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
            const behind = node => {
                for (; node; node = node.parentElement) {
                    const color = getComputedStyle(node).backgroundColor;
                    if (!/, 0\\)$/.test(color)) return rgb(color);
                }
            };
            return [...document.querySelectorAll(".runagent-markdown *")]
                .filter(node => [...node.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
                .map(node => [light(rgb(getComputedStyle(node).color)), light(behind(node))])
                .map(([a, b]) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
        }"""
    )
    page.close()
    assert len(contrasts) > 15
    assert min(contrasts) >= 4.5


def test_jupyterlab_typesets_formulas_and_nothing_else(lab: Lab) -> None:
    formulas = ["$x^2$", "\\(a \\le b\\)", "$$\n\\frac{1}{2}\n$$", "\\[\nc\n\\]", "a $$d$$ b"]
    others = [
        "costs $5 and $6",
        "`$x$` \\$y\\$",
        "a \\\\(b\\\\) c",
        "[$5](https://a.b) $6",
        "*$5* $6",
    ]
    others += [
        text
        for attack in ATTACKS
        if attack.category == "tex" and "runagent-math" not in render(text := attack.text())
    ]
    assert len(others) > 40
    notebook = lab.open(
        [
            f"from runagent_jupyter.html import render, wrap\nfrom IPython.display import HTML\n"
            f"HTML(wrap(render({text!r})))"
            for text in ("\n\n".join(formulas), "\n\n".join(others))
        ]
    )
    notebook.run_all()
    typeset = "mjx-container"
    expect(notebook.output(0).locator(typeset)).to_have_count(len(formulas))
    notebook.page.wait_for_timeout(milliseconds(3 * MOMENT))
    assert notebook.output(1).locator(typeset).count() == 0
    expect(notebook.output(1)).to_contain_text("costs $5 and $6")
    assert lab.watch.console == []
    assert lab.watch.foreign == []
