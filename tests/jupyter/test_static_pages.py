"""What a saved notebook shows in viewers that remove styles, scripts, classes, or all of them."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any

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


TALKS = """
import asyncio, threading
from IPython.display import display
from ipywidgets import HBox, Tab, VBox
from runagent.local import agent
from runagent_jupyter import AgentWidget

@agent("echo")
def echo(query: str, **_):
    return f"You said **{query}**"

@agent("waits")
async def waits(query: str, **_):
    yield f"Wait for {query}"
    await asyncio.Event().wait()

def page_asks(text):
    w._received(w, {"type": "ask", "text": text}, [])

ended = threading.Event()
"""

SHOWN = "w = AgentWidget('echo')\nw.observe(lambda change: change.new or ended.set(), 'busy')\n"


@pytest.mark.parametrize(
    ("shown", "asking"),
    [
        ("w", ["(await w.ask_async('Really?')) and None"]),
        (
            "w",
            ["asking = asyncio.ensure_future(w.ask_async('Really?'))", "(await asking) and None"],
        ),
        ("w", ["threading.Thread(target=w.ask, args=['Really?']).start()", "ended.wait()"]),
        ("w", ["page_asks('Really?')", "assert ended.wait()"]),
        ("display(w, display_id='named'); None", ["page_asks('Really?')\nassert ended.wait()"]),
        ("VBox([w])", ["w.ask('Really?') and None"]),
        ("display(Tab([HBox([w])]))", ["w.ask('Really?') and None"]),
    ],
    ids=["await", "task", "thread", "page", "named", "box", "tab in a box"],
)
def test_an_executed_notebook_has_what_was_asked_in_later_cells(
    shown: str, asking: list[str]
) -> None:
    made = executed(TALKS, SHOWN + shown, *asking)
    talk = made.cells[1].outputs
    copies = [output.data["text/html"] for output in talk if "Really?" in str(output)]
    assert len(copies) == 1
    assert "You said <strong>Really?</strong>" in copies[0]
    states = made.metadata.widgets["application/vnd.jupyter.widget-state+json"].state.values()
    assert [saved_turns(state) for state in states if "_snapshot" in state.state] == [
        [{"role": "user", "text": "Really?"}, {"role": "agent", "status": "done"}]
    ]


def saved_turns(state: dict[str, Any]) -> list[dict[str, Any]]:
    """The turns in the saved state of a widget, without the HTML of the answers."""
    (buffer,) = state["buffers"]
    turns = json.loads(zlib.decompress(base64.b64decode(buffer["data"])))["turns"]
    return [
        {name: turn[name] for name in ("role", "text", "status") if name in turn} for turn in turns
    ]


def test_an_executed_notebook_forgets_what_was_cleared_and_marks_what_is_cut_off() -> None:
    made = executed(
        TALKS,
        "w = AgentWidget('waits')\nw",
        "page_asks('the first')\nwhile not w.turns[-1].text: await asyncio.sleep(0.01)",
    )
    assert "Wait for the first" in str(made.cells[1].outputs)
    assert "Cut off here" in str(made.cells[1].outputs)
    made = executed(TALKS, "w = AgentWidget('echo')\nw", "w.ask('x') and None", "w.clear()")
    assert "You said" not in str(made.cells[1].outputs)


def test_a_box_without_a_chat_is_shown_as_ever(kernel: Kernel) -> None:
    boxes = "from ipywidgets import Text, VBox\nVBox([Text('x')])"
    before = kernel.execute(boxes).ok().outputs
    kernel.execute("from runagent_jupyter import AgentWidget\nw = AgentWidget('demo')").ok()
    after = kernel.execute(boxes).ok().outputs
    assert [output["output_type"] for output in before] == ["execute_result"]
    assert [set(output["data"]) for output in after] == [set(output["data"]) for output in before]
