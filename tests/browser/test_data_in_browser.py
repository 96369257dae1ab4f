"""Tables and pictures in JupyterLab: how they look, live and saved, in a cell and in a chat."""

from __future__ import annotations

from playwright.sync_api import Locator, expect
from support.chats import chat_in, finished
from support.lab import Lab

AGENTS = """
%load_ext runagent_jupyter
import base64, io
from matplotlib.figure import Figure
from runagent.local import agent
from runagent_jupyter import AgentWidget

figure = Figure(figsize=(4, 2.5))
figure.subplots().plot([1, 3, 2, 5])
file = io.BytesIO()
figure.savefig(file, format="png", transparent=True)
chart = base64.b64encode(file.getvalue()).decode()
rows = [
    {"city": f"City {n}", "people": n * 91_237 % 5_000_000, "share": n / 7, "coast": n % 3 == 0, "note": None}
    for n in range(60)
]

@agent("tables")
def tables(query: str, **_):
    return rows

@agent("draws")
def draws(query: str, **_):
    text = f"The sales of **2026**:\\n\\n![a line that rises](data:image/png;base64,{chart})\\n\\nThey rise."
    for start in range(0, len(text), 500):
        yield text[start:start + 500]

@agent("sends")
def sends(query: str, **_):
    return {"image": chart, "mime": "image/png", "caption": "a line that rises"}
"""


def assert_loaded(pictures: Locator, count: int) -> None:
    expect(pictures).to_have_count(count)
    facts = "nodes => nodes.map(n => [n.complete, n.naturalWidth, n.alt, n.width <= n.parentElement.clientWidth])"
    assert pictures.evaluate_all(facts) == [[True, 400, "a line that rises", True]] * count


def test_tables_and_pictures_in_cells(lab: Lab) -> None:
    cells = [
        AGENTS,
        "%%runagent tables\nx",
        "%%runagent draws\nx",
        "%%runagent --no-stream sends\nx",
    ]
    notebook = lab.open(cells, width=900, height=1_400)
    for index in range(len(cells)):
        notebook.run(index)
    table = notebook.output(1).locator(".runagent-records")
    expect(table.locator("tbody tr")).to_have_count(60)
    box = table.bounding_box()
    assert box is not None
    assert 100 < box["height"] < 450  # bounded, and the rest scrolls
    assert table.evaluate("node => node.scrollHeight > 2 * node.clientHeight")
    table.evaluate("node => { node.scrollTop = 300; }")
    heads = table.locator("th")
    top = heads.first.bounding_box()
    assert top is not None
    assert abs(top["y"] - box["y"]) < 2  # the names of the columns stay in sight
    assert (
        table.locator("td:nth-child(2)").first.evaluate("n => getComputedStyle(n).textAlign")
        == "end"
    )
    pictures = notebook.page.locator("img.runagent-picture")
    assert_loaded(pictures, 2)
    for name in ("light", "dark"):
        notebook.theme(name)
        notebook.screenshot(f"data-{name}")
    notebook.theme("light")
    notebook.save()
    notebook.reload()
    assert_loaded(notebook.page.locator("img.runagent-picture"), 2)
    assert lab.watch.foreign == []


def test_tables_and_pictures_in_a_chat(lab: Lab) -> None:
    cells = [
        AGENTS,
        "w, v = AgentWidget('draws'), AgentWidget('tables')\nw.ask('x') and v.ask('x')\ndisplay(w, v)",
    ]
    notebook = lab.open(cells, width=900, height=1_400)
    notebook.run(0).run(1)
    chats = chat_in(notebook, 1)
    for index in (0, 1):
        finished(chats.nth(index))
    assert_loaded(chats.locator("img.runagent-picture"), 1)
    expect(chats.locator(".runagent-records tbody tr")).to_have_count(60)
    for name in ("light", "dark"):
        notebook.theme(name)
        notebook.screenshot(f"data-chat-{name}")
    notebook.theme("light")
    saved = notebook.save().cells[1].outputs
    htmls = "".join(str(output.get("data", {}).get("text/html", "")) for output in saved)
    assert htmls.count('<img class="runagent-picture"') == 1
    assert htmls.count('<div class="runagent-records" ') == 1
