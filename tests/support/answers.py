"""What answers of all kinds leave behind in cells and in chats, without a kernel."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from runagent import RunAgentError, StreamEvent
from runagent_jupyter import html, steps
from runagent_jupyter.chats.conversation import Conversation

ANSWER: Final = r"""# A heading

Text with `code`, **strong** *words*, a [link](https://example.org), a note[^1] and $x^2$.

> A quotation
>
> > of a quotation, with `code` and [^2]

| Left | Right |
|:-----|------:|
| `1`  |   2.5 |

- [x] done
- [ ] open

$$\frac{a}{b} \notacommand$$

```python
@decorator
class Shape(Exception):  # a comment
    def area(self, width=1.5): return f"{width}" if None else len("x")
```

```html
<p class="x">text</p> <!-- a comment -->
```

```diff
- gone
+ come
```

![a picture](https://example.org/x.png)
"""
CALLED: Final = [
    StreamEvent("chunk", {"type": "tool_call", "name": "search", "args": {"q": "x", "n": None}}),
    StreamEvent("chunk", {"type": "thinking", "content": "The user wants numbers."}),
]


@cache
def conversation() -> Conversation:
    """A chat with an answer of all kinds of text, and one that failed."""
    return new_conversation()


def new_conversation() -> Conversation:
    """Return a chat as `conversation`, to be changed."""
    made = Conversation()
    for error in (None, RunAgentError("The model is overloaded.", code="OVERLOADED")):
        view = made.add("How many?\nAnd why?", "")[0].view
        for event in (*CALLED, StreamEvent("chunk", ANSWER, ANSWER)):
            view.take(event)
        view.turn.end(elapsed=1.5, error=error, stopped=False)
        view.delta()
        view.end()
    return made


@cache
def outputs() -> str:
    """What cells leave behind."""
    found = steps.steps_of([*CALLED, StreamEvent("chunk", ANSWER, ANSWER)])
    records: list[dict[str, Any]] = [{"name": "a", "size": 1.5}, {"name": None, "size": 2}] * 8
    parts = [
        steps.folded(found),
        html.with_copy_buttons(html.render(ANSWER)),
        html.json_tree({"a": [1, "b", None, True], "c": {"d": "e" * 5_000}}),
        html.record_table(records),
        html.plain("plain"),
        html.status_line("stopped after 1.0 s"),
        html.folded_status("7 tokens", "more"),
    ]
    saved = html.saved_chat(html.status_line("Chat"), conversation().html(), "copy")
    return html.wrap("".join(parts)) + saved
