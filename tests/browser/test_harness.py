"""`Lab` does and sees what a user of JupyterLab does and sees."""

from __future__ import annotations

import time

from playwright.sync_api import expect
from support.clock import PATIENCE, TICK, milliseconds
from support.lab import Lab


def test_cells_run_and_show_what_is_still_there_after_a_reload(lab: Lab) -> None:
    notebook = lab.open(
        [
            "%%markdown\n# A heading",
            "print(1 + 1)",
            "from IPython.display import Markdown\nMarkdown('**bold** move')",
            "1 / 0",
            "print('never')",
        ]
    )
    notebook.run_all()
    assert notebook.text(1).strip() == "2"
    expect(notebook.output(2).locator("strong")).to_have_text("bold")
    assert "<strong>bold</strong>" in notebook.html(2)
    assert "ZeroDivisionError" in notebook.text(3)
    assert notebook.outputs(3)[0]["ename"] == "ZeroDivisionError"
    assert notebook.outputs(4) == []
    notebook.source(4, "print('at last')")
    assert notebook.run(4).text(4).strip() == "at last"
    saved = notebook.save()
    assert saved.cells[4].outputs[0].text == "at last\n"
    notebook.reload()
    assert notebook.text(4).strip() == "at last"
    assert lab.watch.console == []
    assert lab.watch.foreign == []


def test_what_must_not_happen_is_noticed(lab: Lab) -> None:
    notebook = lab.open(
        [
            """
            from IPython.display import HTML
            HTML('''
              <script>console.error("oh"); alert("ah")</script>
              <img src="http://example.invalid/beacon.png"><img src="http://192.0.2.1/beacon">
            ''')
            """
        ]
    )
    notebook.run(0)
    urls = {"http://example.invalid/beacon.png", "http://192.0.2.1/beacon"}

    def refused() -> set[str]:
        lines = [line for line in lab.watch.console if "ERR_NAME_NOT_RESOLVED" in line]
        return {url for url in urls if any(url in line for line in lines)}

    deadline = time.monotonic() + PATIENCE
    while refused() != urls:
        assert time.monotonic() < deadline, lab.watch
        notebook.page.wait_for_timeout(milliseconds(TICK))  # which lets the page's events in
    assert any("oh" in line for line in lab.watch.console)
    assert lab.watch.dialogs == ["ah"]
    assert set(lab.watch.foreign) == urls
