"""`%%runagent --each` in JupyterLab: the table grows, is stopped, and looks right once it is saved."""

from __future__ import annotations

import re

from playwright.sync_api import expect
from support.beacon import Beacon, provoke
from support.lab import Lab, LabNotebook

SETUP = """
%load_ext runagent_jupyter
import threading
import pandas as pd
from runagent.local import agent

gate = threading.Event()
attack = "<img src='{url}/image' onerror=fetch('{url}/script')><script>fetch('{url}/tag')</script>"

@agent("reads")
def reads(query: str):
    if "wait" in query:
        gate.wait(600)
    if "boom" in query:
        raise RuntimeError(f"no **good** {{attack}}")
    return {{"label": f"[good](javascript:fetch('{url}/link')) {{attack}}", "stars": len(query)}}

texts = ["Lovely", "boom", "Fine", "wait one", "wait two", "wait three"]
df = pd.DataFrame({{"text": texts, "shop": ["north", "south"] * 3}})
"""

ASK = "%%runagent reads --each df --out answers --output label,stars --max-concurrency 4\n{{text}}"


def opened(lab: Lab, beacon: Beacon) -> LabNotebook:
    cells = [SETUP.format(url=beacon.url), ASK, "gate.set()", "print(list(answers.status))"]
    return lab.open(cells, width=900, height=1_000).run(0)


def assert_shown_as_text(notebook: LabNotebook, lab: Lab, beacon: Beacon) -> None:
    """Assert that no answer does anything, whatever a reader does."""
    output = notebook.output(1)
    expect(output).to_contain_text("onerror=fetch")
    expect(output.locator("img, script, a[href]")).to_have_count(0)
    provoke(notebook.page)
    assert beacon.requests == []
    assert lab.watch.foreign == []


def test_a_growing_table_is_safe_and_its_final_state_is_saved(lab: Lab, beacon: Beacon) -> None:
    notebook = opened(lab, beacon)
    notebook.start_cell(1)
    notebook.wait_for_text(1, "3 of 6 rows")
    rows = notebook.output(1).locator("tbody tr")
    expect(rows).to_have_count(3)
    notebook.screenshot("each-growing")
    notebook.interrupt()
    notebook.wait_for_text(1, re.compile("stopped", re.IGNORECASE))
    notebook.wait_idle()
    assert_shown_as_text(notebook, lab, beacon)
    notebook.run(2).run(3)
    assert "['ok', 'failed', 'ok', 'pending', 'pending', 'pending']" in notebook.text(3)
    for name in ("light", "dark"):
        notebook.theme(name)
        notebook.screenshot(f"each-stopped-{name}")
    notebook.theme("light")
    before = notebook.text(1)
    notebook.save()
    notebook.reload().render_all()
    expect(notebook.output(1)).to_contain_text("3 of 6 rows")
    assert notebook.text(1) == before
    assert_shown_as_text(notebook, lab, beacon)


def test_the_table_of_a_finished_batch_can_be_read(lab: Lab, beacon: Beacon) -> None:
    notebook = opened(lab, beacon)
    notebook.run(2).run(1)
    notebook.wait_for_text(1, "6 of 6 rows")
    expect(notebook.output(1).locator("tbody tr")).to_have_count(6)
    assert_shown_as_text(notebook, lab, beacon)
    for name in ("light", "dark"):
        notebook.theme(name)
        notebook.screenshot(f"each-done-{name}")
    notebook.theme("light")
