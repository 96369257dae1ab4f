"""The attack corpus and a tour of Markdown in a real page: nothing runs, nothing is requested."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attacks import IN_PAGES
from picture_files import PNG
from playwright.sync_api import Browser, Page, expect
from support.answers import outputs
from support.beacon import Beacon, provoke
from support.chromium import new_page
from support.clock import MOMENT, milliseconds
from support.lab import Lab

import runagent_jupyter
from runagent_jupyter.html import (
    MarkdownStream,
    code,
    compact,
    css,
    escape,
    json_tree,
    plain,
    record_table,
    render,
    with_copy_buttons,
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


STATIC = Path(runagent_jupyter.__file__).parent / "static"
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
    page = new_page(browser)
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
    for start in range(0, len(IN_PAGES), 60):
        texts = [attack.text(beacon.url) for attack in IN_PAGES[start : start + 60]]
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
    for attack in IN_PAGES:
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


def test_formulas_are_shown_once_in_jupyterlab(lab: Lab) -> None:
    formulas = ["$x^2$", "\\(a \\le b\\)", "$$\n\\frac{1}{2}\n$$", "\\[\nc\n\\]", "a $$d$$ b"]
    unknown = "$\\text{5 \\$}$"  # to the converter
    others = [
        "costs $5 and $6",
        "`$x$` \\$y\\$",
        "a \\\\(b\\\\) c",
        "[$5](https://a.b) $6",
        "*$5* $6",
    ]
    others += [
        text
        for attack in IN_PAGES
        if attack.category == "tex" and "ra-math" not in render(text := attack.text())
    ]
    assert len(others) > 40
    notebook = lab.open(
        [
            f"from runagent_jupyter.html import render, wrap\nfrom IPython.display import HTML\n"
            f"HTML(wrap(render({text!r})))"
            for text in ("\n\n".join([*formulas, unknown]), "\n\n".join(others))
        ]
    )
    notebook.run_all()
    typeset = "mjx-container"
    math, tex = (notebook.output(0).locator(selector) for selector in ("span > math", "ra-tex"))
    expect(notebook.output(0).locator(typeset)).to_have_count(1)
    expect(math.filter(visible=True)).to_have_count(len(formulas))
    expect(tex).to_have_count(len(formulas))
    size = "nodes => Math.max(...nodes.map(node => node.offsetWidth * node.offsetHeight))"
    assert tex.evaluate_all(size) <= 1
    notebook.page.wait_for_timeout(milliseconds(3 * MOMENT))
    assert notebook.output(0).locator(typeset).count() == 1
    assert notebook.output(1).locator(typeset).count() == 0
    expect(notebook.output(1)).to_contain_text("costs $5 and $6")
    assert lab.watch.console == []
    assert lab.watch.foreign == []

    # A notebook of somebody else: JupyterLab removes styles and MathML, and typesets the TeX.
    untrusted = notebook.save()
    untrusted.cells[0].outputs[0].data["text/html"] += "changed"
    notebook = lab.open(untrusted, name="untrusted.ipynb")
    expect(notebook.output(0).locator(typeset)).to_have_count(len(formulas) + 1)
    expect(notebook.output(0).locator("style, ra-tex")).to_have_count(0)
    hidden = notebook.output(0).locator(".ra-math > [style^=display]")
    expect(hidden).to_have_count(len(formulas))
    assert hidden.filter(visible=True).count() == 0


def test_a_reader_sees_mathml_and_copies_tex(page: Page) -> None:
    answer = wrap(render("Since $x^2$ and $$\\frac{a}{b}$$ and $\\text{5 \\$}$."))
    page.set_content(
        f"<!doctype html><meta charset=utf-8><main>{answer}</main><textarea></textarea>"
    )
    copied = """() => {
      getSelection().selectAllChildren(document.querySelector(".runagent-markdown"));
      return getSelection().toString().split(/\\s+/).join(" ");
    }"""
    assert (
        page.evaluate(copied) == "Since \\(x^2\\) and \\[\\frac{a}{b}\\] and \\(\\text{5 \\$}\\)."
    )
    above, below = (page.locator(f"mfrac > :nth-child({n})").bounding_box() for n in (1, 2))
    assert above is not None
    assert below is not None
    assert above["y"] + 5 < below["y"]
    # Without styles, only one of the two is there.
    page.evaluate("document.querySelectorAll('style').forEach((node) => node.remove())")
    visible = "nodes => nodes.filter((node) => node.checkVisibility()).length"
    assert page.locator("math").evaluate_all(visible) == 0
    box = page.locator("ra-tex").first.bounding_box()
    assert box is not None
    assert box["width"] > 10


LINE = "def f(a): return a + 1  # <so> & on\n"
BLOCKS = {
    "alone": f"```python\n{LINE * 12_000}```\n",
    "in a list": f"- item\n\n  ```python\n{f'  {LINE}' * 12_000}  ```\n\nafter\n\n```\nmore\n```\n",
}


@pytest.mark.parametrize("place", BLOCKS)
def test_a_very_long_block_of_code_is_copied_whole(page: Page, place: str) -> None:
    open_page(page, wrap(with_copy_buttons(render(BLOCKS[place]))) + "<textarea></textarea>")
    assert page.locator(".ra-continued").count() > 10
    button = page.get_by_role("button", name="Copy code").first
    page.locator(".ra-code").first.hover()
    button.click()
    expect(button).to_have_attribute("value", "Copied")
    page.evaluate(
        """() => addEventListener("paste", (event) => {
            window.pasted = event.clipboardData.getData("text/plain");
            event.preventDefault();
        })"""
    )
    page.locator("textarea").focus()
    page.keyboard.press("Control+V")
    assert page.evaluate("window.pasted") == LINE * 12_000


def test_each_block_of_an_answer_is_copied_by_its_own_button(page: Page) -> None:
    blocks = "".join(f"```\n{name}\n```\n\n" for name in ("a", "b"))
    answers = [wrap(with_copy_buttons(render(text))) for text in (blocks, "    c\n", blocks)]
    open_page(page, "".join(answers))
    page.evaluate(
        """() => {
            window.copied = [];
            const setData = DataTransfer.prototype.setData;
            DataTransfer.prototype.setData = function (kind, text) {
                window.copied.push(text);
                setData.call(this, kind, text);
            };
        }"""
    )
    for button in page.get_by_role("button", name="Copy code").all():
        button.focus()
        button.click()
        expect(button).to_have_attribute("value", "Copied")
    assert page.evaluate("window.copied") == ["a\n", "b\n", "c\n", "a\n", "b\n"]


@pytest.mark.parametrize("policy", ["", "script-src 'self'"])
def test_a_copy_button_is_seen_where_it_works(page: Page, policy: str) -> None:
    page.route(
        "http://page.test/",
        lambda route: route.fulfill(
            body=wrap(with_copy_buttons(render("```python\nx = 1\n```"))),
            headers={"Content-Type": "text/html", "Content-Security-Policy": policy},
        ),
    )
    page.goto("http://page.test/")
    button = page.get_by_role("button", name="Copy code")
    expect(button).to_have_css("opacity", "0")
    page.locator(".ra-code").hover()
    expect(button).to_have_css("opacity", "0" if policy else "1")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("theme", ["", "data-jp-theme-light=true"])
def test_the_rules_that_an_answer_carries_look_like_the_whole_sheet(
    page: Page, scheme: str, theme: str
) -> None:
    colours = "#111;background:#fff" if scheme == "light" else "#ddd;background:#111"
    others = "".join((STATIC / f"{name}.css").read_text() for name in ("outputs", "saved"))
    # The sheets of several answers stand in one page.
    alerts = [wrap(render(f"> [!{kind}]\n> a\n")) for kind in ("tip", "note", "warning", "note")]
    own = outputs() + "".join(alerts)
    whole = f"<style>{css()}{compact(others)}</style>" + re.sub(r"<style>.*?</style>", "", own)
    pictures = []
    # Where a page scrolls, chromium rounds the place of a sticky header now up, now down.
    page.set_viewport_size({"width": 1280, "height": 5_000})
    for content in (whole, own):
        page.set_content(f'<body {theme} style="color:{colours}">{content}')
        page.evaluate(
            "document.querySelectorAll('details').forEach((node) => { node.open = true })"
        )
        page.locator(".ra-code").first.hover()
        assert page.evaluate("document.documentElement.scrollHeight") == 5_000
        pictures.append(page.screenshot(animations="disabled"))
    assert pictures[0] == pictures[1]
