"""Chats in JupyterLab for browser tests: their agents, and what a reader does and sees."""

from __future__ import annotations

from playwright.sync_api import Locator, expect

from support.clock import PATIENCE, milliseconds
from support.lab import Lab, LabNotebook
from support.ports import free_port

AGENTS = """
import asyncio, time
from runagent.local import agent
from runagent_jupyter import AgentWidget

@agent("works")
async def works(query: str, **_):
    yield {"type": "thinking", "content": "The user wants "}
    yield {"type": "thinking", "content": "numbers."}
    yield {"type": "tool_call", "name": "search", "args": {"q": query, "limit": 3}}
    for share in (0.1, 0.5, 1.0):
        yield {"type": "progress", "progress": share, "message": "reading"}
        await asyncio.sleep(0.02)
    yield {"type": "log", "level": "info", "message": "3 rows read"}
    yield "Found **3 rows**:\\n\\n```python\\nrows = [1, 2, 3]\\n```\\n"

@agent("counts")
async def counts(query: str, **_):
    for number in range(4_000):
        yield f"{number} "
        await asyncio.sleep(0.05)

@agent("lines")
async def lines(query: str, **_):
    for number in range(4_000):
        yield f"line {number}"
        await asyncio.sleep(0.05)
        yield "\\n\\n"

@agent("searches")
def searches(query: str):
    for number in range(40):
        yield {"type": "tool_call", "name": f"search {number}"}
    yield "done"

@agent("echo")
def echo(query: str, **_):
    return f"You said {query}"
"""


TOLD = """
import asyncio, threading
from runagent.local import agent
from runagent_jupyter import AgentWidget

gate, asked = threading.Event(), []

@agent("told")
async def told(query: str, attachments=(), **_):
    asked.append(query)
    if query == "wait":
        yield "begun "
        await asyncio.to_thread(gate.wait)
    yield ", ".join([query, *(f"{a['name']} {len(a['data'])}" for a in attachments)])

"""
"""An agent that says what it was asked; it answers `wait` only when `OPEN` has run."""

OPEN = "gate.set()"


REVOKED = """
from runagent import AsyncRunAgentClient
from runagent.local import serve

server = serve({"echo": echo}, api_key="old-key", port=PORT)
w = AgentWidget("echo", api_key="old-key", base_url=server.url)
w
""".replace("PORT", str(free_port()))


REVOKE = """
server.close()
server = serve({"echo": echo}, api_key="new-key", port=server.port)
"""


CHAT = "from runagent_jupyter import AgentWidget\nw = AgentWidget('demo', context={'delay': 0})\nw"


SLOW_CHAT = CHAT.replace("'delay': 0", "'delay': 0.05")

_DROP = """(node, [kind, files, text]) => {
  const data = new DataTransfer();
  for (const [name, size, type] of files)
    data.items.add(new File([new Uint8Array(size)], name, {type}));
  if (text) data.setData("text/plain", text);
  const options = {bubbles: true, cancelable: true};
  const event = kind === "paste"
    ? new ClipboardEvent(kind, {...options, clipboardData: data})
    : new DragEvent(kind, {...options, dataTransfer: data});
  return node.dispatchEvent(event);
}"""


def chat_in(notebook: LabNotebook, index: int = 0) -> Locator:
    return notebook.output(index).locator(".runagent-chat")


def ask(chat: Locator, text: str) -> None:
    question = chat.get_by_label("Question")
    question.fill(text)
    question.press("Enter")


def finished(chat: Locator, turns: int = 2) -> None:
    expect(chat.locator(".runagent-turn")).to_have_count(turns, timeout=milliseconds(PATIENCE))
    expect(chat.get_by_role("button", name="Retry").last).to_be_visible(
        timeout=milliseconds(PATIENCE)
    )


def answer(chat: Locator) -> Locator:
    return chat.locator(".runagent-agent").last


def note(chat: Locator) -> Locator:
    return chat.locator(".runagent-note")


def chips(chat: Locator) -> Locator:
    """Return what goes along with the question in the input."""
    return chat.locator(".runagent-form .runagent-chip")


def counting(lab: Lab, *cells: str) -> tuple[LabNotebook, Locator]:
    """Open a chat that has begun to count, above cells that have not run."""
    notebook = lab.open([AGENTS, "w = AgentWidget('counts')\nw", *cells])
    notebook.run(0).run(1)
    chat = chat_in(notebook, 1)
    ask(chat, "go on")
    expect(answer(chat)).to_contain_text("3 4 5")
    return notebook, chat


def counted(chat: Locator) -> list[int]:
    """Return the numbers that a chat has counted, also where the page has not drawn them yet."""
    return [int(word) for word in (answer(chat).locator("p").text_content() or "").split()]


def goes_on(chat: Locator) -> None:
    """Wait until a chat counts on."""
    last = counted(chat)[-1]
    expect(answer(chat)).to_contain_text(f" {last + 1} {last + 2} ", timeout=milliseconds(PATIENCE))


def drop(node: Locator, kind: str, *files: tuple[str, int, str], text: str = "") -> bool:
    """Drop or paste files, of zeros, and a text.

    Args:
        node: Where.
        kind: `drop` or `paste`.
        *files: The name, the size and the media type of each.
        text: The text.

    Returns:
        Whether the page does with them what it does without the chat.
    """
    passed: bool = node.evaluate(_DROP, [kind, [list(file) for file in files], text])
    return passed
