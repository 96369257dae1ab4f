"""`Lab` does and sees what a user of JupyterLab does and sees."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from support.lab import Lab


def test_cells_run_and_show_their_outputs(lab: Lab) -> None:
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
    assert lab.watch.console == []
    assert lab.watch.foreign == []


def test_a_stream_is_seen_as_it_comes_and_interrupted(lab: Lab) -> None:
    notebook = lab.open(
        ["import time\nfor i in range(600):\n    print('line', i, flush=True)\n    time.sleep(0.1)"]
    )
    notebook.start_all()
    notebook.wait_for_text(0, re.compile(r"line 3\b"))
    assert "line 500" not in notebook.text(0)
    notebook.interrupt()
    notebook.wait_idle()
    assert notebook.outputs(0)[-1]["ename"] == "KeyboardInterrupt"


def test_what_is_saved_is_there_after_a_reload(lab: Lab) -> None:
    notebook = lab.open(["x = 6 * 7\nprint(x)", "print(x + 1)"])
    notebook.run(0)
    saved = notebook.save()
    assert saved.cells[0].outputs[0].text == "42\n"
    notebook.reload()
    assert notebook.text(0).strip() == "42"
    assert notebook.run(1).text(1).strip() == "43"


def test_a_restarted_kernel_remembers_nothing(lab: Lab) -> None:
    notebook = lab.open(["x = 1", "x"])
    notebook.run(0).restart()
    assert "NameError" in notebook.run(1).text(1)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_themes(lab: Lab, theme: str) -> None:
    notebook = lab.open(
        [
            "from IPython.display import Markdown\nMarkdown('# Title\\n\\n- a\\n- b\\n\\n$e^x$')",
            "print(1 + 1)",
        ]
    )
    notebook.theme(theme)
    notebook.run_all()
    light = notebook.page.locator("body").get_attribute("data-jp-theme-light")
    assert light == str(theme == "light").lower()
    picture = notebook.screenshot(f"harness-{theme}")
    assert picture.read_bytes().startswith(b"\x89PNG")


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
    notebook.page.wait_for_load_state("networkidle")
    assert any("oh" in line for line in lab.watch.console)
    assert lab.watch.dialogs == ["ah"]
    urls = {"http://example.invalid/beacon.png", "http://192.0.2.1/beacon"}
    assert set(lab.watch.foreign) == urls
    refused = [line for line in lab.watch.console if "ERR_NAME_NOT_RESOLVED" in line]
    assert urls == {url for url in urls if any(url in line for line in refused)}


def test_a_widget_is_shown(lab: Lab) -> None:
    notebook = lab.open(
        [
            """
            import ipywidgets as widgets
            button, label = widgets.Button(description="Press"), widgets.Label("not yet")
            button.on_click(lambda _: setattr(label, "value", "pressed"))
            widgets.VBox([button, label])
            """
        ]
    )
    notebook.run(0)
    notebook.page.get_by_role("button", name="Press").click()
    notebook.wait_for_text(0, "pressed")
    assert lab.watch.foreign == []
