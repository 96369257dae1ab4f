"""A cell and a chat in JupyterLab can be read, in its light and its dark theme."""

from __future__ import annotations

from playwright.sync_api import expect
from support.chats import CHAT, ask, chat_in, finished
from support.contrast import contrasts
from support.lab import Lab


def test_cells_and_chats_can_be_read_in_light_and_dark(lab: Lab) -> None:
    notebook = lab.open(["%load_ext runagent_jupyter", "%%runagent demo\nHow many?", CHAT])
    notebook.run_all()
    chat = chat_in(notebook, 2)
    ask(chat, "How many?")
    finished(chat)
    for theme in ("light", "dark"):
        notebook.theme(theme)
        notebook.screenshot(f"reading-{theme}")
        found = contrasts(notebook.page, ".jp-Cell-outputArea")
        texts = [text for _, text in found]
        assert texts.count("Hello from the demo agent") == 2
        assert {"How many?", "Retry", "::placeholder", "from", "Door"} <= set(texts)
        assert found[0][0] >= 4.5, found[:12]
    notebook.theme("light")


def test_each_formula_of_a_cell_is_shown_once(lab: Lab) -> None:
    notebook = lab.open(["%load_ext runagent_jupyter", "%%runagent demo\nHow many?"])
    notebook.run_all()
    formulas = notebook.output(1).locator(".ra-math")
    # JupyterLab 3 puts what its MathJax makes of the MathML in the place of it.
    expect(formulas.locator("> span > *").filter(visible=True)).to_have_count(2)
    tex = formulas.locator("ra-tex")
    expect(tex).to_have_count(2)
    size = "nodes => Math.max(...nodes.map(node => node.offsetWidth * node.offsetHeight))"
    assert tex.evaluate_all(size) <= 1
    assert "\\(e^{i\\pi} + 1 = 0\\)" in (tex.first.text_content() or "")
