"""The page side of a chat without a kernel: in any page, in any state."""

from __future__ import annotations

import base64
import json
import zlib
from functools import cache
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page

import runagent_jupyter
from runagent_jupyter import html
from runagent_jupyter.chats.attached import BOUNDS
from runagent_jupyter.chats.page_script import joined

STATIC: Final = Path(runagent_jupyter.__file__).parent / "static"

# What anywidget does: it gives the module a model of the traits and an element.
_SHOW: Final = """
async ([source, traits, shadow, manager]) => {
  const values = JSON.parse(traits);
  const handlers = {};
  window.sent = [];
  const model = {
    widget_manager: manager,
    get: (name) => values[name], off() {}, set() {}, send: (message) => sent.push(message),
    on: (names, handler) => names.split(" ").forEach((name) => { handlers[name] = handler; }),
  };
  const place = document.querySelector("#widget");
  place.replaceChildren();
  const root = shadow ? place.attachShadow({ mode: "open" }) : place;
  const style = root.appendChild(document.createElement("style"));
  style.textContent = values._css;
  const el = root.appendChild(document.createElement("div"));
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const widget = (await import(url)).default();
  await widget.initialize({ model });
  widget.render({ model, el });
  window.tell = (message, packed) => {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    handlers["msg:custom"](message, [new DataView(bytes.buffer)]);
  };
  window.lose = () => handlers.comm_live_update.call({ model: { comm_live: false } });
}
"""


@cache
def _script() -> str:
    return joined((STATIC / "widget.js").read_text("utf-8"))


def show_chat(
    page: Page,
    turns: list[dict[str, Any]],
    *,
    shadow: bool = False,
    manager: dict[str, Any] | None = None,
    **traits: Any,
) -> None:
    """Show a chat in the element `#widget` of a page.

    Args:
        page: The page.
        turns: The conversation, as `Conversation.known` returns it.
        shadow: Whether the chat stands in a shadow root.
        manager: What the page's manager of widgets has. Default: the page has none.
        **traits: Traits that differ from the usual ones.
    """
    usual = {
        "title": "Chat",
        "placeholder": "Ask the agent…",
        "suggestions": [],
        "height": 2_000,
        "_copy": "none",
        "agent": "Chat",
        "_labels": ["Chat"],
        "_bounds": BOUNDS,
        "_sum": "2 answers · 3.0 s",
        "_markdown_css": html.css(),
        "_css": html.compact((STATIC / "widget.css").read_text("utf-8")),
        "_snapshot": {"first": 0, "seq": 1, "turns": turns},
    }
    page.evaluate(_SHOW, [_script(), json.dumps({**usual, **traits}), shadow, manager])


def tell(page: Page, kind: str, seq: int, **content: Any) -> None:
    """Give the chat a message as a kernel sends it."""
    packed = base64.b64encode(zlib.compress(json.dumps(content).encode())).decode()
    page.evaluate(
        "([message, packed]) => tell(message, packed)", [{"type": kind, "seq": seq}, packed]
    )


def sent(page: Page, kind: str) -> list[dict[str, Any]]:
    """Return the messages of a kind that the chat has sent to the kernel."""
    found: list[dict[str, Any]] = page.evaluate("() => sent")
    return [message for message in found if message["type"] == kind]


def lose_kernel(page: Page) -> None:
    """Tell the chat that its kernel is gone."""
    page.evaluate("() => lose()")
