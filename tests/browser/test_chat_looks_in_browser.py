"""How a chat looks: formulas, themes, narrow pages, other writing directions, Notebook 7."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from support.chats import AGENTS, CHAT, answer, ask, chat_in, finished
from support.clock import PATIENCE, milliseconds
from support.lab import SCREENSHOTS, Lab


def test_formulas_are_typeset(lab: Lab) -> None:
    formulas = (
        r"Since $x_i \sim \mathcal{N}(\mu, \sigma^2)$, the score is"
        "\n\n"
        r"$$z = \frac{x - \mu}{\sigma}$$"
        "\n\n"
        r"$$\begin{aligned} a &= \sqrt{b + c} \\ &= \sum_{i=1}^n \hat{y}_i \end{aligned}$$"
    )
    notebook = lab.open([f"w = AgentWidget('echo')\nw.ask({formulas!r}) and None\nw", AGENTS])
    notebook.run(1).run(0)
    chat = chat_in(notebook)
    finished(chat)
    notebook.screenshot("widget-formulas")
    math = answer(chat).locator("math")
    expect(math).to_have_count(3)
    above, below = (math.locator(f"mfrac > :nth-child({n})").bounding_box() for n in (1, 2))
    assert above is not None
    assert below is not None
    assert above["y"] + 5 < below["y"]
    saved = notebook.save().cells[0].outputs[-1]["data"]["text/html"]
    assert "\\frac{x - \\mu}{\\sigma}" in saved  # for viewers that typeset TeX


@pytest.mark.parametrize("name", ["dark", "dark high contrast"])
def test_themes(lab: Lab, name: str) -> None:
    notebook = lab.open(["w = AgentWidget('works')\nw.ask('How many?')\nw", AGENTS])
    notebook.theme(name)
    notebook.run(1).run(0)
    finished(chat_in(notebook))
    notebook.screenshot(f"widget-{name.replace(' ', '-')}")
    colours = "node => [getComputedStyle(node).color, getComputedStyle(node).backgroundColor]"
    text, _ = notebook.output(0).locator(".runagent-markdown").first.evaluate(colours)
    _, background = notebook.output(0).locator(".runagent-chat").evaluate(colours)
    assert contrast(text, background) >= 4.5
    notebook.theme("light")


def test_narrow_right_to_left_and_forced_colours(lab: Lab) -> None:
    wide = f"""
$x = {" + ".join(f"a_{{{i}}}" for i in range(30))}$

|{"Customer|" * 9}
|{"---|" * 9}
|{"1,234,567.89|" * 9}
"""
    cell = f"""
@agent("wide")
def wide(query):
    return {wide!r}

w, v = AgentWidget('echo', title='שיחה'), AgentWidget('wide')
w.ask('שלום עולם') and v.ask('x')
display(w, v)
"""
    notebook = lab.open(
        [cell, AGENTS], width=420, height=900, forced_colors="active", reduced_motion="reduce"
    )
    notebook.command("application:toggle-left-area")
    notebook.run(1).run(0)
    chat, other = (chat_in(notebook).nth(index) for index in (0, 1))
    finished(chat)
    finished(other)
    expect(chat.locator(".runagent-question")).to_have_css("direction", "rtl")
    notebook.screenshot("widget-narrow")
    overflows = "node => node.scrollWidth > node.clientWidth"
    assert [node.evaluate(overflows) for node in (chat, other)] == [False, False]
    for scrolling in (".ra-table", "p:has(math)"):
        expect(other.locator(scrolling)).to_have_css("overflow-x", "auto")
        assert other.locator(scrolling).evaluate(overflows)
    row = other.locator("td").first.bounding_box()
    assert row is not None
    assert row["height"] < 40


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours, as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        channels = [int(number) / 255 for number in re.findall(r"\d+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def test_in_notebook_7(lab: Lab) -> None:
    notebook = lab.open([CHAT])
    server = lab.server
    page = notebook.page.context.new_page()
    page.goto(f"{server.url}notebooks/{notebook.path}?token={server.token}")
    page.locator(".jp-Cell .cm-content").first.click(timeout=milliseconds(PATIENCE))
    page.keyboard.press("Shift+Enter")
    chat = page.locator(".runagent-chat")
    expect(chat.locator(".runagent-empty")).to_be_visible(timeout=milliseconds(PATIENCE))
    ask(chat, "hello")
    finished(chat)
    page.screenshot(path=SCREENSHOTS / "widget-notebook-7.png")
    chat.get_by_role("button", name="Retry").click()
    finished(chat)
    assert lab.watch.foreign == []
