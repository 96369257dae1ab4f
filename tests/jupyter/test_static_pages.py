"""What a saved notebook shows in viewers that remove styles, scripts, classes, or all of them."""

from __future__ import annotations

import re

import nh3
import pytest
from nbconvert import HTMLExporter, SlidesExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output
from safe_html import text_of
from support.answers import ANSWER, CALLED, outputs
from support.kernel import Kernel
from support.notebooks import executed

from runagent import StreamEvent
from runagent_jupyter import html, steps

# A list like that of GitHub's viewer: no style, class, script or handler, and no MathML.
GITHUB = nh3.Cleaner(
    tags={
        *("a", "b", "blockquote", "br", "code", "details", "div", "em", "h1", "h2", "h3", "h4"),
        *("h5", "h6", "hr", "i", "li", "ol", "p", "pre", "s", "samp", "span", "strong"),
        *("summary", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul"),
    },
    attributes={"a": {"href"}, "details": {"open"}, "td": {"align"}, "th": {"align"}},
)


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Kernel:
    return shared_kernel


def notebook() -> NotebookNode:
    output = new_output("display_data", {"text/html": outputs(), "text/plain": "An answer"})
    made: NotebookNode = new_notebook(cells=[new_code_cell("%%runagent demo", outputs=[output])])
    return made


def test_an_answer_without_styles_and_scripts_can_be_read() -> None:
    found = steps.steps_of([*CALLED, StreamEvent("chunk", ANSWER, ANSWER)])
    answer = steps.folded(found) + html.with_copy_buttons(html.render(ANSWER))
    shown = GITHUB.clean(html.wrap(answer + html.status_line("stopped")))
    parts = [
        "<summary>2 steps",
        "<h1>A heading</h1>",
        "<code>code</code>",
        '<a href="https://example.org"',
        "\\(x^2\\)",
        "<blockquote>",
        '<th align="right">Right</th>',
        '<td align="right">2.5</td>',
        "\u2611</span> done",
        "<pre><code>",
        "<b>class </b>",
        "[image: a picture]",
        "stopped",
    ]
    places = [shown.find(part) for part in parts]
    assert -1 not in places
    assert places == sorted(places)
    assert re.findall("<details[^>]*>", shown)[0] == "<details>"  # the steps are folded
    text = text_of(shown)
    assert not re.search(r"Copy|--runagent|\{color|onclick|execCommand", text)


@pytest.mark.parametrize("exporter", [HTMLExporter, SlidesExporter])
def test_exported_pages_have_the_answer_with_its_formulas(exporter: type[HTMLExporter]) -> None:
    page, _ = exporter().from_notebook_node(notebook())
    assert "<msup><mi>x</mi><mn>2</mn></msup>" in page
    assert '<td align="right">2.5</td>' in page
    assert page.count("A heading") == 3  # an answer, and a chat's two
    assert (
        "content-visibility"
        not in page.replace(".jp-NotebookPanel .runagent-markdown > *", "")[: page.index("<body")]
    )


def test_a_chat_without_its_view_says_what_it_is(kernel: Kernel) -> None:
    shown = kernel.execute("from runagent_jupyter import AgentWidget\nAgentWidget('demo')").ok()
    texts = [output["data"]["text/plain"] for output in shown.outputs]
    assert texts[0] == "Chat with demo"
    assert not any(" object at 0x" in text for text in texts)


def test_an_executed_notebook_has_the_answers_of_cells_and_chats() -> None:
    made = executed(
        "%load_ext runagent_jupyter\nfrom runagent_jupyter import chat",
        "%%runagent demo\nhello",
        "w = chat('demo')\ndisplay(w)\nw.ask('in its cell') and None",
        "w.ask('in another cell') and None",
    )
    _, answer, talk, later = (str(cell.outputs) for cell in made.cells)
    assert "Hello from the demo agent" in answer
    assert "Hello from the demo agent" in talk
    assert "in its cell" in talk
    assert "in another cell" in talk
    assert later == "[]"
