"""The attack corpus in JupyterLab, by every door, live and saved; and in what nbconvert makes of it."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path

from attacks import IN_PAGES
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from picture_files import PNG
from playwright.sync_api import Browser, Page, expect
from support.beacon import Beacon, provoke
from support.clock import PATIENCE, milliseconds
from support.lab import Lab
from support.lab_server import Watch

AGENTS = """%load_ext runagent_jupyter
import json
from runagent.local import agent

texts = json.loads(TEXTS)

@agent("writes")
def writes(input_data: dict):
    for text in texts:
        for i in range(0, len(text), 30):
            yield text[i:i + 30]
        yield "\\n\\n---\\n\\n"

@agent("answers")
def answers(input_data: dict):
    return {"items": texts[:150], texts[0]: 1}

@agent("tabulates")
def tabulates(input_data: dict):
    rows = [{"text": text, text[:80]: text, "n": 1} for text in texts[::9]]
    return rows + [{text[:80]: 1} for text in texts[1::9]]

@agent("pictures")
def pictures(input_data: dict):
    for text in texts:
        yield {"image": text, "mime": "image/png", "caption": text}
        yield {"image": PICTURE, "mime": "image/png", "caption": text[:80]}
        yield {"image": PICTURE, "mime": text}
    yield {"image": DOCUMENT, "mime": "image/svg+xml"}
    yield {"image": "data:image/svg+xml;base64," + DOCUMENT}

@agent("fails")
def fails(first: int):
    raise ValueError("\\n".join(texts[first:first + STEP]))

@agent("breaks off")
def breaks_off(first: int):
    yield "It began well"
    raise ValueError("\\n".join(texts[first:first + 10]))

run = get_ipython().run_line_magic
"""

STATUS_LINES = """
for first in range({0}, {0} + 200, 10):
    run("runagent", f"'breaks off' --no-raise-error --set first={{first}}")
"""

NAMES = """
names = [text for text in texts if len(text) < 200 and "'" not in text and text.isprintable()]
for name in names[{0}:{0} + 20]:
    agent(name)(lambda query: query)
    run("runagent", f"'{{name}}' hi")
    try:
        run("runagent", f"'{{name}}x' hi")
    except Exception:
        get_ipython().showtraceback()
"""

CHATS = """
from runagent_jupyter import AgentWidget

@agent("echoes")
def echoes(kind: str, query: str = "", **_):
    return query

@agent("works")
def works(query: str, **_):
    for text in texts:
        yield {"type": text, "name": text, "message": text, "args": {text[:50]: [text]}}
    yield "done"

@agent("errs")
def errs(query: str, **_):
    raise ValueError(query)

def asked(agent_id, *questions, **options):
    chat = AgentWidget(agent_id, **options)
    for question in questions:
        chat.ask(question)
    return chat
