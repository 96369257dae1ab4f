"""Take the pictures that the README shows, in a real JupyterLab: `make screenshots`."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import expect

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))

from support.lab import Lab, running_lab  # noqa: E402

AGENT = """
%load_ext runagent_jupyter
import asyncio
from runagent.local import agent

ANSWER = '''The **north** stands out: it sold 420 units, more than the others together.

| region | units | share |
|:-------|------:|------:|
| north  | 420   | 58 %  |
| south  | 190   | 26 %  |
| west   | 115   | 16 %  |

The *z-score* of a region is $z = (x - \\\\mu) / \\\\sigma$; in code:

```python
sales["z"] = (sales.units - sales.units.mean()) / sales.units.std()
```
'''

@agent("analyst")
async def analyst(query: str, delay: float = 0, **_):
    yield {"type": "tool_call", "name": "query_sales", "args": {"group_by": "region"}}
    yield {"type": "log", "message": "3 rows read"}
    for word in ANSWER.split(" "):
        yield word + " "
        await asyncio.sleep(delay)

@agent("writer")
async def writer(query: str, delay: float = 0.05):
    for word in ANSWER.split(" "):
        yield word + " "
        await asyncio.sleep(delay)
"""
MAGIC = """
%%runagent writer
Which region stands out? Show me how you tell.
"""
CHAT = """
from runagent_jupyter import AgentWidget

AgentWidget("analyst", title="Sales analyst", suggestions=["Which region stands out?"])
"""


def take(lab: Lab) -> None:
    notebook = lab.open([MAGIC, AGENT], width=900, height=700)
    notebook.command("application:toggle-left-area")
    notebook.run(1)
    notebook.start_cell(0)
    notebook.wait_for_text(0, "in code")
    notebook.cell(0).screenshot(path=HERE / "images" / "magic.png")
    notebook.wait_idle()

    notebook = lab.open([CHAT, AGENT], width=900, height=900)
    notebook.command("application:toggle-left-area")
    notebook.run(1).run(0)
    chat = notebook.output(0).locator(".runagent-chat")
    chat.get_by_role("button", name="Which region stands out?").click()
    expect(chat.get_by_role("button", name="Retry")).to_be_visible()
    chat.screenshot(path=HERE / "images" / "chat.png")
    notebook.theme("dark")
    chat.screenshot(path=HERE / "images" / "chat-dark.png")
    lab.reset()


def main() -> None:
    (HERE / "images").mkdir(exist_ok=True)
    with running_lab() as lab:
        take(lab)


if __name__ == "__main__":
    main()
