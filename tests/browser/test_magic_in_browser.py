"""The magic in a real JupyterLab: what a person sees while it streams, and after."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from support.lab import Lab

pytestmark = pytest.mark.browser

SLOW = """
import asyncio
from runagent.local import agent

@agent("slow")
async def slow(query: str):
    yield "# A story\\n\\nOnce upon a time"
    while True:
        await asyncio.sleep(0.05)
        yield " there was more"

@agent("breaks")
def breaks(query: str):
    yield "Half an **answer**"
    raise RuntimeError("the model is overloaded")
"""

WRITES = """
from runagent.local import agent

@agent("writes")
def writes(query: list):
    yield "```python\\n"
    for line in query:
        yield line + "\\n"
    yield "```"
"""


def test_the_demo_streams_and_stays(lab: Lab) -> None:
    notebook = lab.open(["%load_ext runagent_jupyter", "%%runagent demo\nWhat can you show me?"])
    notebook.run(0)
    notebook.start_cell(1)
    notebook.wait_for_text(1, "characters")
    notebook.screenshot("magic-streaming")
    notebook.wait_idle()
    assert notebook.output(1).locator("h1", has_text="Hello from the demo agent").count() == 1
    assert notebook.output(1).locator("table").count() == 1
    assert "characters" not in notebook.text(1)
    notebook.screenshot("magic-done")
    saved = notebook.save()
    (output,) = saved.cells[1].outputs
    assert set(output.data) == {"text/html", "text/plain"}
    notebook.reload()
    assert notebook.output(1).locator("h1").count() == 1
    notebook.theme("dark")
    notebook.screenshot("magic-dark")
    notebook.theme("light")


def test_code_is_copied_whole_live_and_after_a_reload(lab: Lab) -> None:
    lines = [f"total_{number} = {number}  # & <so> on" for number in range(1_500)]
    code = "\n".join([*lines, ""])
    notebook = lab.open(
        [f"%load_ext runagent_jupyter{WRITES}", '%%runagent writes\n{"query": {{lines}}}', "pass"]
    )
    notebook.source(2, f"lines = {lines!r}")
    notebook.run(0).run(2).run(1)
    page = notebook.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for _ in range(2):
        assert notebook.output(1).locator(".ra-continued").count() > 1  # a long block is cut
        page.evaluate("navigator.clipboard.writeText('')")
        button = notebook.output(1).get_by_role("button", name="Copy code")
        button.click()
        assert page.evaluate("navigator.clipboard.readText()") == code
        assert (
            page.evaluate("getComputedStyle(document.activeElement, '::before').content")
            == '"Copied"'
        )
        notebook.save()
        notebook.reload()


def test_stop_keeps_what_came_and_the_next_cell_runs(lab: Lab) -> None:
    notebook = lab.open(["%load_ext runagent_jupyter" + SLOW, "%%runagent slow\nx", "print('on')"])
    notebook.run(0)
    notebook.start_cell(1)
    notebook.wait_for_text(1, "there was more")
    notebook.interrupt()
    notebook.wait_for_text(1, "stopped after")
    notebook.wait_idle()
    expect(notebook.output(1)).to_contain_text("Once upon a time")
    notebook.screenshot("magic-stopped")
    assert "on" in notebook.run(2).text(2)


def test_a_failure_stops_run_all(lab: Lab) -> None:
    notebook = lab.open(
        ["%load_ext runagent_jupyter" + SLOW, "%%runagent breaks\nx", "print('not reached')"]
    )
    notebook.run_all()
    expect(notebook.output(1)).to_contain_text("the model is overloaded")
    expect(notebook.output(1)).to_contain_text("Half an answer")
    assert notebook.outputs(2) == []
    notebook.screenshot("magic-error")