"""
ALL_CHATS = [
    "asked('writes', 'x')",
    "asked('echoes', *filter(str.strip, texts), context={'kind': 'question'})",
    "asked('works', 'x')",
    "asked('tabulates', 'x')",
    "asked('pictures', 'x')",
    "asked('errs', *('\\n'.join(texts[i:i + 60]) for i in range(0, len(texts), 60)))",
    "AgentWidget('echoes', title=' '.join(texts), placeholder=texts[0], suggestions=texts)",
]

STEP = 60

SVG = base64.b64encode(
    b"<svg xmlns='http://www.w3.org/2000/svg' onload='window.__pwned=1'/>"
).decode()


def sources(url: str) -> list[str]:
    """Return cells; JupyterLab shows up to 50 outputs of each."""
    texts = json.dumps(json.dumps([attack.text(url) for attack in IN_PAGES]))
    return [
        AGENTS.replace("TEXTS", texts)
        .replace("STEP", str(STEP))
        .replace("PICTURE", repr(PNG.partition(",")[2]))
        .replace("DOCUMENT", repr(SVG)),
        "%%runagent writes\nx",
        "%%runagent --no-stream answers\nx",
        *(f"%%runagent writes --format {kind}\nx" for kind in ("text", "json", "code")),
        *(STATUS_LINES.format(first) for first in range(0, len(IN_PAGES), 200)),
        *(NAMES.format(first) for first in range(0, 160, 20)),
        *(f"%runagent fails --set first={first}" for first in range(0, len(IN_PAGES), STEP)),
        "%%runagent --no-stream tabulates\nx",
        "%%runagent pictures\nx",
    ]


def test_no_door_lets_an_attack_in(
    lab: Lab, beacon: Beacon, browser: Browser, tmp_path: Path
) -> None:
    cells = sources(beacon.url)
    notebook = lab.open(cells).render_all()
    for index in range(len(cells)):
        notebook.run(index, timeout=PATIENCE)
    kinds = [{output["output_type"] for output in notebook.outputs(i)} for i in range(len(cells))]
    assert kinds[1:6] == [{"display_data"}] * 5
    lines, failures = (len(range(0, len(IN_PAGES), step)) for step in (200, STEP))
    assert kinds[6 : 6 + lines] == [{"display_data", "stream"}] * lines
    assert kinds[6 + lines : 14 + lines] == [{"display_data", "error"}] * 8
    # A failure that comes at once is an error alone; before a later one, there was a status line.
    assert [kind - {"display_data"} for kind in kinds[14 + lines : -2]] == [{"error"}] * failures
    assert kinds[-2:] == [{"display_data"}] * 2
    pictures = notebook.page.locator("img.runagent-picture")
    expect(pictures.nth(len(IN_PAGES))).to_be_attached(timeout=milliseconds(PATIENCE))
    saved = notebook.save()
    count = sum(map(markdown_count, saved.cells))
    assert count > 150
    expect(notebook.page.locator(".runagent-markdown")).to_have_count(
        count, timeout=milliseconds(PATIENCE)
    )
    assert_harmless(notebook.page, lab.watch, beacon)
    notebook.reload().render_all()
    expect(notebook.page.locator(".runagent-markdown")).to_have_count(
        count, timeout=milliseconds(PATIENCE)
    )
    assert_harmless(notebook.page, lab.watch, beacon)
    assert_export_harmless(saved, ".runagent-markdown", count, browser, tmp_path, beacon)


def test_no_door_of_the_chat_lets_an_attack_in(
    lab: Lab, beacon: Beacon, browser: Browser, tmp_path: Path
) -> None:
    cells = [sources(beacon.url)[0] + CHATS, *ALL_CHATS]
    notebook = lab.open(cells).render_all()
    for index in range(len(cells)):
        notebook.run(index, timeout=PATIENCE)
    page = notebook.page
    chats = page.locator(".runagent-chat")
    expect(chats).to_have_count(len(ALL_CHATS))
    # Of `writes`, `works`, `tabulates`, `pictures` and each question of `echoes` and `errs`, one.
    texts = [attack.text(beacon.url) for attack in IN_PAGES]
    answers = 4 + sum(bool(text.strip()) for text in texts) + math.ceil(len(texts) / 60)
    expect(page.locator(".runagent-agent")).to_have_count(answers, timeout=milliseconds(PATIENCE))
    assert page.locator(".runagent-step").count() > 300
    saved = notebook.save()
    assert_harmless(page, lab.watch, beacon)
    notebook.reload_with_chats()
    expect(page.locator(".runagent-agent")).to_have_count(answers, timeout=milliseconds(PATIENCE))
    assert_harmless(page, lab.watch, beacon)
    lab.server.shut_kernels_down()
    notebook.reload().render_all()
    expect(page.locator(".runagent-saved:visible")).to_have_count(len(ALL_CHATS))
    expect(chats).to_have_count(0)
    assert_harmless(page, lab.watch, beacon)
    assert_export_harmless(saved, ".runagent-saved", len(ALL_CHATS), browser, tmp_path, beacon)


def markdown_count(cell: NotebookNode) -> int:
    shown = (output.get("data", {}).get("text/html", "") for output in cell.get("outputs", []))
    return sum(html.count('class="runagent-markdown') for html in shown)


def assert_export_harmless(
    notebook: NotebookNode, shown: str, count: int, browser: Browser, root: Path, beacon: Beacon
) -> None:
    """Look at what nbconvert makes of a notebook, with `count` elements `shown`."""
    exported, _ = HTMLExporter(template_name="lab").from_notebook_node(notebook)
    file = root / "exported.html"
    file.write_text(exported, encoding="utf-8")
    context = browser.new_context()
    requested: list[str] = []
    context.on("request", lambda request: requested.append(request.url))
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.locator(shown).count() == count
    provoke(page)
    assert page.evaluate("window.__pwned") is None
    # Every notebook that nbconvert exports loads the template's own files.
    assert [url for url in requested if beacon.url in url] == []
    context.close()
    assert beacon.requests == []


def assert_harmless(page: Page, watch: Watch, beacon: Beacon) -> None:
    assert page.evaluate("window.__pwned") is None
    picture = "img.runagent-picture[src^='data:image/'][alt][width][height]:not([src*='svg'])"
    kinds = f"[id], [name], form, iframe, img:not({picture}), [style], [data-commandlinker-command]"
    mathjax = "mjx-container, mjx-container *"  # JupyterLab's, with styles of its own
    foreign = page.locator(f".runagent-markdown :is({kinds}):not({mathjax}, .ra-math > span)")
    assert foreign.evaluate_all("nodes => nodes.map(node => node.outerHTML)") == []
    attributes = "nodes => [...new Set(nodes.flatMap(node => node.getAttributeNames()))].sort()"
    allowed = {"alt", "class", "height", "src", "width"}
    assert set(page.locator(".runagent-markdown img").evaluate_all(attributes)) <= allowed
    assert watch.foreign == []
    assert watch.dialogs == []
    assert beacon.requests == []
