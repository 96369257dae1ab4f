"""The outputs of a cell in a real JupyterLab: others' outputs, a reload, an error of one's own."""

from __future__ import annotations

from playwright.sync_api import expect
from support.lab import Lab, LabNotebook

AGENTS = """
%load_ext runagent_jupyter
import asyncio
from IPython.display import HTML, display
from runagent.local import agent
from runagent_jupyter import AgentWidget
goes_on = False

@agent("charts")
async def charts(query: str):
    await asyncio.sleep(0.5)
    display(HTML("<b>a chart of the agent's</b>"))
    print("printed by the agent")
    for number in range(20):
        yield f"word {number} "
        await asyncio.sleep(0.02)

@agent("waits")
async def waits(query: str):
    yield "# The beginning\\n\\nand then"
    while not goes_on:
        await asyncio.sleep(0.02)
    yield " the end"

@agent("goes on and on")
async def goes_on_and_on(query: str):
    for number in range(400):
        yield f"paragraph {number} " + 20 * "with `some` **words** " + "\\n\\n"
        await asyncio.sleep(0.005)

@agent("fails")
async def fails(query: str):
    yield "half an answer"
    rows = [1, 2]
    raise KeyError("price")
"""


def cut_off_seen(notebook: LabNotebook, index: int) -> tuple[bool, bool]:
    """Return whether the running status and the note that it was cut off are visible."""
    output = notebook.output(index)
    shown = [output.locator(f".runagent-{name}") for name in ("running", "cut-off")]
    return tuple(
        part.evaluate("e => getComputedStyle(e).visibility == 'visible' && e.offsetHeight > 0")
        for part in shown
    )


def test_an_answer_leaves_what_others_put_into_the_cell(lab: Lab) -> None:
    notebook = lab.open([AGENTS, "%%runagent charts\nx"])
    notebook.run(0).run(1)
    text = notebook.text(1)
    assert text.count("a chart of the agent's") == text.count("printed by the agent") == 1
    assert text.count("word 19") == 1
    assert "characters" not in text
    empty = [
        output for output in notebook.outputs(1) if output.get("data", {}).get("text/html") == ""
    ]
    assert empty
    heights = (
        notebook.output(1)
        .locator(".jp-OutputArea-child")
        .evaluate_all("children => children.map((child) => child.offsetHeight)")
    )
    assert [height for height in heights if not height] == [0] * len(empty)
    notebook.screenshot("outputs-of-others")


def test_a_page_reloaded_while_an_answer_streams_says_that_it_is_cut_off(lab: Lab) -> None:
    # In a page of its own, as it is left while it loads.
    cells = [AGENTS, "%%runagent waits\nx", "goes_on = True", "pass"]
    notebook = lab.open(cells)
    notebook.source(3, "print(Out[2].text)")
    notebook.run(0)
    notebook.start_cell(1)
    notebook.wait_for_text(1, "and then")
    expect(notebook.output(1).locator(".runagent-running")).to_have_count(1)
    # As if the answer had been painted just now, as it is every few seconds.
    notebook.page.evaluate("document.getAnimations().forEach((each) => { each.currentTime = 0; })")
    assert cut_off_seen(notebook, 1) == (True, False)
    notebook.screenshot("outputs-streaming")
    saved = notebook.save().cells[1].outputs
    assert "_ has the whole answer" in saved[-1].data["text/html"]
    notebook.reload(busy=True)
    notebook.wait_for_text(1, "and then")
    # As if the time had passed in which every painting begins the animations anew.
    notebook.page.evaluate("document.getAnimations().forEach((animation) => animation.finish())")
    assert cut_off_seen(notebook, 1) == (False, True)
    assert "_ has the whole answer" in notebook.text(1)
    for theme in ("light", "dark"):
        notebook.theme(theme)
        notebook.page.evaluate("document.getAnimations().forEach((each) => each.finish())")
        notebook.screenshot(f"outputs-cut-off-{theme}")


def test_no_frame_is_blank_when_an_answer_ends(lab: Lab) -> None:
    notebook = lab.open([AGENTS, "%%runagent 'goes on and on'\nx"])
    notebook.run(0)
    notebook.output(1).evaluate(
        """output => {
          const frames = window.frames_seen = [];
          const look = () => {
            frames.push(output.textContent.split("paragraph").length - 1);
            requestAnimationFrame(look);
          };
          requestAnimationFrame(look);
        }"""
    )
    notebook.run(1)
    notebook.wait_for_text(1, "paragraph 399")
    notebook.page.wait_for_function("window.frames_seen.at(-1) == 400")
    frames = notebook.page.evaluate("window.frames_seen")
    shown = frames[next(index for index, count in enumerate(frames) if count) :]
    assert 0 not in shown
    assert len(notebook.outputs(1)) == 1


def test_an_error_of_the_user_s_own_is_shown_with_its_line(lab: Lab) -> None:
    notebook = lab.open(
        [
            AGENTS,
            "%%runagent fails\nx",
            "w = AgentWidget('fails')\nw",
            "w.ask('x')",
            "%runagent_usage",
        ]
    ).render_all()
    notebook.run(0).run(1).run(2).run(3).run(4)
    for index in (1, 2):
        notebook.wait_for_text(index, "in fails")
        assert 'raise KeyError("price")' in notebook.text(index)
    for theme in ("light", "dark"):
        notebook.theme(theme)
        notebook.screenshot(f"outputs-own-error-{theme}")
